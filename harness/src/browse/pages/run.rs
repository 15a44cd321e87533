//! The page of a run: the facts of its folder, and the way to its own report.

use maud::{Markup, html};

use super::View;
use super::words::{
    bytes, command, count, counted, duration, figure, place, repeat, scrolled, verdict, when,
};
use crate::browse::address::Page;
use crate::browse::catalogue::{Figures, Run};

/// Files that are linked.
const FILES_MAX: usize = 200;

impl View<'_> {
    pub(super) fn run(&self, run: &Run) -> Markup {
        let came = &run.came;
        html! {
            section #verdict .(super::words::class(came.verdict.into())) {
                h2 { "Verdict" }
                p .verdict { b .badge { (came.verdict) } " " (sentence(run)) }
                @if came.reasons.len() > 1 { ul { @for reason in &came.reasons { li { (reason) } } } }
                @if run.has("report.html") && let Some(report) = self.links.file(&run.path, "report.html") {
                    p { a .strong href=(report) { "Report of this run" } " with the violation, if any, and everything over time" }
                }
            }
            section { h2 { "What ran" } (self.ran(run)) }
            section { h2 { "Compare" } (self.comparisons(run)) }
            section { h2 { "Figures" } (figures(&(self.figures)(run))) }
            section { h2 { "Faults" } (faults(run)) }
            section { h2 { "Command to repeat" } (command(&repeat(&self.catalogue.root, run))) }
            section { h2 { "Files" } (self.file_list(&run.path, &run.files)) }
        }
    }

    fn ran(&self, run: &Run) -> Markup {
        let (about, came) = (&run.about, &run.came);
        let campaign = self.catalogue.owner(run);
        html! {
            dl {
                dt { "Plan" } dd { (about.plan) }
                dt { "Seed" } dd { (about.seed.map_or("not recorded".to_owned(), |seed| seed.to_string())) }
                dt { "Place" } dd { (place(about.place)) }
                dt { "Began" } dd { (when(&about.when)) }
                dt { "Build" } dd { code { (about.build.as_deref().unwrap_or("not recorded")) } }
                @if let Some(campaign) = campaign {
                    dt { "Campaign" } dd { (self.link(&Page::Campaign(campaign.path.clone()), &super::campaign::name(campaign))) }
                }
                dt { "Operations" }
                dd { (count(came.operations.invoked)) ": " (count(came.operations.ok)) " ok, " (count(came.operations.fail)) " failed, "
                    (count(came.operations.info)) " of unknown outcome" }
                dt { "Checked" }
                dd { ul .checks {
                    @for (model, outcome, used) in &came.checks {
                        li { (model) ": " (verdict((*outcome).into()))
                            @if *used > 0 { span .dim { ", " (counted(*used, "operation")) } } }
                    }
                } }
                dt { "Folder" } dd { code { (run.path) } }
                @for note in &run.notes { dt { "Note" } dd .unknown { (note) } }
            }
        }
    }

    fn comparisons(&self, run: &Run) -> Markup {
        let previous = self.catalogue.previous(run);
        let valid = self.catalogue.last_valid(run);
        let is_same = previous.map(|run| &run.path) == valid.map(|run| &run.path);
        let page = |other: &Run| Page::Compare(other.path.clone(), run.path.clone());
        html! {
            @match (previous, valid) {
                (None, _) => p .dim { "There is no earlier run of this plan." },
                (Some(previous), valid) => {
                    ul {
                        li { (self.link(&page(previous), &format!("With the run before it, {}", previous.about.when)))
                            " " (verdict(previous.came.verdict.into())) }
                        @if !is_same && let Some(valid) = valid {
                            li { (self.link(&page(valid), &format!("With the last valid run before it, {}", valid.about.when))) }
                        }
                    }
                }
            }
            @if self.links.is_served() {
                form .filter method="get" action="compare" {
                    label .long { span { "With the run in the folder" } input name="a" list="folders" required; }
                    input type="hidden" name="b" value=(run.path);
                    datalist #folders { @for other in self.catalogue.runs.iter().filter(|other| other.path != run.path).take(FILES_MAX) {
                        option value=(other.path) { (super::words::name(other)) ", " (other.came.verdict) }
                    } }
                    span .buttons { button type="submit" { "Compare" } }
                }
            }
        }
    }

    /// The files of a folder, each a link.
    pub(super) fn file_list(&self, path: &str, files: &[(String, u64)]) -> Markup {
        html! {
            ul .files {
                @for (name, size) in files.iter().take(FILES_MAX) {
                    li {
                        @if let Some(href) = self.links.file(path, name) { a href=(href) { (name) } } @else { (name) }
                        span .dim { " " (bytes(*size)) }
                    }
                }
                @if files.len() > FILES_MAX { li .dim { "and " (files.len() - FILES_MAX) " more" } }
            }
        }
    }
}

fn sentence(run: &Run) -> String {
    let came = &run.came;
    let effect = came.effect().effective;
    let ran = format!(
        "{} completed, {} with an effect.",
        counted(came.operations.ok, "operation"),
        counted(effect, "fault")
    );
    match came.reasons.first() {
        Some(reason) => format!("{}. {ran}", reason.trim_end_matches('.')),
        None => ran,
    }
}

fn figures(figures: &Result<Figures, String>) -> Markup {
    match figures {
        Err(why) => html! { p .dim { "Latencies are not known: " (why) "." } },
        Ok(figures) => {
            let table = html! {
                table {
                    tr { th { "Operation" } th .n { "Completed" } th .n { "p50" } th .n { "p99" } th .n { "Longest" } }
                    @for (name, latencies) in &figures.functions {
                        tr { td { (name) } td .n { (count(latencies.ok)) }
                            @for nanos in [latencies.p50, latencies.p99, latencies.max] { td .n { (duration(nanos)) } } }
                    }
                }
            };
            html! {
                @if let Some(outage) = figures.outage_ns { p { "Longest time without a completed operation: " (duration(outage)) "." } }
                (scrolled("Latencies", &table))
                @if !figures.errors.is_empty() {
                    p { "Errors: " @for (at, (code, times)) in figures.errors.iter().enumerate() {
                        @if at > 0 { ", " } (code) " " (count(*times)) } "." }
                }
            }
        }
    }
}

fn faults(run: &Run) -> Markup {
    let came = &run.came;
    html! {
        @if came.faults.is_empty() { p { "No fault was injected." } } @else {
            table .kinds {
                tr { th { "Kind" } th .n { "Injected" } th .n { "With an effect" } }
                @for (kind, effect) in &came.faults {
                    tr { td { (kind) } td .n { (effect.injected) }
                        td .n.unknown[effect.effective < effect.injected] { (effect.effective) } }
                }
            }
        }
        @if let Some(rate) = came.rate() { p .dim { (figure(rate)) " completed operations a second in " (duration(came.nanos)) "." } }
    }
}
