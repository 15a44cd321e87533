//! Appends to one string under random faults: each that was acknowledged is there once, each that was refused is
//! not there, and none is there twice.

use std::collections::BTreeSet;

use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;

#[derive(Default)]
pub(crate) struct Appends {
    open: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

impl Appends {
    /// The word that request `id` appends.
    pub(crate) fn ask(&mut self, id: u64) -> String {
        self.open.insert(id);
        format!("{id};")
    }

    pub(crate) fn asked(&self, id: u64) -> bool {
        self.open.contains(&id)
    }

    pub(crate) fn answer(&mut self, id: u64, outcome: &Outcome) {
        assert!(self.open.remove(&id), "request {id} was answered twice");
        match outcome {
            Outcome::Done(_) => self.acknowledged.insert(id),
            Outcome::Refused(_) => self.refused.insert(id),
            Outcome::Indefinite(_) => true,
        };
    }

    /// Compares with what the log holds in the end.
    pub(crate) fn check(&self, log: &Reply, repeat: &str) {
        let text = match log {
            Reply::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
            Reply::Null => String::new(),
            other => panic!("the log reads as {other:?}; repeat: {repeat}"),
        };
        let found: Vec<u64> = text
            .split_terminator(';')
            .map(|id| id.parse().expect("we wrote ids"))
            .collect();
        let distinct: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(
            found.len(),
            distinct.len(),
            "appended twice: {found:?}; repeat: {repeat}"
        );
        let lost: Vec<&u64> = self.acknowledged.difference(&distinct).collect();
        assert!(
            lost.is_empty(),
            "acknowledged and lost: {lost:?}; repeat: {repeat}"
        );
        let undead: Vec<&u64> = self.refused.intersection(&distinct).collect();
        assert!(
            undead.is_empty(),
            "refused and done: {undead:?}; repeat: {repeat}"
        );
    }
}
