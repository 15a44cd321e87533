//! Whether a node should be sent requests: each check by name, and what is wrong.
//!
//! Invariant: a node is ready when no check has failed; a warning is said and changes nothing.

use std::fmt::Write;
use std::time::Duration;

use super::status::LoadingReport;

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It reads its directory, and knows nothing else.
    Loading(LoadingReport),
    /// It runs.
    Running(Running),
}

/// What is known of a node that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// Why it takes no requests, if it does not.
    pub withdrawn: Option<&'static str>,
    /// The leader.
    pub leader: Option<u64>,
    /// True while its disk has no room for another segment.
    pub is_full: bool,
    /// How long the batch in flight has been with the disk.
    pub in_flight: Duration,
    /// True while syncs take too long for the election timeout, on average.
    pub is_disk_slow: bool,
    /// How long a follower waits for its leader.
    pub election_timeout: Duration,
    /// Entries that are known to be committed and not applied.
    pub lag_entries: u64,
    /// How far the wall clock is ahead of the log's, in milliseconds.
    pub clock_offset_ms: i64,
}

/// A check, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, which stays.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Good,
    /// Not known, because the node is still loading.
    Unknown,
    /// Something is not as it should be, and the node serves.
    Warning(String),
    /// The node should be sent no requests.
    Failed(String),
}

/// Every check, in the order of `/readyz`.
pub fn checks(condition: &Condition) -> [Check; 7] {
    CHECKS.map(|(name, check)| Check {
        name,
        verdict: match condition {
            Condition::Running(running) => check(running),
            Condition::Loading(progress) if name == "loading" => {
                Verdict::Failed(format!("it reads its data directory: {progress}"))
            }
            Condition::Loading(_) => Verdict::Unknown,
        },
    })
}

/// Whether it should be sent requests.
pub fn is_ready(checks: &[Check]) -> bool {
    !checks
        .iter()
        .any(|check| matches!(check.verdict, Verdict::Failed(_)))
}

/// What `/readyz` says: `ok`, or what failed.
pub fn summary(checks: &[Check]) -> String {
    let failed = checks
        .iter()
        .filter(|check| matches!(check.verdict, Verdict::Failed(_)));
    let names: Vec<&str> = failed.map(|check| check.name).collect();
    match names.is_empty() {
        true => "ok\n".to_owned(),
        false => format!("failed: {}\n", names.join(", ")),
    }
}

/// What `/readyz?verbose` says: a line for each check, then the summary.
pub fn details(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { name, verdict } in checks {
        match verdict {
            Verdict::Good => writeln!(text, "[+] {name}: ok"),
            Verdict::Unknown => writeln!(text, "[?] {name}: not known yet"),
            Verdict::Warning(why) => writeln!(text, "[!] {name}: warning: {why}"),
            Verdict::Failed(why) => writeln!(text, "[-] {name}: failed: {why}"),
        }
        .expect("a string takes every line");
    }
    text + &summary(checks)
}

impl Running {
    fn serving(&self) -> Verdict {
        self.withdrawn
            .map_or(Verdict::Good, |why| Verdict::Failed(why.to_owned()))
    }

    fn leader(&self) -> Verdict {
        match self.leader {
            Some(_) => Verdict::Good,
            None => Verdict::Failed("no leader is known".to_owned()),
        }
    }

    fn disk(&self) -> Verdict {
        if self.in_flight >= self.election_timeout {
            return Verdict::Failed(format!(
                "a batch has been with the disk for {:.1} s",
                self.in_flight.as_secs_f64()
            ));
        }
        match self.is_disk_slow {
            true => Verdict::Warning(
                "it syncs too slowly for the election timeout: elections wait for it".to_owned(),
            ),
            false => Verdict::Good,
        }
    }

    fn room(&self) -> Verdict {
        match self.is_full {
            true => Verdict::Failed("no room on the disk for another segment: writes are refused".to_owned()),
            false => Verdict::Good,
        }
    }

    fn lag(&self) -> Verdict {
        match self.lag_entries {
            0..=LAG_ENTRIES_MAX => Verdict::Good,
            lag => Verdict::Failed(format!("{lag} committed entries are not applied")),
        }
    }

    fn clock(&self) -> Verdict {
        match self.clock_offset_ms {
            offset if offset.unsigned_abs() <= CLOCK_OFFSET_MS_MAX => Verdict::Good,
            offset => Verdict::Warning(format!(
                "the wall clock is {offset:+} ms from the clock of the log"
            )),
        }
    }
}

/// The checks: their names, and what they say of a node that runs.
const CHECKS: [(&str, Judge); 7] = [
    ("serving", Running::serving),
    ("loading", |_| Verdict::Good),
    ("leader", Running::leader),
    ("disk", Running::disk),
    ("room", Running::room),
    ("lag", Running::lag),
    ("clock", Running::clock),
];

/// What a check says of a node that runs.
type Judge = fn(&Running) -> Verdict;

/// Applied in well under a second; a node that is behind by more is catching up.
pub const LAG_ENTRIES_MAX: u64 = 10_000;
/// Clocks that are kept by NTP differ by less, even over poor links.
pub const CLOCK_OFFSET_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Running {
        Running {
            leader: Some(2),
            election_timeout: Duration::from_millis(500),
            ..Running::default()
        }
    }

    fn verdict_of(name: &str, running: Running) -> Verdict {
        let all = checks(&Condition::Running(running));
        let check = all.into_iter().find(|check| check.name == name);
        check.expect("a check of this name").verdict
    }

    /// The check `name` fails, or only warns, and all others are well.
    fn expect_only(name: &str, running: Running, fails: bool) {
        let all = checks(&Condition::Running(running));
        for check in &all {
            let is_it = match &check.verdict {
                Verdict::Good => false,
                Verdict::Failed(_) => fails,
                Verdict::Warning(_) => !fails,
                Verdict::Unknown => panic!("it runs"),
            };
            assert_eq!(is_it, check.name == name, "{check:?}");
        }
        assert_eq!(is_ready(&all), !fails);
        let expected = if fails {
            format!("failed: {name}\n")
        } else {
            "ok\n".to_owned()
        };
        assert_eq!(summary(&all), expected);
        assert!(details(&all).ends_with(&expected));
    }

    #[test]
    fn a_node_that_is_well_is_ready() {
        let all = checks(&Condition::Running(well()));
        assert!(is_ready(&all));
        assert_eq!(summary(&all), "ok\n");
        assert_eq!(details(&all).matches("[+] ").count(), CHECKS.len());
    }

    #[test]
    fn each_fault_fails_its_own_check() {
        expect_only(
            "leader",
            Running {
                leader: None,
                ..well()
            },
            true,
        );
        expect_only(
            "room",
            Running {
                is_full: true,
                ..well()
            },
            true,
        );
        expect_only(
            "serving",
            Running {
                withdrawn: Some("it stops"),
                ..well()
            },
            true,
        );
        let stuck = Running {
            in_flight: Duration::from_millis(500),
            ..well()
        };
        expect_only("disk", stuck, true);
        expect_only(
            "lag",
            Running {
                lag_entries: LAG_ENTRIES_MAX + 1,
                ..well()
            },
            true,
        );
    }

    #[test]
    fn what_does_not_keep_a_node_from_serving_is_a_warning() {
        expect_only(
            "disk",
            Running {
                is_disk_slow: true,
                ..well()
            },
            false,
        );
        for offset in [1_001, -1_001, i64::MIN] {
            expect_only(
                "clock",
                Running {
                    clock_offset_ms: offset,
                    ..well()
                },
                false,
            );
        }
    }

    #[test]
    fn limits_are_not_exceeded_yet_where_they_are_met() {
        let edge = Running {
            in_flight: Duration::from_millis(499),
            lag_entries: LAG_ENTRIES_MAX,
            clock_offset_ms: -1_000,
            ..well()
        };
        for (name, _) in CHECKS {
            assert_eq!(verdict_of(name, edge.clone()), Verdict::Good, "{name}");
        }
    }

    #[test]
    fn a_node_that_loads_is_not_ready_and_knows_nothing_else() {
        let all = checks(&Condition::Loading(LoadingReport {
            total_bytes: 4 << 20,
            read_bytes: 1 << 20,
        }));
        assert!(!is_ready(&all));
        let text = details(&all);
        assert!(
            text.contains("[-] loading: failed: it reads its data directory: 1 of 4 MiB\n"),
            "{text}"
        );
        assert_eq!(text.matches("[?] ").count(), CHECKS.len() - 1);
        assert!(text.ends_with("failed: loading\n"));
    }
}
