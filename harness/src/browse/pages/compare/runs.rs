//! Two runs side by side.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::View;
use super::super::words::{duration, figure, place, verdict, when};
use super::rows::{Row, part, table};
use crate::browse::address::Page;
use crate::browse::catalogue::{Figures, Run};

/// Settings that are listed.
const SETTINGS_MAX: usize = 200;

impl View<'_> {
    pub(in crate::browse::pages) fn compare_runs(&self, one: &Run, two: &Run) -> Markup {
        let figures = [one, two].map(|run| (self.figures)(run));
        let swapped = Page::Compare(two.path.clone(), one.path.clone());
        let settings = settings(one, two);
        let left_out = settings.len().saturating_sub(SETTINGS_MAX);
        html! {
            section #verdict .(super::super::words::class(two.came.verdict.into())) {
                h2 { "Verdict" }
                div .two { (self.side("First", one)) (self.side("Second", two)) }
                @if let Some(href) = self.links.page(&swapped) { p { a href=(href) { "Exchange them" } } }
            }
            (part("What ran", &about(one, two)))
            (part("Settings of the plan that differ", &settings[..settings.len() - left_out]))
            @if left_out > 0 { p .dim { "and " (left_out) " more settings" } }
            (part("Checks", &checks(one, two)))
            (part("Operations", &operations(one, two)))
            (latencies(&figures[0], &figures[1]))
            (part("Faults with an effect", &faults(one, two)))
        }
    }

    fn side(&self, which: &str, run: &Run) -> Markup {
        html! {
            div {
                p .dim { (which) ", " (when(&run.about.when)) }
                p { (self.link(&Page::Run(run.path.clone()), &super::super::words::name(run))) " " (verdict(run.came.verdict.into())) }
                @for reason in run.came.reasons.iter().take(3) { p .reason { (reason) } }
            }
        }
    }
}

fn about(one: &Run, two: &Run) -> Vec<Row> {
    let field = |name: &str, of: fn(&Run) -> Option<String>| Row::text(name, of(one), of(two));
    vec![
        field("plan", |run| Some(run.about.plan.clone())),
        field("seed", |run| run.about.seed.map(|seed| seed.to_string())),
        field("place", |run| Some(place(run.about.place).to_owned())),
        field("build", |run| run.about.build.clone()),
        field("began", |run| Some(run.about.when.to_string())),
    ]
}

/// The seed has a row of its own.
fn settings(one: &Run, two: &Run) -> Vec<Row> {
    let differences = one.about.settings.differences(&two.about.settings);
    let rows = differences.into_iter().filter(|(name, ..)| *name != "seed");
    rows.map(|(name, one, two)| Row::text(name, one.map(str::to_owned), two.map(str::to_owned)))
        .collect()
}

fn checks(one: &Run, two: &Run) -> Vec<Row> {
    let models: BTreeSet<&str> = [one, two]
        .iter()
        .flat_map(|run| run.came.checks.iter().map(|(model, ..)| model.as_str()))
        .collect();
    let of = |run: &Run, model: &str| {
        let check = run.came.checks.iter().find(|(name, ..)| name == model);
        check.map(|(_, outcome, _)| outcome.name().to_owned())
    };
    models
        .into_iter()
        .map(|model| Row::text(model, of(one, model), of(two, model)))
        .collect()
}

fn operations(one: &Run, two: &Run) -> Vec<Row> {
    let (first, second) = (&one.came, &two.came);
    let [one, two] = [first.operations, second.operations];
    vec![
        Row::counted("begun", one.invoked, two.invoked),
        Row::counted("completed", one.ok, two.ok),
        Row::counted("failed", one.fail, two.fail),
        Row::counted("of unknown outcome", one.info, two.info),
        Row::measured("completed a second", first.rate(), second.rate(), figure),
        Row::measured("duration", nanos(first.nanos), nanos(second.nanos), written),
    ]
}

fn nanos(nanos: u64) -> Option<f64> {
    (nanos > 0).then_some(nanos as f64)
}

fn written(nanos: f64) -> String {
    duration(nanos as u64)
}

fn latencies(one: &Result<Figures, String>, two: &Result<Figures, String>) -> Markup {
    let why = |which: &str, figures: &Result<Figures, String>| {
        let why = figures.as_ref().err()?;
        Some(format!("Latencies of the {which} are not known: {why}."))
    };
    let whys = [why("first", one), why("second", two)];
    let rows = match (one, two) {
        (Ok(one), Ok(two)) => latency_rows(one, two),
        (Err(_), _) | (_, Err(_)) => Vec::new(),
    };
    html! {
        section {
            h2 { "Latencies" }
            @for why in whys.iter().flatten() { p .dim { (why) } }
            @if !rows.is_empty() { (table("Latencies", &rows)) }
        }
    }
}

fn latency_rows(one: &Figures, two: &Figures) -> Vec<Row> {
    let longest = |figures: &Figures| figures.outage_ns.map(|nanos| nanos as f64);
    let mut rows = vec![Row::measured(
        "longest time without a completed operation",
        longest(one),
        longest(two),
        written,
    )];
    let names: BTreeSet<&String> = one.functions.keys().chain(two.functions.keys()).collect();
    for name in names {
        let both = [one, two].map(|figures| figures.functions.get(name));
        let of = |which: &str, of: fn(&crate::browse::catalogue::Latencies) -> u64| {
            let [one, two] = both.map(|latencies| latencies.map(|latencies| of(latencies) as f64));
            Row::measured(&format!("{name} {which}"), one, two, written)
        };
        rows.push(of("p50", |latencies| latencies.p50));
        rows.push(of("p99", |latencies| latencies.p99));
        rows.push(of("longest", |latencies| latencies.max));
    }
    rows
}

fn faults(one: &Run, two: &Run) -> Vec<Row> {
    let (first, second) = (&one.came.faults, &two.came.faults);
    let kinds: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let rows = kinds.into_iter().map(|kind| {
        let [one, two] = [first, second].map(|faults| faults.get(kind).copied().unwrap_or_default());
        let said = |effect: crate::browse::catalogue::Effect| {
            Some(format!("{} of {}", effect.effective, effect.injected))
        };
        Row::text(kind, said(one), said(two))
    });
    rows.collect()
}
