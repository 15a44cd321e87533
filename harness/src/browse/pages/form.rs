//! The form that narrows a list: by plan, verdict, place, build and time.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::View;
use crate::browse::address::{Filter, Page};
use crate::campaign::{Place, Verdict};

/// Plans and builds that the form offers; more can be written into the address.
const CHOICES_MAX: usize = 500;

impl View<'_> {
    /// The form of `page`, filled with its filter. In a published folder a script answers it, and shows it.
    pub(super) fn form(&self, page: &Page, filter: &Filter) -> Markup {
        let all = Page::file(page);
        let action = all.trim_end_matches(".html");
        let is_served = self.links.is_served();
        html! {
            form .filter #filter method="get" action=(if is_served { action } else { "" }) hidden[!is_served] {
                (choice("plan", "Plan", &self.plans(), filter.plan.as_deref()))
                (choice("verdict", "Verdict", &Verdict::ALL.map(|verdict| verdict.name().to_owned()),
                    filter.verdict.map(Verdict::name)))
                (choice("place", "Place", &[Place::Simulation, Place::Processes].map(|place| place.name().to_owned()),
                    filter.place.map(Place::name)))
                (choice("build", "Build", &self.builds(), filter.build.as_deref()))
                label { span { "From" } input type="date" name="from" value=[filter.from.as_deref()]; }
                label { span { "To" } input type="date" name="to" value=[filter.to.as_deref()]; }
                span .buttons {
                    button type="submit" { "Show" }
                    @if is_served && !filter.is_empty() { " " a href=(action) { "Show all" } }
                }
            }
            @if !is_served { noscript { p .dim { "The list can be narrowed where scripts run." } } }
        }
    }

    fn plans(&self) -> Vec<String> {
        let runs = self.catalogue.runs.iter().map(|run| run.about.plan.clone());
        let campaigns = self.catalogue.campaigns.iter();
        let named = campaigns.flat_map(|campaign| {
            let entries = campaign.entries.values().map(|entry| entry.plan.clone());
            entries.chain(std::iter::once(campaign.about.name.clone()))
        });
        let plans: BTreeSet<String> = runs.chain(named).collect();
        plans.into_iter().take(CHOICES_MAX).collect()
    }

    fn builds(&self) -> Vec<String> {
        let runs = self
            .catalogue
            .runs
            .iter()
            .filter_map(|run| run.about.build.clone());
        let campaigns = self.catalogue.campaigns.iter();
        let builds: BTreeSet<String> = runs
            .chain(campaigns.flat_map(|campaign| campaign.about.builds.iter().cloned()))
            .collect();
        builds.into_iter().take(CHOICES_MAX).collect()
    }
}

fn choice(name: &str, label: &str, choices: &[String], chosen: Option<&str>) -> Markup {
    let is_listed = chosen.is_none_or(|chosen| choices.iter().any(|choice| choice == chosen));
    html! {
        label {
            span { (label) }
            select name=(name) {
                option value="" selected[chosen.is_none()] { "any" }
                @if !is_listed && let Some(chosen) = chosen { option selected { (chosen) } }
                @for choice in choices { option selected[chosen == Some(choice.as_str())] { (choice) } }
            }
        }
    }
}
