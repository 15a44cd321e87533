//! Figures by day: each drawn, and all of them in a table as text.

use maud::{Markup, html};

use super::View;
use super::plot::{Plot, bars, line};
use super::words::{count, counted, duration, figure, scrolled, span};
use crate::browse::address::{Filter, Page};
use crate::browse::catalogue::{Night, nights};
use crate::campaign::Verdict;

/// Days that are drawn and listed: half a year.
const DAYS_MAX: usize = 180;
/// Runs whose histories are read for it, the newest of those on real processes.
const HISTORIES_MAX: usize = 300;

/// What is drawn.
struct Measure {
    name: &'static str,
    /// What a figure is.
    about: &'static str,
    of: fn(&Night) -> Option<f64>,
    write: fn(f64) -> String,
}

const MEASURES: [Measure; 6] = [
    Measure {
        name: "Throughput",
        about: "completed operations a second on real processes, the median of the runs",
        of: |night| night.rate,
        write: figure,
    },
    Measure {
        name: "Failover",
        about: "the longest time without a completed operation on real processes, the median of the runs",
        of: |night| night.outage_ns,
        write: |nanos| duration(nanos as u64),
    },
    Measure {
        name: "Detection, in seeds",
        about: "seeds until the first failure of a campaign that found something, the median",
        of: |night| night.detection_seeds,
        write: figure,
    },
    Measure {
        name: "Detection, in time",
        about: "time of the processors until the first failure of a campaign that found something, the median",
        of: |night| night.detection_cpu_ms,
        write: |millis| span(millis as u64),
    },
    Measure {
        name: "Coverage",
        about: "states that a seed of the simulation reached, the median",
        of: |night| night.coverage,
        write: figure,
    },
    Measure {
        name: "Speed of the simulation",
        about: "seeds in a second of the processor",
        of: |night| night.speed,
        write: figure,
    },
];

impl View<'_> {
    pub(super) fn trends(&self, filter: &Filter) -> Markup {
        let mut left = HISTORIES_MAX;
        // The newest first, as the catalogue has them.
        let outage = |run: &crate::browse::catalogue::Run| {
            left = left.checked_sub(1)?;
            (self.figures)(run).as_ref().as_ref().ok()?.outage_ns
        };
        let all = nights(
            self.catalogue,
            |run| filter.takes_run(run),
            |campaign, entry| filter.takes_campaign(campaign) && filter.takes_entry(campaign, entry),
            outage,
        );
        let days = &all[all.len().saturating_sub(DAYS_MAX)..];
        let is_measured = |measure: &&Measure| days.iter().any(|night| (measure.of)(night).is_some());
        let (drawn_measures, missing): (Vec<&Measure>, Vec<&Measure>) =
            MEASURES.iter().partition(is_measured);
        let missing: Vec<&str> = missing.iter().map(|measure| measure.name).collect();
        let of_files = self
            .catalogue
            .campaigns
            .iter()
            .filter(|one| one.about.when.is_of_file())
            .count();
        html! {
            section {
                @if self.links.is_served() { (self.form(&Page::Trends(filter.clone()), filter)) }
                p { "By the day on which a run or a campaign began. A day without a measurement has no point." }
                @if days.is_empty() { p .dim { "There is nothing to draw." } }
                @if days.len() < all.len() { p .dim { "The last " (DAYS_MAX) " of " (all.len()) " days." } }
                @if of_files > 0 { p .dim { "Of " (counted(of_files as u64, "campaign")) " the beginning is not known: the day is that of the last result." } }
            }
            @if !days.is_empty() {
                div .plots {
                    (verdicts(days))
                    @for measure in drawn_measures.iter() { (drawn(measure, days)) }
                }
                @if !missing.is_empty() { p .dim { "Not measured on these days: " (missing.join("; ")) "." } }
                section { h2 { "In figures" } (figures(days)) }
            }
        }
    }
}

fn verdicts(days: &[Night]) -> Markup {
    let bars = bars(
        &Plot {
            title: "Verdicts",
            days: days.iter().map(|night| night.day.as_str()).collect(),
            write: figure,
        },
        &days.iter().map(|night| night.verdicts).collect::<Vec<_>>(),
    );
    html! {
        section { h2 { "Verdicts" } p .dim { "the part of runs and seeds with each verdict" } (bars)
            p .legend { @for (at, verdict) in Verdict::ALL.iter().enumerate() { span { i .(format!("part{at}")) {} (verdict.name()) } " " } } }
    }
}

fn drawn(measure: &Measure, days: &[Night]) -> Markup {
    let values: Vec<Option<f64>> = days.iter().map(measure.of).collect();
    let plot = Plot {
        title: measure.name,
        days: days.iter().map(|night| night.day.as_str()).collect(),
        write: measure.write,
    };
    html! {
        section {
            h2 { (measure.name) }
            p .dim { (measure.about) }
            (line(&plot, &values))
        }
    }
}

/// The newest day first.
fn figures(days: &[Night]) -> Markup {
    let table = html! {
        table .list {
            thead { tr { th { "Day" }
                @for verdict in Verdict::ALL { th .n { (verdict.name()) } }
                @for measure in &MEASURES { th .n { (measure.name) } } } }
            tbody { @for night in days.iter().rev() {
                tr { td { (night.day) }
                    @for (verdict, number) in Verdict::ALL.iter().zip(night.verdicts) {
                        td .n .(if number > 0 { super::words::class(*verdict) } else { "dim" }) { (count(number)) }
                    }
                    @for measure in &MEASURES {
                        td .n { @match (measure.of)(night) { Some(value) => { ((measure.write)(value)) }, None => span .dim { "none" } } }
                    }
                }
            } }
        }
    };
    scrolled("Figures by day", &table)
}
