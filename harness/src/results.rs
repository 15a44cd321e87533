//! What a run or a check came to: the outcome, its exit code, and `results.json`.
//!
//! Invariant: `unknown` is never reported as `valid`; the worst part decides the whole
//! (invalid is worse than unknown, because it is proof, and a valid part cannot undo it).

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The three answers, in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The system kept its promise.
    Valid,
    /// It could not be decided, or nothing was put to the test.
    Unknown,
    /// The system broke its promise.
    Invalid,
}

/// Exit code when the harness itself failed; says nothing about the system.
pub const EXIT_HARNESS_FAILURE: u8 = 254;
/// Exit code for wrong arguments or unreadable plans (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

impl Outcome {
    /// 0, 1 or 2.
    pub fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
        }
    }

    /// The more severe of two.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        self.max(other)
    }

    /// `valid`, `invalid` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Version of `results.json`.
pub const RESULTS_VERSION: u32 = 1;

/// The content of `results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`RESULTS_VERSION`].
    #[serde(rename = "results")]
    pub version: u32,
    /// The worst of the checks, or `unknown` when the run proved nothing.
    pub verdict: Outcome,
    /// Why the verdict is not simply that of the checks (a vacuous phase, a fault without an effect).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What was not quite as the plan wants it, and leaves the verdict as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Operations by how they ended.
    pub operations: Counts,
    /// One entry a checker.
    pub checks: Vec<CheckResult>,
    /// One entry a phase of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseResult>,
    /// One entry a fault that was injected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultResult>,
    /// The system under test, with its versions, when a file declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What was between the nodes, of real processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Decisions of the nemesis that could not be carried out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decisions_skipped: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Operations by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Begun.
    pub invoked: u64,
    /// Took effect.
    pub ok: u64,
    /// Certainly had no effect.
    pub fail: u64,
    /// Unknown, including those still open at the end.
    pub info: u64,
}

/// Which operations of a history a checker used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Operations in the history.
    pub recorded: u64,
    /// Those that the verdict rests on.
    pub used: u64,
    /// The others, by function and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

/// Operations of one function that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Their function.
    pub function: String,
    /// Why they were left out.
    pub why: String,
    /// How many they are.
    pub count: u64,
}

impl Usage {
    /// None of `recorded` operations was used.
    pub fn none(recorded: u64, why: &str) -> Self {
        let all = Ignored {
            function: "of all".to_owned(),
            why: why.to_owned(),
            count: recorded,
        };
        Self {
            recorded,
            used: 0,
            ignored: Some(all).filter(|all| all.count > 0).into_iter().collect(),
        }
    }
}

impl std::fmt::Display for Usage {
    /// `3 of 5 operations used, 2 ignored: 1 cas (failed), 1 read (no value)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN_MAX: usize = 8;
        write!(f, "{} of {} operations used", self.used, self.recorded)?;
        if self.ignored.is_empty() {
            return Ok(());
        }
        write!(f, ", {} ignored: ", self.recorded - self.used)?;
        for (at, ignored) in self.ignored.iter().take(SHOWN_MAX).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{} {} ({})",
                ignored.count, ignored.function, ignored.why
            )?;
        }
        match self.ignored.len().checked_sub(SHOWN_MAX) {
            Some(more) if more > 0 => write!(f, ", and for {more} more reasons"),
            Some(_) | None => Ok(()),
        }
    }
}

/// What one checker said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Model, such as `register` or `log`.
    pub model: String,
    /// Its verdict.
    pub verdict: Outcome,
    /// Operations it used.
    pub operations: u64,
    /// Which those are, and why the others are not among them; for checkers of histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Seconds it took.
    pub seconds: f64,
    /// One sentence: why invalid, or what ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The explanation in full, bounded in size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// The violation, for those who want to see when it was and what takes part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// A violation as people read it. Bounded, like an explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The beginning of what is wrong, nanoseconds since the run began; absent when the history has no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ns: Option<u64>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ns: Option<u64>,
    /// The operations that have no order, in order of invocation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Involved>,
    /// Why they have none, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// The operations over time, as an SVG document: a file of its own in a run's folder.
    #[serde(skip)]
    pub drawing: Option<String>,
}

/// An operation that takes part in a violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Involved {
    /// What sentences call it.
    pub letter: String,
    /// Who did it.
    pub process: String,
    /// What was done.
    pub what: String,
    /// The node that was asked, if the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it was called, nanoseconds since the run began, if the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_ns: Option<u64>,
    /// When it returned; absent when its outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_ns: Option<u64>,
}

/// What happened during one phase of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// Name in the plan.
    pub name: String,
    /// Begin, nanoseconds since the run began.
    pub from_ns: u64,
    /// End, nanoseconds since the run began.
    pub to_ns: u64,
    /// Operations that completed in it.
    pub operations: Counts,
}

/// What became of one injected fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultResult {
    /// Name and resolved targets.
    pub fault: String,
    /// The kind that the plan names, such as `kill`.
    #[serde(default)]
    pub kind: String,
    /// Begin, nanoseconds since the run began.
    pub from_ns: u64,
    /// Healed, nanoseconds since the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ns: Option<u64>,
    /// The evidence that it took hold; a fault without any proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why there is no evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What a power cut took that was not synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

impl FaultResult {
    /// Its effect, or why it had none.
    pub fn effect(&self) -> String {
        match (&self.evidence, &self.why) {
            (Some(evidence), _) => evidence.clone(),
            (None, Some(why)) => format!("NO EFFECT: {why}"),
            (None, None) => "NO EFFECT".to_owned(),
        }
    }
}

/// What a power cut took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Bytes that had been written to files and not synced.
    pub bytes: u64,
    /// Names that had been made, changed or removed and not synced.
    pub names: u64,
}

impl Lost {
    /// Whether it took anything.
    pub fn is_some(self) -> bool {
        self != Self::default()
    }
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.names += other.names;
    }
}

impl Results {
    /// Collects checks; the verdict is the worst of them, `unknown` when there are none.
    pub fn from_checks(operations: Counts, checks: Vec<CheckResult>) -> Self {
        let verdict = checks
            .iter()
            .map(|check| check.verdict)
            .max()
            .unwrap_or(Outcome::Unknown);
        Self {
            version: RESULTS_VERSION,
            verdict,
            reasons: Vec::new(),
            remarks: Vec::new(),
            operations,
            checks,
            phases: Vec::new(),
            faults: Vec::new(),
            system: None,
            network: None,
            decisions_skipped: 0,
        }
    }

    /// The check that failed, by name: what a run on real processes broke.
    pub fn broken(&self) -> Option<&str> {
        let mut checks = self.checks.iter();
        let broken = checks.find(|check| check.verdict == Outcome::Invalid)?;
        Some(&broken.model)
    }

    /// Whether the check called `rule` failed, whatever else did.
    pub fn breaks(&self, rule: &str) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|check| check.verdict == Outcome::Invalid && check.model == rule)
    }

    /// Records that the run does not prove what it claims: at best the verdict is now `unknown`.
    pub fn doubt(&mut self, reason: impl Into<String>) {
        self.verdict = self.verdict.worst(Outcome::Unknown);
        self.reasons.push(reason.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_outweighs_unknown_and_doubt_never_hides_it() {
        assert_eq!(Outcome::Valid.worst(Outcome::Unknown), Outcome::Unknown);
        assert_eq!(Outcome::Unknown.worst(Outcome::Invalid), Outcome::Invalid);
        let mut results = Results::from_checks(Counts::default(), Vec::new());
        assert_eq!(results.verdict, Outcome::Unknown, "no check proves nothing");
        results.verdict = Outcome::Invalid;
        results.doubt("phase calm completed no operation");
        assert_eq!(results.verdict, Outcome::Invalid);
    }
}
