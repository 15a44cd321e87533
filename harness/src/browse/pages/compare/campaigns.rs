//! Two campaigns side by side, entry by entry: what they found, how much they did, how far they came.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::View;
use super::super::words::{class, figure, span, verdict, when};
use super::rows::{Row, part};
use crate::browse::address::Page;
use crate::browse::catalogue::{Campaign, EntryFigures};
use crate::campaign::Totals;

impl View<'_> {
    pub(in crate::browse::pages) fn compare_campaigns(&self, one: &Campaign, two: &Campaign) -> Markup {
        let swapped = Page::Compare(two.path.clone(), one.path.clone());
        let entries: BTreeSet<&String> = one.entries.keys().chain(two.entries.keys()).collect();
        html! {
            section #verdict .(class(two.verdict)) {
                h2 { "Verdict" }
                div .two { (self.campaign_side("First", one)) (self.campaign_side("Second", two)) }
                @if let Some(href) = self.links.page(&swapped) { p { a href=(href) { "Exchange them" } } }
            }
            (part("What ran", &about(one, two)))
            (part("What was found", &findings(one, two)))
            @for entry in entries { (part(entry, &figures(one.entries.get(entry), two.entries.get(entry)))) }
        }
    }

    fn campaign_side(&self, which: &str, campaign: &Campaign) -> Markup {
        let name = super::super::campaign::name(campaign);
        html! {
            div {
                p .dim { (which) ", " (when(&campaign.about.when)) }
                p { (self.link(&Page::Campaign(campaign.path.clone()), &name)) " " (verdict(campaign.verdict)) }
                p .reason { (super::super::campaign::paragraph(campaign)) }
            }
        }
    }
}

fn about(one: &Campaign, two: &Campaign) -> Vec<Row> {
    let text = |name: &str, of: fn(&Campaign) -> String| Row::text(name, Some(of(one)), Some(of(two)));
    let number = |name: &str, of: fn(&Campaign) -> Option<f64>, write: fn(f64) -> String| {
        Row::measured(name, of(one), of(two), write)
    };
    vec![
        text("campaign", super::super::campaign::name),
        text("builds", |campaign| {
            let builds: Vec<&str> = campaign.about.builds.iter().map(String::as_str).collect();
            builds.join(" ")
        }),
        number(
            "took",
            |campaign| Some(campaign.about.spent_ms as f64),
            |millis| span(millis as u64),
        ),
        number(
            "seeds until the first failure",
            |campaign| Some(campaign.detection?.seeds as f64),
            figure,
        ),
        number(
            "time of the processors until the first failure",
            |campaign| Some(campaign.detection?.cpu_ms as f64),
            |millis| span(millis as u64),
        ),
    ]
}

/// How often each rule was broken.
fn findings(one: &Campaign, two: &Campaign) -> Vec<Row> {
    let names: BTreeSet<String> = [one, two]
        .iter()
        .flat_map(|campaign| campaign.findings.iter().map(|finding| finding.name()))
        .collect();
    let seeds = |campaign: &Campaign, name: &str| {
        let mut findings = campaign.findings.iter();
        findings
            .find(|finding| finding.name() == name)
            .map_or(0, |finding| finding.group.seeds)
    };
    let rows = names
        .iter()
        .map(|name| Row::counted(&format!("{name}, in seeds"), seeds(one, name), seeds(two, name)));
    rows.collect()
}

fn figures(one: Option<&EntryFigures>, two: Option<&EntryFigures>) -> Vec<Row> {
    let number = |name: &str, of: fn(&EntryFigures) -> Option<f64>, write: fn(f64) -> String| {
        Row::measured(name, one.and_then(of), two.and_then(of), write)
    };
    let total = |name: &str, of: fn(&Totals) -> u64| {
        let of = |entry: Option<&EntryFigures>| entry.map(|entry| of(&entry.totals) as f64);
        Row::measured(name, of(one), of(two), |value| {
            super::super::words::count(value as u64)
        })
    };
    vec![
        total("seeds", |totals| totals.seeds),
        total("invalid", |totals| totals.invalid),
        total("unknown", |totals| totals.unknown),
        total("harness failures", |totals| totals.failed),
        total("operations", |totals| totals.operations),
        total("faults with an effect", |totals| totals.faults),
        number(
            "states that a seed reached, the median",
            |entry| middle(&entry.coverage).map(|states| *states as f64),
            figure,
        ),
        number(
            "states that a seed reached, the most",
            |entry| entry.coverage.last().map(|states| *states as f64),
            figure,
        ),
        number(
            "completed operations a second, the median",
            |entry| middle(&entry.rates).copied(),
            figure,
        ),
        number("seeds in a second of the processor", seeds_a_second, figure),
    ]
}

fn middle<T>(sorted: &[T]) -> Option<&T> {
    sorted.get(sorted.len().checked_sub(1)? / 2)
}

fn seeds_a_second(entry: &EntryFigures) -> Option<f64> {
    let totals = &entry.totals;
    (totals.cpu_ms > 0).then(|| totals.seeds as f64 * 1e3 / totals.cpu_ms as f64)
}
