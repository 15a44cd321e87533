//! The first page: whether anything is wrong, what, since when, and how to see it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::View;
use super::words::{command, counted, repeat, verdict, when};
use crate::browse::address::{Filter, Page};
use crate::browse::catalogue::{Campaign, Run, When};
use crate::campaign::{Place, Verdict};
use crate::results::Outcome;

/// Runs and campaigns that are listed on the first page.
const NEWEST: usize = 10;
/// Plans whose last run is not valid.
const WRONG_MAX: usize = 50;

/// A plan or campaign whose last result is not valid.
struct Wrong<'a, T> {
    last: &'a Arc<T>,
    /// The first of those that were not valid, one after the other, until the last.
    since: &'a When,
    count: u64,
}

impl View<'_> {
    pub(super) fn overview(&self) -> Markup {
        let catalogue = self.catalogue;
        let runs: Vec<_> = catalogue.runs.iter().take(NEWEST).collect();
        let campaigns: Vec<_> = catalogue.campaigns.iter().take(NEWEST).collect();
        html! {
            (self.now())
            section {
                h2 { "Newest campaigns" }
                @if campaigns.is_empty() { p .dim { "None." } } @else { (self.campaign_table(&campaigns)) }
                @if campaigns.len() < catalogue.campaigns.len() {
                    p { (self.link(&Page::Campaigns(Filter::default()), &format!("All {}", catalogue.campaigns.len()))) }
                }
            }
            section {
                h2 { "Newest runs" }
                @if runs.is_empty() { p .dim { "None." } } @else { (self.run_table(&runs)) }
                @if runs.len() < catalogue.runs.len() {
                    p { (self.link(&Page::Runs(Filter::default(), 0), &format!("All {}", catalogue.runs.len()))) }
                }
            }
        }
    }

    fn now(&self) -> Markup {
        let runs = wrong(
            &self.catalogue.runs,
            |run| (run.about.plan.clone(), run.about.place),
            |run| run.came.verdict == Outcome::Valid,
            |run| &run.about.when,
        );
        let campaigns = wrong(
            &self.catalogue.campaigns,
            |campaign| (super::campaign::name(campaign), None),
            |campaign| campaign.verdict == Verdict::Valid,
            |campaign| &campaign.about.when,
        );
        let worst = runs.iter().map(|wrong| Verdict::from(wrong.last.came.verdict));
        let worst = worst
            .chain(campaigns.iter().map(|wrong| wrong.last.verdict))
            .max();
        let is_empty = self.catalogue.runs.is_empty() && self.catalogue.campaigns.is_empty();
        let tone = match worst {
            None if is_empty => "unknown",
            None => "valid",
            Some(worst) => super::words::class(worst),
        };
        html! {
            section #verdict .(tone) {
                h2 { "Now" }
                p .verdict { (self.sentence(campaigns.len(), runs.len(), is_empty)) }
                @if !self.catalogue.troubles.is_empty() {
                    p { (self.link(&Page::Troubles, &counted(self.catalogue.troubles.len() as u64, "folder"))) " could not be read." }
                }
            }
            @for wrong in campaigns.iter().take(WRONG_MAX) { (self.wrong_campaign(wrong)) }
            @for wrong in runs.iter().take(WRONG_MAX) { (self.wrong_run(wrong)) }
            @if runs.len() > WRONG_MAX { p .dim { "and " (runs.len() - WRONG_MAX) " more plans" } }
        }
    }

    fn sentence(&self, campaigns: usize, runs: usize, is_empty: bool) -> String {
        if is_empty {
            return "There is no result in this folder.".to_owned();
        }
        let there = format!(
            "{} and {}",
            counted(self.catalogue.campaigns.len() as u64, "campaign"),
            counted(self.catalogue.runs.len() as u64, "run")
        );
        match (campaigns, runs) {
            (0, 0) => format!(
                "Nothing is wrong: the last result of every plan and every campaign is valid ({there})."
            ),
            (campaigns, runs) => {
                let wrong = [
                    counted(campaigns as u64, "campaign"),
                    counted(runs as u64, "plan"),
                ];
                let wrong: Vec<String> = wrong
                    .into_iter()
                    .filter(|wrong| !wrong.starts_with("0 "))
                    .collect();
                format!("Not valid now: {} ({there} in all).", wrong.join(" and "))
            }
        }
    }

    fn wrong_campaign(&self, wrong: &Wrong<'_, Campaign>) -> Markup {
        let campaign = wrong.last;
        html! {
            section .wrong {
                h3 { (self.link(&Page::Campaign(campaign.path.clone()), &format!("Campaign {}", super::campaign::name(campaign)))) " "
                    (verdict(campaign.verdict)) }
                p { (super::campaign::paragraph(campaign)) }
                (since(wrong.since, wrong.count))
                @if let Some(first) = campaign.findings.first() { (self.repeat_finding(campaign, first)) }
            }
        }
    }

    fn wrong_run(&self, wrong: &Wrong<'_, Run>) -> Markup {
        let run = wrong.last;
        let valid = self.catalogue.last_valid(run);
        html! {
            section .wrong {
                h3 { (self.link(&Page::Run(run.path.clone()), &super::words::name(run))) " " (verdict(run.came.verdict.into())) }
                @for reason in run.came.reasons.iter().take(3) { p { (reason) } }
                (since(wrong.since, wrong.count))
                @if let Some(valid) = valid && let Some(href) = self.links.page(&Page::Compare(valid.path.clone(), run.path.clone())) {
                    p { a href=(href) { "Compare with the last valid run" } }
                }
                (command(&repeat(&self.catalogue.root, run)))
            }
        }
    }
}

fn since(moment: &When, count: u64) -> Markup {
    html! {
        p .dim { "Since " (when(moment))
            @if count > 1 { ": the last " (count) " were not valid" } "." }
    }
}

/// Of each name the last one, where that is not valid, by name. `all` has the newest first.
fn wrong<'a, T>(
    all: &'a [Arc<T>],
    name: impl Fn(&T) -> (String, Option<Place>),
    is_valid: impl Fn(&T) -> bool,
    when: impl Fn(&'a T) -> &'a When,
) -> Vec<Wrong<'a, T>> {
    let mut names: BTreeMap<(String, Option<Place>), Vec<&Arc<T>>> = BTreeMap::new();
    for one in all {
        names.entry(name(one)).or_default().push(one);
    }
    let mut wrong = Vec::new();
    for of_name in names.into_values() {
        let streak: Vec<&Arc<T>> = of_name.into_iter().take_while(|one| !is_valid(one)).collect();
        if let (Some(last), Some(first)) = (streak.first(), streak.last()) {
            wrong.push(Wrong {
                last,
                since: when(first),
                count: streak.len() as u64,
            });
        }
    }
    wrong
}
