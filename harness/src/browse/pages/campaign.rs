//! The page of a campaign: the answer, what was found and how to repeat it, what each entry did.

use maud::{Markup, html};

use super::View;
use super::words::{class, command, count, counted, figure, scrolled, span, when};
use crate::browse::address::Page;
use crate::browse::catalogue::{Campaign, EntryFigures};
use crate::campaign::Finding;
use crate::shard::Shard;

/// Findings that are shown: each has a plan that repeats it, in the campaign's folder.
const FINDINGS_MAX: usize = 50;
/// Runs that are listed.
const RUNS_MAX: usize = 200;

/// What a campaign is called.
pub(super) fn name(campaign: &Campaign) -> String {
    let about = &campaign.about;
    if about.shard == Shard::WHOLE {
        about.name.clone()
    } else {
        format!("{}, shard {}", about.name, about.shard)
    }
}

/// What it came to, in a paragraph; its name and its verdict are said elsewhere.
pub(super) fn paragraph(campaign: &Campaign) -> &str {
    let verdict = format!(": {}. ", campaign.verdict.name());
    let all = campaign.paragraph.trim_end();
    all.split_once(&verdict).map_or(all, |(_, rest)| rest)
}

impl View<'_> {
    pub(super) fn campaign(&self, campaign: &Campaign) -> Markup {
        html! {
            section #verdict .(class(campaign.verdict)) {
                h2 { "Verdict" }
                p .verdict { b .badge { (campaign.verdict.name()) } " " (paragraph(campaign)) }
                (self.earlier(campaign))
            }
            section { h2 { "What was found" } (self.findings(campaign)) }
            section { h2 { "What ran" } (ran(campaign)) (entries(campaign)) }
            (self.runs_of(campaign))
        }
    }

    fn earlier(&self, campaign: &Campaign) -> Markup {
        let previous = self.catalogue.previous_campaign(campaign);
        html! {
            @if let Some(previous) = previous {
                p { (self.link(&Page::Compare(previous.path.clone(), campaign.path.clone()),
                    &format!("Compare with the one before it, {}", previous.about.when))) }
            }
        }
    }

    fn findings(&self, campaign: &Campaign) -> Markup {
        let (failed, all) = &campaign.failed;
        html! {
            @if campaign.findings.is_empty() { p { "Nothing was found." } }
            @for finding in campaign.findings.iter().take(FINDINGS_MAX) { (self.finding(campaign, finding)) }
            @if campaign.findings.len() > FINDINGS_MAX { p .dim { "and " (campaign.findings.len() - FINDINGS_MAX) " more" } }
            @if *all > 0 {
                h3 { "Where the harness failed, which says nothing of the system" }
                ul { @for (unit, reason) in failed { li { (unit) ": " (reason) } }
                    @if failed.len() < *all { li .dim { "and in " (all - failed.len()) " more units" } } }
            }
        }
    }

    fn finding(&self, campaign: &Campaign, finding: &Finding) -> Markup {
        let best = &finding.group.best;
        html! {
            h3 .invalid { (finding.name()) }
            p { (counted(finding.group.seeds, "seed")) ", fastest in " (finding.group.entry) " with seed " (best.seed) ": "
                (best.detail.lines().next().unwrap_or_default()) }
            @if let Some(again) = &finding.reproduction {
                p { "Its plan failed in " (again.again) " of " (again.replays) " replays; " (again.faults[1]) " of " (again.faults[0]) " faults are left." }
            }
            (self.repeat_finding(campaign, finding))
        }
    }

    /// The command that repeats a finding, from any directory.
    pub(super) fn repeat_finding(&self, campaign: &Campaign, finding: &Finding) -> Markup {
        let folder = std::path::Path::new(&self.catalogue.root).join(&campaign.path);
        let again = finding.reproduction.as_ref().map(|again| again.command.clone());
        let line = again.unwrap_or_else(|| finding.repeat());
        command(&format!("cd {} && {line}", crate::report::page::quoted(&folder)))
    }

    fn runs_of(&self, campaign: &Campaign) -> Markup {
        let runs = &self.catalogue.runs;
        let of: Vec<_> = runs
            .iter()
            .filter(|run| {
                self.catalogue
                    .owner(run)
                    .is_some_and(|owner| owner.path == campaign.path)
            })
            .collect();
        html! {
            @if !of.is_empty() {
                section {
                    h2 { "Runs that were kept" }
                    (self.run_table(&of[..of.len().min(RUNS_MAX)]))
                    @if of.len() > RUNS_MAX { p .dim { "The newest " (RUNS_MAX) " of " (of.len()) " are listed." } }
                }
            }
        }
    }
}

fn ran(campaign: &Campaign) -> Markup {
    let about = &campaign.about;
    html! {
        dl {
            @if !about.about.is_empty() { dt { "About" } dd { (about.about) } }
            dt { "Began" } dd { (when(&about.when)) }
            dt { "Took" } dd { (span(about.spent_ms)) }
            dt { "Shard" } dd { (about.shard) }
            dt { "Builds" } dd { @for build in &about.builds { code { (build) } " " } }
            dt { "First failure" }
            dd { @match campaign.detection {
                Some(detection) => {
                    "after " (counted(detection.seeds, "seed")) " and " (span(detection.cpu_ms)) " of the processors"
                },
                None => "none",
            } }
            dt { "Folder" } dd { code { (campaign.path) } }
        }
    }
}

fn entries(campaign: &Campaign) -> Markup {
    let table = html! {
        table .list {
            thead { tr {
                th { "Entry" } th { "Place" } th .n { "Seeds" } th .n { "Invalid" } th .n { "Unknown" } th .n { "Harness failures" }
                th .n { "Operations" } th .n { "Faults" } th .n { "States a seed" } th .n { "CPU" }
            } }
            tbody { @for (name, entry) in &campaign.entries { (line(name, entry)) } }
        }
    };
    html! {
        (scrolled("Entries", &table))
        @for (name, entry) in &campaign.entries {
            @if let Some(doubt) = &entry.doubt { p .unknown { (name) " proves nothing: " (doubt) "." } }
        }
    }
}

fn line(name: &str, entry: &EntryFigures) -> Markup {
    let totals = &entry.totals;
    let median = entry.coverage.get(entry.coverage.len().saturating_sub(1) / 2);
    html! {
        tr {
            td { (name) @if !name.starts_with(&entry.plan) { div .dim { "plan " (entry.plan) } } }
            td { (entry.place.name()) }
            td .n { (count(totals.seeds)) }
            td .n.invalid[totals.invalid > 0] { (count(totals.invalid)) }
            td .n.unknown[totals.unknown > 0] { (count(totals.unknown)) }
            td .n.unknown[totals.failed > 0] { (count(totals.failed)) }
            td .n { (count(totals.operations)) }
            td .n { (count(totals.faults)) }
            td .n { @match (median, entry.coverage.last()) {
                (Some(median), Some(most)) => { (figure(*median as f64)) span .dim { " to " (count(*most)) } },
                (None, _) | (_, None) => span .dim { "not counted" },
            } }
            td .n { (span(totals.cpu_ms)) }
        }
    }
}
