//! The numbered scenario 46 of the contract: a run of entries against a plain list, for arbitrary
//! contents, falling terms and the ends of the number range included.

use crate::kit::*;
use noraft::{ClusterConfig, CommitStatus, Log, LogEntries, LogEntry, LogIndex, LogPosition, Role, Term};

/// A small generator (xorshift), so that a failing case can be repeated from its printed seed.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn entry(&mut self) -> LogEntry {
        match self.below(6) {
            0 => t(self.below(5)),
            1 => t(u64::MAX - self.below(2)),
            2 => LogEntry::ClusterConfig(voters([self.below(4)])),
            _ => C,
        }
    }
}

/// What a run is: an anchor and a list of entries with their positions.
#[derive(Clone)]
struct Model {
    prev: LogPosition,
    list: Vec<(LogPosition, LogEntry)>,
}

impl Model {
    fn arbitrary(rng: &mut Rng) -> (Self, LogEntries) {
        let first = [0, 7, u64::MAX - 40][rng.below(3) as usize];
        let prev = pos([0, 2, u64::MAX][rng.below(3) as usize], first);
        let mut model = Self {
            prev,
            list: Vec::new(),
        };
        let mut run = LogEntries::new(prev);
        for _ in 0..rng.below(20) {
            let entry = rng.entry();
            run.push(entry.clone());
            model.push(entry);
        }
        (model, run)
    }

    fn last(&self) -> LogPosition {
        self.list.last().map_or(self.prev, |(position, _)| *position)
    }

    fn push(&mut self, entry: LogEntry) {
        let last = self.last();
        let term = match &entry {
            LogEntry::Term(term) => *term,
            LogEntry::ClusterConfig(_) | LogEntry::Command => last.term,
        };
        self.list.push((LogPosition::new(term, last.index.next()), entry));
    }

    fn positions(&self) -> Vec<LogPosition> {
        std::iter::once(self.prev)
            .chain(self.list.iter().map(|(position, _)| *position))
            .collect()
    }

    fn since(&self, at: usize) -> Self {
        Self {
            prev: self.positions()[at],
            list: self.list[at..].to_vec(),
        }
    }

    fn truncated(&self, len: usize) -> Self {
        Self {
            prev: self.prev,
            list: self.list[..len.min(self.list.len())].to_vec(),
        }
    }

    fn run(&self) -> LogEntries {
        LogEntries::from_iter(self.prev, self.list.iter().map(|(_, entry)| entry.clone()))
    }

    fn check(&self, run: &LogEntries) {
        assert_eq!(run, &self.run(), "equal however it was made");
        assert_eq!(
            (run.prev_position(), run.last_position()),
            (self.prev, self.last())
        );
        assert_eq!(
            (run.len(), run.is_empty()),
            (self.list.len(), self.list.is_empty())
        );
        assert_eq!(run.iter_with_positions().collect::<Vec<_>>(), self.list);
        assert!(run.iter().eq(self.list.iter().map(|(_, entry)| entry.clone())));
        for position in self.positions() {
            assert!(run.contains(position) && run.contains_index(position.index));
            assert_eq!(run.get_term(position.index), Some(position.term));
            let other = Term::new(position.term.get() ^ 1);
            assert!(!run.contains(LogPosition::new(other, position.index)));
            assert!(run.since(LogPosition::new(other, position.index)).is_none());
        }
        for (position, entry) in &self.list {
            assert_eq!(run.get_entry(position.index).as_ref(), Some(entry));
        }
        assert_eq!(run.get_entry(self.prev.index), None);
        for outside in [
            self.prev.index.get().checked_sub(1),
            self.last().index.get().checked_add(1),
        ] {
            let Some(outside) = outside.map(LogIndex::new) else {
                continue;
            };
            assert!(!run.contains_index(outside));
            assert_eq!((run.get_term(outside), run.get_entry(outside)), (None, None));
        }
    }

    fn config_at(&self, index: LogIndex, before: &ClusterConfig) -> ClusterConfig {
        let configs = self.list.iter().filter_map(|(position, entry)| match entry {
            LogEntry::ClusterConfig(config) if position.index <= index => Some(config),
            LogEntry::ClusterConfig(_) | LogEntry::Term(_) | LogEntry::Command => None,
        });
        configs.fold(before, |_, config| config).clone()
    }
}

fn each_seed(check: impl Fn(&mut Rng)) {
    for seed in 1..=1500_u64 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&mut Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        }));
        if let Err(failure) = result {
            eprintln!("seed {seed}; repeat with: cargo test -p noraft@0.1.0 --test contract log::");
            std::panic::resume_unwind(failure);
        }
    }
}

#[test]
fn scenario_46_iteration_lookup_truncation_and_suffixes_agree_with_a_list() {
    each_seed(|rng| {
        let (model, run) = Model::arbitrary(rng);
        model.check(&run);
        for at in 0..=model.list.len() {
            model
                .since(at)
                .check(&run.since(model.positions()[at]).expect("contained"));
            let mut shorter = run.clone();
            shorter.truncate(at);
            model.truncated(at).check(&shorter);
        }
        let mut whole = run.clone();
        whole.truncate(usize::MAX);
        assert_eq!(whole, run);
    });
}

#[test]
fn scenario_46_a_suffix_replaces_what_follows_its_anchor() {
    each_seed(|rng| {
        let (model, run) = Model::arbitrary(rng);
        let at = rng.below(model.list.len() as u64 + 1) as usize;
        let mut expected = model.truncated(at);
        let mut suffix = LogEntries::new(model.positions()[at]);
        for _ in 0..rng.below(6) {
            let entry = rng.entry();
            expected.push(entry.clone());
            suffix.push(entry);
        }
        let mut joined = run.clone();
        assert!(joined.append_suffix(&suffix));
        expected.check(&joined);
        let mut log = Log::new(ClusterConfig::new(), run.clone());
        assert!(log.append_suffix(&suffix));
        assert_eq!(log.entries(), &joined);

        let anchor = suffix.prev_position();
        let elsewhere = LogPosition::new(Term::new(anchor.term.get() ^ 1), anchor.index);
        let mut untouched = run.clone();
        assert!(!untouched.append_suffix(&LogEntries::new(elsewhere)));
        assert_eq!(untouched, run);
    });
}

#[test]
fn scenario_46_configuration_queries_agree_with_a_scan() {
    each_seed(|rng| {
        let (model, run) = Model::arbitrary(rng);
        let before = voters([9]);
        let log = Log::new(before.clone(), run);
        assert_eq!(
            log.latest_config(),
            &model.config_at(LogIndex::new(u64::MAX), &before)
        );
        for position in model.positions() {
            let config = model.config_at(position.index, &before);
            assert_eq!(
                log.get_position_and_config(position.index),
                Some((position, &config))
            );
        }
        if let Some(beyond) = model.last().index.checked_next() {
            assert_eq!(log.get_position_and_config(beyond), None);
        }
        assert_eq!(
            (log.snapshot_position(), log.snapshot_config()),
            (model.prev, &before)
        );
        assert_eq!(log.last_position(), model.last());
    });
}

#[test]
fn scenario_24_stripping_a_prefix_is_dropping_entries() {
    each_seed(|rng| {
        let (model, run) = Model::arbitrary(rng);
        let sent = rng.below(25) as usize;
        let mut message = call(3, 9, 5, run);
        assert!(message.strip_append_entries_prefix(sent));
        assert_eq!(
            message,
            call(3, 9, 5, model.since(sent.min(model.list.len())).run())
        );
    });
}

#[test]
fn runs_made_along_different_routes_are_equal_and_hash_alike() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let hash = |run: &LogEntries| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    let direct = LogEntries::new(pos(1, 1));
    let mut cut = run(pos(1, 1), [t(2), cfg([1])]);
    cut.truncate(0);
    let rest = run(pos(0, 0), [t(1)]).since(pos(1, 1)).expect("contained");
    let mut appended = LogEntries::new(pos(1, 1));
    assert!(appended.append_suffix(&cut));
    for other in [cut, rest, appended] {
        assert_eq!(direct, other);
        assert_eq!(hash(&direct), hash(&other));
    }
}

#[test]
fn positions_and_scalars() {
    assert!(LogPosition::INVALID.is_invalid() && !LogPosition::ZERO.is_invalid());
    assert_eq!(LogPosition::INVALID, pos(u64::MAX, 0));
    assert!(pos(2, 1) > pos(1, 9) && pos(1, 2) > pos(1, 1));
    assert_eq!(pos(1, 1).next(), pos(1, 2));
    assert_eq!(pos(1, u64::MAX).checked_next(), None);
    assert_eq!(index(u64::MAX).checked_next(), None);
    assert_eq!(index(1).checked_sub(index(2)), None);
    assert_eq!(index(u64::MAX).checked_add(index(1)), None);
    assert_eq!(u64::from(term(3) + term(4) - term(1)), 6);
    assert_eq!(format!("{:?}", Term::from(3)), "Term(3)");
    let mut sum = index(1);
    sum += index(4);
    sum -= index(2);
    assert_eq!(sum, index(3));
}

#[test]
fn each_role_and_each_commit_status_is_only_itself() {
    let roles = [Role::Follower, Role::Candidate, Role::Leader];
    let answers = roles.map(|role| [role.is_follower(), role.is_candidate(), role.is_leader()]);
    assert_eq!(
        answers,
        [[true, false, false], [false, true, false], [false, false, true]]
    );
    let statuses = [
        CommitStatus::InProgress,
        CommitStatus::Committed,
        CommitStatus::Rejected,
        CommitStatus::Unknown,
    ];
    for (at, status) in statuses.into_iter().enumerate() {
        let answers = [
            status.is_in_progress(),
            status.is_committed(),
            status.is_rejected(),
            status.is_unknown(),
        ];
        let expected: [bool; 4] = std::array::from_fn(|other| other == at);
        assert_eq!(answers, expected, "{status:?}");
    }
}
