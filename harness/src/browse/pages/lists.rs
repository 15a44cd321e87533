//! Lists: runs, campaigns, and what could not be read.

use std::sync::Arc;

use maud::{Markup, html};

use super::View;
use super::words::{count, counted, figure, place, scrolled, span, verdict, when};
use crate::browse::address::{Filter, Page};
use crate::browse::catalogue::{Campaign, Run};
use crate::campaign::Verdict;

/// Runs on one page of a server.
const PART: usize = 200;
/// Runs in the list of a published folder, which is one page.
const PUBLISHED_MAX: usize = 5000;
/// Campaigns and folders that are listed.
const LISTED_MAX: usize = 2000;

impl View<'_> {
    pub(super) fn runs(&self, filter: &Filter, part: usize) -> Markup {
        let taken: Vec<&Arc<Run>> = self
            .catalogue
            .runs
            .iter()
            .filter(|run| filter.takes_run(run))
            .collect();
        let most = if self.links.is_served() {
            PART
        } else {
            PUBLISHED_MAX
        };
        let from = part.saturating_mul(most).min(taken.len());
        let shown = &taken[from..taken.len().min(from + most)];
        html! {
            section {
                (self.form(&Page::Runs(filter.clone(), 0), filter))
                p #left role="status" hidden {}
                p #shown { (counted(taken.len() as u64, "run")) (self.counts(filter, &taken))
                    @if shown.len() < taken.len() {
                        ". Shown: " (count(from as u64 + 1)) " to " (count((from + shown.len()) as u64))
                    }
                    "."
                }
                @if taken.is_empty() { p .dim { (self.emptiness(filter)) } }
                @else { (self.run_table(shown)) }
                (self.parts(filter, part, taken.len().div_ceil(most)))
            }
        }
    }

    /// How many have which verdict, each a link to them.
    fn counts(&self, filter: &Filter, taken: &[&Arc<Run>]) -> Markup {
        let of = |verdict: Verdict| {
            taken
                .iter()
                .filter(|run| verdict == run.came.verdict.into())
                .count()
        };
        let counts =
            [Verdict::Invalid, Verdict::Unknown, Verdict::Valid].map(|verdict| (verdict, of(verdict)));
        html! {
            @for (at, (verdict, count)) in counts.iter().filter(|(_, count)| *count > 0).enumerate() {
                (if at == 0 { ": " } else { ", " })
                @let narrowed = Filter { verdict: Some(*verdict), ..filter.clone() };
                (self.link(&Page::Runs(narrowed, 0), &format!("{count} {}", verdict.name())))
            }
        }
    }

    fn emptiness(&self, filter: &Filter) -> &'static str {
        if filter.is_empty() {
            "There is no run in the folder. `harness run` and `harness sim` make some in results/runs."
        } else {
            "No run is like this."
        }
    }

    fn parts(&self, filter: &Filter, part: usize, parts: usize) -> Markup {
        let link = |at: usize, text: &str| self.link(&Page::Runs(filter.clone(), at), text);
        html! {
            @if self.links.is_served() && parts > 1 {
                p .parts {
                    @if part > 0 { (link(part - 1, "Newer")) " " }
                    "Part " (part + 1) " of " (parts)
                    @if part + 1 < parts { " " (link(part + 1, "Older")) }
                }
            }
        }
    }

    /// Runs, a line each.
    pub(super) fn run_table(&self, runs: &[&Arc<Run>]) -> Markup {
        let table = html! {
            table .list.folds {
                thead { tr {
                    th { "Began" } th { "Plan" } th { "Verdict" } th .n { "Completed" } th .n { "a second" } th .n { "Faults with an effect" }
                    th { "Place" } th { "Build" }
                } }
                tbody {
                    @for run in runs { (self.run_line(run)) }
                }
            }
        };
        scrolled("Runs", &table)
    }

    fn run_line(&self, run: &Run) -> Markup {
        let (about, came) = (&run.about, &run.came);
        let effect = came.effect();
        html! {
            tr data-plan=(about.plan) data-verdict=(Verdict::from(came.verdict).name()) data-place=(place(about.place))
                data-build=(about.build.as_deref().unwrap_or_default()) data-day=(about.when.day()) {
                td data-label="Began" { (when(&about.when)) }
                td data-label="Plan" .key { (self.link(&Page::Run(run.path.clone()), &super::words::name(run))) }
                td data-label="Verdict" { (verdict(came.verdict.into()))
                    @if let Some(reason) = came.reasons.first() { div .reason { (reason) } } }
                td data-label="Completed" .n { (count(came.operations.ok)) }
                td data-label="a second" .n { @if let Some(rate) = came.rate() { (figure(rate)) } @else { span .dim { "not known" } } }
                td data-label="Faults with an effect" .n { (effect.effective) " of " (effect.injected) }
                td data-label="Place" { (place(about.place)) }
                td data-label="Build" { code { (about.build.as_deref().unwrap_or("not recorded")) } }
            }
        }
    }

    pub(super) fn campaigns(&self, filter: &Filter) -> Markup {
        let all = self.catalogue.campaigns.iter();
        let taken: Vec<&Arc<Campaign>> = all.filter(|campaign| filter.takes_campaign(campaign)).collect();
        html! {
            section {
                (self.form(&Page::Campaigns(filter.clone()), filter))
                p #left role="status" hidden {}
                p #shown { (counted(taken.len() as u64, "campaign")) "." }
                @if taken.is_empty() {
                    p .dim { @if filter.is_empty() { "There is no campaign in the folder. `harness campaign` makes some in results/campaigns." }
                        @else { "No campaign is like this." } }
                } @else { (self.campaign_table(&taken[..taken.len().min(LISTED_MAX)])) }
                @if taken.len() > LISTED_MAX { p .dim { "The newest " (LISTED_MAX) " are listed." } }
            }
        }
    }

    /// Campaigns, a line each.
    pub(super) fn campaign_table(&self, campaigns: &[&Arc<Campaign>]) -> Markup {
        let table = html! {
            table .list.folds {
                thead { tr {
                    th { "Began" } th { "Campaign" } th { "Verdict" } th .n { "Seeds" } th .n { "Findings" } th .n { "Operations" } th .n { "Took" }
                    th { "Builds" }
                } }
                tbody {
                    @for campaign in campaigns { (self.campaign_line(campaign)) }
                }
            }
        };
        scrolled("Campaigns", &table)
    }

    fn campaign_line(&self, campaign: &Campaign) -> Markup {
        let about = &campaign.about;
        let plans: Vec<&str> = campaign
            .entries
            .values()
            .map(|entry| entry.plan.as_str())
            .collect();
        let places: Vec<&str> = campaign
            .entries
            .values()
            .map(|entry| entry.place.name())
            .collect();
        let builds: Vec<&str> = about.builds.iter().map(String::as_str).collect();
        let sum = |of: fn(&crate::campaign::Totals) -> u64| -> u64 {
            campaign.entries.values().map(|entry| of(&entry.totals)).sum()
        };
        html! {
            tr data-plan=(format!("{}\n{}", about.name, plans.join("\n"))) data-verdict=(campaign.verdict.name()) data-place=(places.join("\n"))
                data-build=(builds.join("\n")) data-day=(about.when.day()) {
                td data-label="Began" { (when(&about.when)) }
                td data-label="Campaign" .key { (self.link(&Page::Campaign(campaign.path.clone()), &super::campaign::name(campaign))) }
                td data-label="Verdict" { (verdict(campaign.verdict))
                    @if let Some(finding) = campaign.findings.first() { div .reason { (finding.name()) } } }
                td data-label="Seeds" .n { (count(sum(|totals| totals.seeds))) }
                td data-label="Findings" .n { (campaign.findings.len()) }
                td data-label="Operations" .n { (count(sum(|totals| totals.operations))) }
                td data-label="Took" .n { (span(about.spent_ms)) }
                td data-label="Builds" { @for build in &builds { code { (build) } " " } }
            }
        }
    }

    pub(super) fn troubles(&self) -> Markup {
        let troubles = &self.catalogue.troubles;
        html! {
            section {
                p { (counted(troubles.len() as u64, "folder")) " of which it is not known what they hold. They count for nothing on the other pages." }
                @for trouble in troubles.iter().take(LISTED_MAX) {
                    h3 { code { (if trouble.path.is_empty() { "." } else { &trouble.path }) } }
                    p { (trouble.why) "." }
                    @if !trouble.files.is_empty() { (self.file_list(&trouble.path, &trouble.files)) }
                }
                @if troubles.len() > LISTED_MAX { p .dim { "The first " (LISTED_MAX) " are listed." } }
            }
        }
    }
}
