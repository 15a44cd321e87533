//! `harness sim --coverage`: which kinds of states a campaign reached, in words and as a file, and what is less than before.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use harness::plan::Plan;
use harness::sim::campaign::{Campaign, Totals};
use harness::sim::{Coverage, Incomparable, Reached};

/// Where what was reached is written, and what it is compared with.
#[derive(clap::Args)]
pub(crate) struct CoverageArgs {
    /// Counts the kinds of states that the seeds reach, and writes them to this file.
    ///
    /// A kind is one value of what is seen of a node from outside: its role, its term and its log compared with
    /// the others', the configuration, entries that are missing, what is in flight, and more. The file says how
    /// many runs reached each kind, which kinds no run reached, and how many distinct combinations there were, of
    /// one node and of the cluster. The same seeds give the same file. Counting costs about a tenth of the speed.
    #[arg(long, value_name = "FILE", requires = "seeds")]
    coverage: Option<PathBuf>,
    /// Compares what is reached with this file of an earlier campaign, and exits with 2 when it is less.
    ///
    /// Both have to be of the same plan, length and number of seeds. Less is: a kind that 8 runs or more reached
    /// is reached by none; one that 20 or more reached, by fewer than a quarter of them; or distinct states of a
    /// node are more than 15 % fewer. (What was rarer may be missed by chance: it is listed, and no more.) When
    /// it is meant, for a fault left the plan, write the baseline again with --coverage.
    #[arg(long, value_name = "FILE", requires = "seeds")]
    coverage_baseline: Option<PathBuf>,
}

/// What has to be done when the campaign is over.
pub(crate) struct Wanted<'a> {
    args: &'a CoverageArgs,
    baseline: Option<Reached>,
}

impl CoverageArgs {
    /// True when states have to be counted.
    pub(crate) fn is_asked(&self) -> bool {
        self.coverage.is_some() || self.coverage_baseline.is_some()
    }

    /// Reads the baseline.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says nothing of this plan: better now than after hours.
    pub(crate) fn open(&self, plan: &Plan, seeds: &Range<u64>) -> Result<Wanted<'_>, Box<dyn Error>> {
        let mut baseline = None;
        if let Some(path) = &self.coverage_baseline {
            let read = Reached::read(path)?;
            match Reached::new(plan, seeds, &Coverage::default()).compare(&read) {
                Err(why @ (Incomparable::Plans(..) | Incomparable::Times(..))) => {
                    return Err(format!("{} cannot be compared with: {why}", path.display()).into());
                }
                // How many runs there are shows in the end.
                Err(Incomparable::Runs(..)) | Ok(_) => baseline = Some(read),
            }
        }
        Ok(Wanted { args: self, baseline })
    }
}

impl Wanted<'_> {
    /// Writes what was reached, and hands lines for a person to `show`. False when it is less than before, or was not
    /// to be compared.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) fn report(
        &self,
        campaign: &Campaign,
        totals: &Totals,
        show: impl Fn(&str),
    ) -> Result<bool, Box<dyn Error>> {
        let Some(coverage) = &totals.coverage else {
            return Ok(self.baseline.is_none());
        };
        let reached = Reached::new(&campaign.plan, &campaign.seeds, coverage);
        describe(&reached, &show);
        if let Some(path) = &self.args.coverage {
            let written = reached.write(path);
            written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
            show(&format!("coverage is in {}", path.display()));
        }
        let baseline = self.baseline.as_ref().zip(self.args.coverage_baseline.as_deref());
        Ok(baseline.is_none_or(|(baseline, path)| compare(&reached, baseline, path, &show)))
    }
}

fn compare(reached: &Reached, baseline: &Reached, path: &Path, show: &impl Fn(&str)) -> bool {
    let path = path.display();
    let found = match reached.compare(baseline) {
        Ok(found) => found,
        Err(why) => {
            show(&format!("coverage: cannot be compared with {path}: {why}"));
            return false;
        }
    };
    for line in &found.rare {
        show(&format!("coverage: rare before, and missed now: {line}"));
    }
    for line in &found.falls {
        show(&format!("coverage fell: {line}"));
    }
    let is_kept = found.falls.is_empty();
    show(&if is_kept {
        format!("coverage: not less than in {path}")
    } else {
        format!("coverage: less than in {path}: this campaign no longer tests what that one tested")
    });
    is_kept
}

fn describe(reached: &Reached, show: &impl Fn(&str)) {
    let totals = &reached.totals;
    let kinds: usize = reached.kinds.values().map(|kinds| kinds.len()).sum();
    let never: usize = reached.never.values().map(Vec::len).sum();
    show(&format!(
        "coverage: {kinds} of {} kinds, {} distinct states of a node, {} of the cluster, in {} runs",
        kinds + never,
        totals.nodes,
        totals.clusters,
        totals.runs
    ));
    for (dimension, kinds) in &reached.never {
        show(&format!("never reached: {dimension}: {}", kinds.join("; ")));
    }
}
