//! The versions of each register: the transactions that wrote them, and those that read them.
//!
//! Invariant: every version but the initial ones has one writer, and every read found its version.

use crate::checker::txn::Micro;
use crate::checker::violation::{Explained, mention};
use crate::model::Call;
use crate::recording::datum::{Datum, Pool};
use crate::recording::hash::FastMap;

/// A value that a register had.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) key: u32,
    pub(super) value: Datum,
    /// `None` for the initial version.
    pub(super) writer: Option<u32>,
    /// Transactions that read it from outside, in order of invocation.
    pub(super) readers: Vec<u32>,
    /// Its writer overwrote it itself: no other may see it.
    is_intermediate: bool,
    /// The version that a transaction put directly behind this one: it read this and wrote that.
    pub(super) next: Option<u32>,
    /// The version that this one was put directly behind.
    pub(super) before: Option<u32>,
}

/// All of them.
pub(super) struct Versions<'a> {
    pub(super) pool: &'a Pool,
    pub(super) calls: &'a [Call<Vec<Micro>>],
    /// True for transactions that took effect.
    pub(super) happened: Vec<bool>,
    pub(super) keys: Vec<Datum>,
    pub(super) all: Vec<Version>,
    /// Versions by key that took effect, the initial one first.
    pub(super) of_key: Vec<Vec<u32>>,
}

/// What collecting them came to.
pub(super) enum Collected<'a> {
    /// Every read found its version.
    Versions(Versions<'a>),
    /// A single read, or a single transaction, is wrong by itself.
    Violation(Explained),
    /// A value is written twice, so that reads do not say what they saw.
    Repeated,
}

impl<'a> Versions<'a> {
    pub(super) fn collect(
        pool: &'a Pool,
        calls: &'a [Call<Vec<Micro>>],
        initial: Datum,
        aborted: &FastMap<(Datum, Datum), u32>,
    ) -> Collected<'a> {
        let mut collector = Collector {
            versions: Self {
                pool,
                calls,
                happened: calls.iter().map(|call| !call.is_open()).collect(),
                keys: Vec::new(),
                all: Vec::new(),
                of_key: Vec::new(),
            },
            key_ids: FastMap::default(),
            ids: FastMap::default(),
            initial,
            aborted,
        };
        for (txn, call) in (0_u32..).zip(calls) {
            if collector.writes(txn, call).is_none() {
                return Collected::Repeated;
            }
        }
        for (txn, call) in (0_u32..).zip(calls) {
            if let Err(explained) = collector.reads(txn, call) {
                return Collected::Violation(explained);
            }
        }
        collector.keep_what_happened();
        match collector.link() {
            Ok(()) => Collected::Versions(collector.versions),
            Err(explained) => Collected::Violation(explained),
        }
    }

    pub(super) fn id(&self, txn: u32) -> u32 {
        self.calls[txn as usize].id
    }

    /// `"x" = 5`.
    pub(super) fn show(&self, version: u32) -> String {
        let version = &self.all[version as usize];
        format!(
            "{} = {}",
            self.pool.show(self.keys[version.key as usize]),
            self.pool.show(version.value)
        )
    }

    /// Transactions that wrote or read a version.
    pub(super) fn touch(&self, version: u32) -> impl Iterator<Item = u32> + '_ {
        let version = &self.all[version as usize];
        version.writer.into_iter().chain(version.readers.iter().copied())
    }

    /// A version and all that were put directly behind it, one behind the other.
    pub(super) fn run(&self, head: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(head), |at| self.all[*at as usize].next)
    }
}

struct Collector<'a, 'b> {
    versions: Versions<'a>,
    key_ids: FastMap<Datum, u32>,
    ids: FastMap<(Datum, Datum), u32>,
    initial: Datum,
    aborted: &'b FastMap<(Datum, Datum), u32>,
}

impl Collector<'_, '_> {
    fn key(&mut self, key: Datum) -> u32 {
        if let Some(id) = self.key_ids.get(&key) {
            return *id;
        }
        let id = self.versions.keys.len() as u32;
        self.versions.keys.push(key);
        self.versions.of_key.push(Vec::new());
        self.key_ids.insert(key, id);
        self.add(id, self.initial, None);
        id
    }

    fn add(&mut self, key: u32, value: Datum, writer: Option<u32>) -> bool {
        let id = self.versions.all.len() as u32;
        self.versions.all.push(Version {
            key,
            value,
            writer,
            readers: Vec::new(),
            is_intermediate: false,
            next: None,
            before: None,
        });
        self.versions.of_key[key as usize].push(id);
        let name = (self.versions.keys[key as usize], value);
        self.ids.insert(name, id).is_none()
    }

    /// `None` when a value is written a second time, or something is no register.
    fn writes(&mut self, txn: u32, call: &Call<Vec<Micro>>) -> Option<()> {
        for (at, micro) in call.op.iter().enumerate() {
            match *micro {
                Micro::Read { key, .. } => {
                    self.key(key);
                }
                Micro::Append { .. } => return None,
                Micro::Write { key, value } => {
                    let id = self.key(key);
                    if !self.add(id, value, Some(txn)) {
                        return None;
                    }
                    let again = |other: &Micro| matches!(*other, Micro::Write { key: k, .. } if k == key);
                    let last = self.versions.all.last_mut().expect("it was just added");
                    last.is_intermediate = call.op[at + 1..].iter().any(again);
                }
            }
        }
        Some(())
    }

    /// Finds the version of every read from outside; checks the others against what the transaction did itself.
    fn reads(&mut self, txn: u32, call: &Call<Vec<Micro>>) -> Result<(), Explained> {
        let mut known: FastMap<Datum, Datum> = FastMap::default();
        for micro in &call.op {
            match *micro {
                Micro::Append { .. } => {}
                Micro::Write { key, value } => {
                    known.insert(key, value);
                }
                Micro::Read { key, value } => match known.get(&key) {
                    Some(own) if self.same(*own, value) => {}
                    Some(own) => return Err(self.internal(txn, key, *own, value)),
                    None => {
                        known.insert(key, value);
                        self.read(txn, key, value)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn same(&self, one: Datum, other: Datum) -> bool {
        one == other || (self.is_initial(one) && self.is_initial(other))
    }

    /// In some histories what was never written reads as an empty list.
    fn is_initial(&self, value: Datum) -> bool {
        let empty = |value| self.versions.pool.as_list(value).is_some_and(<[_]>::is_empty);
        value == self.initial || (self.initial.is_nil() && empty(value))
    }

    fn read(&mut self, txn: u32, key: Datum, value: Datum) -> Result<(), Explained> {
        let name = if self.is_initial(value) {
            (key, self.initial)
        } else {
            (key, value)
        };
        let Some(id) = self.ids.get(&name).copied() else {
            return Err(self.garbage(txn, key, value));
        };
        let version = &mut self.versions.all[id as usize];
        match version.writer {
            Some(writer) if writer == txn => return Err(self.early(txn, id)),
            Some(writer) if version.is_intermediate => return Err(self.intermediate(txn, writer, id)),
            Some(writer) => self.versions.happened[writer as usize] = true,
            None => {}
        }
        self.versions.all[id as usize].readers.push(txn);
        Ok(())
    }

    /// Writes of unknown outcome whose transaction left no trace are forgotten; so are values overwritten at once.
    fn keep_what_happened(&mut self) {
        let Versions {
            all,
            happened,
            of_key,
            ..
        } = &mut self.versions;
        for versions in of_key {
            versions.retain(|id| {
                let version = &all[*id as usize];
                let happened = version.writer.is_none_or(|writer| happened[writer as usize]);
                happened && !version.is_intermediate
            });
        }
    }

    /// Puts versions directly behind those that their writers had read.
    fn link(&mut self) -> Result<(), Explained> {
        for versions in &self.versions.of_key {
            let mut written: FastMap<u32, u32> = FastMap::default();
            for id in versions {
                if let Some(writer) = self.versions.all[*id as usize].writer {
                    written.insert(writer, *id);
                }
            }
            for id in versions {
                let readers = self.versions.all[*id as usize].readers.clone();
                let mut replaced = readers
                    .iter()
                    .filter_map(|reader| Some((*reader, *written.get(reader)?)));
                let Some((one, next)) = replaced.next() else {
                    continue;
                };
                if let Some((other, _)) = replaced.next() {
                    return Err(self.lost_update(*id, one, other));
                }
                self.versions.all[*id as usize].next = Some(next);
                self.versions.all[next as usize].before = Some(*id);
            }
        }
        Ok(())
    }

    fn garbage(&self, txn: u32, key: Datum, value: Datum) -> Explained {
        let reader = self.versions.id(txn);
        let shown = format!(
            "{} = {}",
            self.versions.pool.show(key),
            self.versions.pool.show(value)
        );
        match self.aborted.get(&(key, value)) {
            Some(aborted) => Explained {
                title: format!("aborted read (G1a): {shown}"),
                operations: vec![*aborted, reader],
                why: vec![format!(
                    "{} failed, yet {} saw {shown}, which only {} would have written.",
                    mention(*aborted),
                    mention(reader),
                    mention(*aborted)
                )],
            },
            None => Explained {
                title: format!("garbage: {shown}"),
                operations: vec![reader],
                why: vec![format!(
                    "{} saw {shown}, which no transaction wrote, and which is not the initial value {}.",
                    mention(reader),
                    self.versions.pool.show(self.initial)
                )],
            },
        }
    }

    fn early(&self, txn: u32, version: u32) -> Explained {
        let id = self.versions.id(txn);
        Explained {
            title: format!(
                "internal: a read of {} before it was written",
                self.versions.show(version)
            ),
            operations: vec![id],
            why: vec![format!(
                "{} read {} before it wrote that value itself, and nothing else writes it.",
                mention(id),
                self.versions.show(version)
            )],
        }
    }

    fn intermediate(&self, txn: u32, writer: u32, version: u32) -> Explained {
        let (writer, reader) = (self.versions.id(writer), self.versions.id(txn));
        let shown = self.versions.show(version);
        Explained {
            title: format!("intermediate read (G1b): {shown}"),
            operations: vec![writer, reader],
            why: vec![format!(
                "{} saw {shown}, which {} wrote and replaced in the same transaction, which happens at once.",
                mention(reader),
                mention(writer)
            )],
        }
    }

    fn internal(&self, txn: u32, key: Datum, own: Datum, value: Datum) -> Explained {
        let id = self.versions.id(txn);
        let pool = self.versions.pool;
        let key = pool.show(key);
        Explained {
            title: format!("internal: a transaction contradicts itself about {key}"),
            operations: vec![id],
            why: vec![format!(
                "Within {} a read of {key} gave {}, where the transaction itself had last written or read {}.",
                mention(id),
                pool.show(value),
                pool.show(own)
            )],
        }
    }

    fn lost_update(&self, version: u32, one: u32, other: u32) -> Explained {
        let (one, other) = (self.versions.id(one), self.versions.id(other));
        let shown = self.versions.show(version);
        Explained {
            title: format!("lost update: {shown}"),
            operations: vec![one, other],
            why: vec![format!(
                "{} and {} both read {shown} and replaced it. Once one of them has, the value is gone: it is written only \
                 once.",
                mention(one),
                mention(other)
            )],
        }
    }
}
