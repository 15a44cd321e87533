//! What is wrong with a node, or was: alarms, each of a kind that has a page in the runbook.
//!
//! An alarm is raised while its condition holds. When that ends the alarm is over, and stays listed until an operator clears it: what
//! happened at night is seen in the morning.
//!
//! Invariant: there is at most one alarm of a kind; one that is raised cannot be cleared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::status::AlarmReport;
use crate::time::{Instant, Stamp};

/// What may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// The disk has no room for another segment.
    Room,
    /// The process is near the end of the memory that it may have.
    Memory,
    /// Nodes hold different things.
    Divergence,
    /// The wall clock is off.
    Clock,
    /// The disk takes too long.
    SlowDisk,
    /// Members were not heard, or cannot be reached, for a while.
    NoContact,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Room,
        Self::Memory,
        Self::Divergence,
        Self::Clock,
        Self::SlowDisk,
        Self::NoContact,
    ];

    /// Its name, which is that of its page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Memory => "memory",
            Self::Divergence => "divergence",
            Self::Clock => "clock",
            Self::SlowDisk => "slow-disk",
            Self::NoContact => "no-contact",
        }
    }
}

/// What a node knows of itself that may be wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symptoms {
    /// True while the disk has no room for another segment.
    pub is_full: bool,
    /// Each bound on memory: its name, what is used and what there is.
    pub memory: Vec<(&'static str, u64, u64)>,
    /// Where nodes hold different things, in words.
    pub divergence: Option<String>,
    /// How far the wall clock is ahead of the log's, in milliseconds.
    pub clock_offset_ms: i64,
    /// True while syncs take too long for the election timeout, on average.
    pub is_disk_slow: bool,
    /// How long the batch in flight has been with the disk.
    pub in_flight: Duration,
    /// Members that this node does not hear or reach now.
    pub missing: Vec<u64>,
    /// How long a follower waits for its leader.
    pub election_timeout: Duration,
}

/// The alarms of a node.
#[derive(Debug, Default)]
pub struct Alarms {
    listed: BTreeMap<AlarmKind, Alarm>,
    /// How often each was raised.
    raised: BTreeMap<AlarmKind, u64>,
    /// Since when each member is missing.
    missing_since: BTreeMap<u64, Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alarm {
    detail: String,
    since: Stamp,
    /// When its condition ended.
    ended: Option<Stamp>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An alarm was raised, for this reason.
    Raised(AlarmKind, String),
    /// Its condition ended.
    Over(AlarmKind),
}

impl Alarms {
    /// Compares with what is wrong at `now`, when the wall clock shows `wall`.
    pub fn update(&mut self, now: Instant, wall: Stamp, symptoms: &Symptoms) -> Vec<Change> {
        self.note_missing(now, &symptoms.missing);
        AlarmKind::ALL
            .into_iter()
            .filter_map(|kind| {
                let detail = self.detail(kind, now, symptoms);
                self.set(kind, wall, detail)
            })
            .collect()
    }

    /// Takes those off the list that are over; gives how many there were.
    pub fn clear(&mut self) -> usize {
        let before = self.listed.len();
        self.listed.retain(|_, alarm| alarm.ended.is_none());
        before - self.listed.len()
    }

    /// Those on the list, as the status has them.
    pub fn report(&self) -> Vec<AlarmReport> {
        let listed = self.listed.iter().map(|(kind, alarm)| AlarmReport {
            alarm: kind.name().to_owned(),
            raised: alarm.ended.is_none(),
            detail: alarm.detail.clone(),
            since_ms: alarm.since.as_millis(),
            ended_ms: alarm.ended.map(Stamp::as_millis),
        });
        listed.collect()
    }

    /// Each kind: whether it is raised, whether it is on the list, and how often it was raised.
    pub fn figures(&self) -> [(&'static str, bool, bool, u64); 6] {
        AlarmKind::ALL.map(|kind| {
            let count = self.raised.get(&kind).copied().unwrap_or(0);
            (
                kind.name(),
                self.is_raised(kind),
                self.listed.contains_key(&kind),
                count,
            )
        })
    }

    fn is_raised(&self, kind: AlarmKind) -> bool {
        self.listed.get(&kind).is_some_and(|alarm| alarm.ended.is_none())
    }

    fn set(&mut self, kind: AlarmKind, wall: Stamp, detail: Option<String>) -> Option<Change> {
        let was_raised = self.is_raised(kind);
        match detail {
            Some(detail) if was_raised => {
                if let Some(alarm) = self.listed.get_mut(&kind) {
                    alarm.detail = detail;
                }
                None
            }
            Some(detail) => {
                *self.raised.entry(kind).or_default() += 1;
                let alarm = Alarm {
                    detail: detail.clone(),
                    since: wall,
                    ended: None,
                };
                self.listed.insert(kind, alarm);
                Some(Change::Raised(kind, detail))
            }
            None if was_raised => {
                if let Some(alarm) = self.listed.get_mut(&kind) {
                    alarm.ended = Some(wall);
                }
                Some(Change::Over(kind))
            }
            None => None,
        }
    }

    /// Why the alarm is to be raised, or to stay; `None` when it is not.
    fn detail(&self, kind: AlarmKind, now: Instant, symptoms: &Symptoms) -> Option<String> {
        let stays = self.is_raised(kind);
        match kind {
            AlarmKind::Room => symptoms
                .is_full
                .then(|| "no room on the disk for another segment: writes are refused".to_owned()),
            AlarmKind::Memory => memory(symptoms, stays),
            AlarmKind::Divergence => symptoms.divergence.clone(),
            AlarmKind::Clock => clock(symptoms, stays),
            AlarmKind::SlowDisk => slow_disk(symptoms),
            AlarmKind::NoContact => self.no_contact(now, symptoms.election_timeout),
        }
    }

    fn note_missing(&mut self, now: Instant, missing: &[u64]) {
        self.missing_since.retain(|id, _| missing.contains(id));
        for id in missing {
            self.missing_since.entry(*id).or_insert(now);
        }
    }

    fn no_contact(&self, now: Instant, election_timeout: Duration) -> Option<String> {
        let patience = election_timeout * NO_CONTACT_TIMEOUTS;
        let gone = self
            .missing_since
            .iter()
            .filter(|(_, since)| now - **since >= patience);
        let ids: Vec<String> = gone.map(|(id, _)| id.to_string()).collect();
        (!ids.is_empty()).then(|| format!("no contact with node {}", ids.join(", ")))
    }
}

fn memory(symptoms: &Symptoms, stays: bool) -> Option<String> {
    let limit = if stays {
        MEMORY_OVER_PERCENT
    } else {
        MEMORY_RAISED_PERCENT
    };
    let is_near = |(_, used, most): &&(&str, u64, u64)| u128::from(*used) * 100 >= u128::from(*most) * limit;
    let (name, used, most) = symptoms.memory.iter().find(is_near)?;
    let [used, most] = [used, most].map(|bytes| bytes.div_ceil(1 << 20));
    Some(format!(
        "the process has {used} of {most} MiB that {name} lets it have"
    ))
}

fn clock(symptoms: &Symptoms, stays: bool) -> Option<String> {
    let offset = symptoms.clock_offset_ms;
    let limit = if stays { CLOCK_OVER_MS } else { CLOCK_RAISED_MS };
    let is_off = offset.unsigned_abs() > limit;
    is_off.then(|| format!("the wall clock is {offset:+} ms from the clock of the log"))
}

fn slow_disk(symptoms: &Symptoms) -> Option<String> {
    if symptoms.in_flight >= symptoms.election_timeout {
        return Some("a batch has been with the disk for longer than the election timeout".to_owned());
    }
    let is_slow = symptoms.is_disk_slow;
    is_slow.then(|| "the disk syncs too slowly for the election timeout: elections wait for it".to_owned())
}

/// So much of the memory that there is leaves room for one large snapshot.
const MEMORY_RAISED_PERCENT: u128 = 90;
/// Lower, or a process at the limit would raise the alarm all the time.
const MEMORY_OVER_PERCENT: u128 = 80;
/// As the check of `/readyz` has it.
const CLOCK_RAISED_MS: u64 = super::readiness::CLOCK_OFFSET_MS_MAX;
const CLOCK_OVER_MS: u64 = CLOCK_RAISED_MS / 2;
/// Long enough for a restart; elections are long over.
const NO_CONTACT_TIMEOUTS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Symptoms {
        Symptoms {
            memory: vec![("the machine", 10, 100)],
            election_timeout: Duration::from_millis(500),
            ..Symptoms::default()
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn update(alarms: &mut Alarms, millis: u64, symptoms: &Symptoms) -> Vec<Change> {
        alarms.update(at(millis), Stamp::from_millis(millis), symptoms)
    }

    /// What raises `kind`, and nothing else, at once or when it lasts.
    fn ill(kind: AlarmKind) -> Symptoms {
        match kind {
            AlarmKind::Room => Symptoms {
                is_full: true,
                ..well()
            },
            AlarmKind::Memory => Symptoms {
                memory: vec![("ulimit", 90, 100)],
                ..well()
            },
            AlarmKind::Divergence => Symptoms {
                divergence: Some("here".to_owned()),
                ..well()
            },
            AlarmKind::Clock => Symptoms {
                clock_offset_ms: -1001,
                ..well()
            },
            AlarmKind::SlowDisk => Symptoms {
                is_disk_slow: true,
                ..well()
            },
            AlarmKind::NoContact => Symptoms {
                missing: vec![3],
                ..well()
            },
        }
    }

    #[test]
    fn each_kind_is_raised_by_its_own_symptom_and_stays_listed_until_it_is_cleared() {
        for kind in AlarmKind::ALL {
            let mut alarms = Alarms::default();
            let mut changes = update(&mut alarms, 0, &ill(kind));
            changes.extend(update(&mut alarms, 5_000, &ill(kind)));
            assert!(
                matches!(&changes[..], [Change::Raised(raised, _)] if *raised == kind),
                "{changes:?}"
            );
            assert_eq!(alarms.clear(), 0, "what is raised stays");
            assert_eq!(update(&mut alarms, 6_000, &well()), [Change::Over(kind)]);
            let report = alarms.report();
            let is_over = |alarm: &AlarmReport| !alarm.raised && alarm.ended_ms == Some(6_000);
            assert!(report.len() == 1 && report.iter().all(is_over), "{report:?}");
            assert!(update(&mut alarms, 7_000, &well()).is_empty());
            let figures = alarms
                .figures()
                .into_iter()
                .find(|(name, ..)| *name == kind.name());
            assert_eq!(figures, Some((kind.name(), false, true, 1)));
            assert_eq!((alarms.clear(), alarms.report().len()), (1, 0));
        }
    }

    #[test]
    fn an_alarm_that_is_over_may_be_raised_again() {
        let mut alarms = Alarms::default();
        update(&mut alarms, 0, &ill(AlarmKind::Room));
        update(&mut alarms, 1, &well());
        update(&mut alarms, 2, &ill(AlarmKind::Room));
        let report = alarms.report();
        assert_eq!(
            (report[0].raised, report[0].since_ms, report[0].ended_ms),
            (true, 2, None)
        );
        assert_eq!(alarms.figures()[0], ("room", true, true, 2));
    }

    #[test]
    fn a_member_that_comes_back_in_time_is_no_alarm() {
        let mut alarms = Alarms::default();
        assert!(update(&mut alarms, 0, &ill(AlarmKind::NoContact)).is_empty());
        assert!(update(&mut alarms, 4_999, &ill(AlarmKind::NoContact)).is_empty());
        assert!(update(&mut alarms, 5_000, &well()).is_empty());
        assert!(
            update(&mut alarms, 5_001, &ill(AlarmKind::NoContact)).is_empty(),
            "its time begins again"
        );
        let raised = update(&mut alarms, 10_001, &ill(AlarmKind::NoContact));
        assert_eq!(
            raised,
            [Change::Raised(
                AlarmKind::NoContact,
                "no contact with node 3".to_owned()
            )]
        );
    }

    #[test]
    fn what_is_at_the_limit_is_not_raised_and_over_all_the_time() {
        let mut alarms = Alarms::default();
        let memory = |used| Symptoms {
            memory: vec![("ulimit", used, 100)],
            ..well()
        };
        let clock = |offset| Symptoms {
            clock_offset_ms: offset,
            ..well()
        };
        assert!(update(&mut alarms, 0, &memory(89)).is_empty());
        assert_eq!(update(&mut alarms, 1, &memory(90)).len(), 1);
        assert!(update(&mut alarms, 2, &memory(80)).is_empty());
        assert_eq!(update(&mut alarms, 3, &memory(79)).len(), 1);
        assert!(update(&mut alarms, 4, &clock(1000)).is_empty());
        assert_eq!(update(&mut alarms, 5, &clock(1001)).len(), 1);
        assert!(update(&mut alarms, 6, &clock(-501)).is_empty());
        assert_eq!(update(&mut alarms, 7, &clock(500)).len(), 1);
    }

    #[test]
    fn a_batch_that_hangs_is_a_slow_disk() {
        let hangs = |millis| Symptoms {
            in_flight: Duration::from_millis(millis),
            ..well()
        };
        let mut alarms = Alarms::default();
        assert!(update(&mut alarms, 0, &hangs(499)).is_empty());
        assert!(matches!(
            update(&mut alarms, 1, &hangs(500))[..],
            [Change::Raised(AlarmKind::SlowDisk, _)]
        ));
    }
}
