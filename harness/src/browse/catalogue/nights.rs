//! Runs and campaigns by day, for trends.
//!
//! Invariant: a figure is of what was measured on that day alone; a day without a measurement has none, and is no zero.

use std::collections::BTreeMap;

use super::{Campaign, Catalogue, EntryFigures, Run};
use crate::campaign::{Place, Verdict};

/// A day, in UTC: what began on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Night {
    /// The day, `2026-11-29`.
    pub day: String,
    /// Runs and seeds by verdict, in the order of [`Verdict::ALL`].
    pub verdicts: [u64; 4],
    /// Completed operations a second on real processes: the median of the runs.
    pub rate: Option<f64>,
    /// The longest time without a completed operation on real processes, in nanoseconds: the median of the runs.
    pub outage_ns: Option<f64>,
    /// Seeds until the first failure of a campaign that found something: the median.
    pub detection_seeds: Option<f64>,
    /// Time of the processors until then, in milliseconds: the median.
    pub detection_cpu_ms: Option<f64>,
    /// States that a seed of the simulation reached: the median.
    pub coverage: Option<f64>,
    /// Seeds of the simulation in a second of the processor.
    pub speed: Option<f64>,
}

/// What is collected of a day.
#[derive(Default)]
struct Day {
    verdicts: [u64; 4],
    rates: Vec<f64>,
    outages: Vec<f64>,
    seeds: Vec<f64>,
    cpu_ms: Vec<f64>,
    coverage: Vec<f64>,
    simulated: (u64, u64),
}

/// The days of the catalogue's runs that `takes_run` takes, and of the entries of campaigns that `takes_entry` takes, the earliest first. When
/// a campaign failed first is a figure of the campaign: it counts where all entries are taken. `outage_ns` says
/// how long a run completed nothing.
pub fn nights(
    catalogue: &Catalogue,
    takes_run: impl Fn(&Run) -> bool,
    takes_entry: impl Fn(&Campaign, &EntryFigures) -> bool,
    mut outage_ns: impl FnMut(&Run) -> Option<u64>,
) -> Vec<Night> {
    let mut days: BTreeMap<String, Day> = BTreeMap::new();
    for campaign in &catalogue.campaigns {
        let entries = campaign.entries.values();
        let taken: Vec<&EntryFigures> = entries.filter(|entry| takes_entry(campaign, entry)).collect();
        if !taken.is_empty() {
            let day = days.entry(campaign.about.when.day()).or_default();
            day.add_campaign(campaign, &taken);
        }
    }
    for run in catalogue.runs.iter().filter(|run| takes_run(run)) {
        let day = days.entry(run.about.when.day()).or_default();
        let is_of_campaign = catalogue.owner(run).is_some_and(|campaign| {
            let mut entries = campaign.entries.values();
            entries.any(|entry| entry.plan == run.about.plan && takes_entry(campaign, entry))
        });
        // A campaign has counted it already.
        if !is_of_campaign {
            day.verdicts[place_of(Verdict::from(run.came.verdict))] += 1;
        }
        if run.about.place == Some(Place::Processes) {
            if !is_of_campaign {
                day.rates.extend(run.came.rate());
            }
            day.outages.extend(outage_ns(run).map(|nanos| nanos as f64));
        }
    }
    days.into_iter().map(|(day, of)| of.night(day)).collect()
}

fn place_of(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Valid => 0,
        Verdict::Unknown => 1,
        Verdict::Failed => 2,
        Verdict::Invalid => 3,
    }
}

impl Day {
    fn add_campaign(&mut self, campaign: &Campaign, taken: &[&EntryFigures]) {
        for entry in taken {
            for (sum, count) in self.verdicts.iter_mut().zip(entry.counts()) {
                *sum += count;
            }
            self.rates.extend(&entry.rates);
            self.coverage
                .extend(entry.coverage.iter().map(|states| *states as f64));
            if entry.place == Place::Simulation {
                self.simulated.0 += entry.totals.seeds;
                self.simulated.1 += entry.totals.cpu_ms;
            }
        }
        if let Some(detection) = campaign.detection
            && taken.len() == campaign.entries.len()
        {
            self.seeds.push(detection.seeds as f64);
            self.cpu_ms.push(detection.cpu_ms as f64);
        }
    }

    fn night(self, day: String) -> Night {
        let (seeds, cpu_ms) = self.simulated;
        Night {
            day,
            verdicts: self.verdicts,
            rate: median(self.rates),
            outage_ns: median(self.outages),
            detection_seeds: median(self.seeds),
            detection_cpu_ms: median(self.cpu_ms),
            coverage: median(self.coverage),
            speed: (cpu_ms > 0).then(|| seeds as f64 * 1e3 / cpu_ms as f64),
        }
    }
}

/// The middle one; of an even number the lower of the two, which was measured.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
