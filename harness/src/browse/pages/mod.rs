//! The pages of a catalogue, as HTML: the same ones for a server and for a published folder.
//!
//! | module | the page |
//! |-|-|
//! | `overview` | what is wrong now, since when, and how to see it again |
//! | `lists` | runs, campaigns, and what could not be read; `form` narrows the first two |
//! | `run`, `campaign` | one of them |
//! | `compare` | two runs, or two campaigns, side by side |
//! | `trends` | figures by day, drawn by `plot` |
//!
//! Invariant: a page is a function of the catalogue. Everything on it is text that needs no script; what comes from a file is
//! escaped; what is listed is bounded, and what is left out is said.

mod campaign;
mod compare;
mod form;
mod lists;
mod overview;
mod plot;
mod run;
mod trends;
mod words;

use std::sync::Arc;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::address::{Links, Page};
use super::catalogue::{Catalogue, Figures, Run};
use crate::report::page::{SCRIPT, STYLE};

/// What pages are made from.
pub struct View<'a> {
    /// What there is.
    pub catalogue: &'a Catalogue,
    /// How pages link to each other.
    pub links: &'a Links,
    /// What the histories of a run say; asked for only where a page shows it.
    pub figures: &'a dyn Fn(&Run) -> Arc<Result<Figures, String>>,
}

/// The style of all pages.
const OWN_STYLE: &str = include_str!("pages.css");
/// Narrows the list of runs of a published folder, where there is no server to do it.
const OWN_SCRIPT: &str = include_str!("pages.js");

/// The scripts of every page, so that a server can say that it sends these alone.
pub fn scripts() -> String {
    format!("{SCRIPT}{OWN_SCRIPT}")
}

impl View<'_> {
    /// The page; `None` when it is about a run or a campaign that is not there.
    pub fn page(&self, page: &Page) -> Option<String> {
        let (title, body) = match page {
            Page::Overview => ("Overview".to_owned(), self.overview()),
            Page::Runs(filter, part) => ("Runs".to_owned(), self.runs(filter, *part)),
            Page::Campaigns(filter) => ("Campaigns".to_owned(), self.campaigns(filter)),
            Page::Trends(filter) => ("Trends".to_owned(), self.trends(filter)),
            Page::Troubles => ("Not readable".to_owned(), self.troubles()),
            Page::Run(path) => {
                let run = self.catalogue.run(path)?;
                (words::name(run), self.run(run))
            }
            Page::Campaign(path) => {
                let campaign = self.catalogue.campaign(path)?;
                (
                    format!("Campaign {}", campaign.about.name),
                    self.campaign(campaign),
                )
            }
            Page::Compare(one, two) => self.comparison(one, two)?,
        };
        Some(self.document(&title, Some(page), &body))
    }

    /// Two runs, or two campaigns.
    fn comparison(&self, one: &str, two: &str) -> Option<(String, Markup)> {
        let catalogue = self.catalogue;
        if let (Some(one), Some(two)) = (catalogue.run(one), catalogue.run(two)) {
            let title = format!("{} and {}", words::name(one), words::name(two));
            return Some((title, self.compare_runs(one, two)));
        }
        let (one, two) = (catalogue.campaign(one)?, catalogue.campaign(two)?);
        let title = format!("{} and {}, campaigns", campaign::name(one), campaign::name(two));
        Some((title, self.compare_campaigns(one, two)))
    }

    /// A page that says why there is none.
    pub fn refusal(&self, title: &str, why: &str) -> String {
        let body = html! {
            section { h2 { (title) } p { (why) "." } p { (self.link(&Page::Overview, "Overview")) } }
        };
        self.document(title, None, &body)
    }

    fn document(&self, title: &str, page: Option<&Page>, body: &Markup) -> String {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · harness" }
                    style { (PreEscaped(STYLE)) (PreEscaped(OWN_STYLE)) }
                }
                body {
                    a .skip href="#content" { "Skip to the content" }
                    header {
                        div .name {
                            h1 { (title) }
                            (self.menu(page))
                        }
                        button #theme type="button" aria-label="Colours: as the system has them" { "Auto" }
                    }
                    main #content tabindex="-1" { (body) }
                    footer { p .dim { "Results in " code { (self.catalogue.root) } ". Times are UTC." } }
                    script { (PreEscaped(scripts())) }
                }
            }
        };
        document.into_string()
    }

    fn menu(&self, page: Option<&Page>) -> Markup {
        let troubles = self.catalogue.troubles.len();
        let unreadable = format!("Not readable ({troubles})");
        let mut items = vec![
            (Page::Overview, "Overview"),
            (Page::Runs(Default::default(), 0), "Runs"),
            (Page::Campaigns(Default::default()), "Campaigns"),
            (Page::Trends(Default::default()), "Trends"),
        ];
        if troubles > 0 {
            items.push((Page::Troubles, &unreadable));
        }
        let is_here = |item: &Page| {
            page.is_some_and(|page| std::mem::discriminant(page) == std::mem::discriminant(item))
        };
        html! {
            nav aria-label="Pages" {
                @for (item, name) in &items {
                    @if let Some(href) = self.links.page(item) {
                        a href=(href) aria-current=[is_here(item).then_some("page")] { (name) }
                    }
                }
            }
        }
    }

    /// A link to a page, or the text alone where there is none.
    fn link(&self, page: &Page, text: &str) -> Markup {
        html! {
            @if let Some(href) = self.links.page(page) { a href=(href) { (text) } } @else { (text) }
        }
    }
}
