//! What a transaction sees of itself, and of others half done.

use super::Lists;
use crate::checker::txn::Micro;
use crate::checker::violation::{Explained, mention};
use crate::recording::datum::Datum;

/// Each transaction reads its own appends and its own earlier reads again; its appends to a list stay
/// together and in order; no other transaction reads a list between two of them.
pub(super) fn check(lists: &Lists<'_>) -> Result<(), Explained> {
    for (txn, call) in (0_u32..).zip(lists.calls) {
        let mut views: Vec<View> = Vec::new();
        for micro in &call.op {
            let (Micro::Append { key, .. } | Micro::Read { key, .. } | Micro::Write { key, .. }) = *micro;
            let at = match views.iter().position(|view| view.key == key) {
                Some(at) => at,
                None => {
                    views.push(View {
                        key,
                        base: None,
                        own: Vec::new(),
                    });
                    views.len() - 1
                }
            };
            let view = &mut views[at];
            match *micro {
                Micro::Append { value, .. } => view.own.push(value),
                Micro::Read { value, .. } => view.read(lists, txn, lists.read(value))?,
                Micro::Write { .. } => {}
            }
        }
        together(lists, txn, &views)?;
    }
    Ok(())
}

/// What a transaction knows of one list.
struct View {
    key: Datum,
    /// The list as it was before the transaction, once it was read.
    base: Option<Vec<Datum>>,
    own: Vec<Datum>,
}

impl View {
    fn read(&mut self, lists: &Lists<'_>, txn: u32, read: &[Datum]) -> Result<(), Explained> {
        let Some(base) = read.strip_suffix(&self.own[..]) else {
            return Err(self.not_own(lists, txn));
        };
        match &self.base {
            Some(known) if known[..] != *base => return Err(self.not_own(lists, txn)),
            Some(_) => return Ok(()),
            None => {}
        }
        if let Some(last) = base.last() {
            let append = lists.appends[&(self.key, *last)];
            if append.txn == txn {
                return Err(self.not_own(lists, txn));
            }
            if append.followed_by > 0 {
                return Err(self.intermediate(lists, append.txn, txn));
            }
        }
        self.base = Some(base.to_vec());
        Ok(())
    }

    fn not_own(&self, lists: &Lists<'_>, txn: u32) -> Explained {
        let (id, list) = (lists.id(txn), lists.pool.show(self.key));
        Explained {
            title: format!("internal: a transaction contradicts itself about list {list}"),
            operations: vec![id],
            why: vec![format!(
                "Within {} a read of list {list} does not show what it read before, followed by its own appends.",
                mention(id)
            )],
        }
    }

    fn intermediate(&self, lists: &Lists<'_>, writer: u32, reader: u32) -> Explained {
        let (writer, reader) = (lists.id(writer), lists.id(reader));
        Explained {
            title: format!("intermediate read (G1b) of list {}", lists.pool.show(self.key)),
            operations: vec![writer, reader],
            why: vec![format!(
                "{} saw the list between two appends of {}, which happen at once.",
                mention(reader),
                mention(writer)
            )],
        }
    }
}

/// Appends of one transaction to one list are neighbours there, in their order.
fn together(lists: &Lists<'_>, txn: u32, views: &[View]) -> Result<(), Explained> {
    for view in views {
        let places = view
            .own
            .iter()
            .map(|value| lists.appends[&(view.key, *value)].position);
        let places: Vec<Option<u32>> = places.collect();
        for pair in places.windows(2) {
            let apart = match (pair[0], pair[1]) {
                (Some(one), Some(other)) => other != one + 1,
                (None, Some(_)) => true,
                (Some(_), None) | (None, None) => false,
            };
            if apart {
                let id = lists.id(txn);
                return Err(Explained {
                    title: format!(
                        "torn: appends of one transaction to list {}",
                        lists.pool.show(view.key)
                    ),
                    operations: vec![id],
                    why: vec![format!(
                        "The appends of {} are not next to each other, in order.",
                        mention(id)
                    )],
                });
            }
        }
    }
    Ok(())
}
