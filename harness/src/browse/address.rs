//! Which pages there are, and how they are linked: by path and query from a server, by file in a published folder.
//!
//! Invariant: links are relative and every page is at the top, so that the same link works under any prefix and from `file://`.
//! A page that was served at an address is found by it: [`Page::parse`] undoes [`Links::page`].

use std::collections::BTreeSet;

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::beneath::inside;
use super::catalogue::{Campaign, EntryFigures, Run, is_day};
use crate::campaign::{Place, Verdict};

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// What is wrong now, and the newest.
    Overview,
    /// Runs that the filter takes, a part of them.
    Runs(Filter, usize),
    /// Campaigns that the filter takes.
    Campaigns(Filter),
    /// Figures by day.
    Trends(Filter),
    /// What could not be read.
    Troubles,
    /// The run in a folder.
    Run(String),
    /// The campaign in a folder.
    Campaign(String),
    /// Two runs, or two campaigns, side by side.
    Compare(String, String),
}

/// Which runs and campaigns are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this plan or campaign.
    pub plan: Option<String>,
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// In this place.
    pub place: Option<Place>,
    /// Of a build whose name begins so.
    pub build: Option<String>,
    /// From this day on.
    pub from: Option<String>,
    /// Until this day.
    pub to: Option<String>,
}

/// Why an address is that of no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Of none.
    #[error("there is no such page")]
    NoPage,
    /// Of one, with a wrong query.
    #[error("{0}")]
    Query(String),
}

impl Filter {
    /// Whether it takes everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it takes this run.
    pub fn takes_run(&self, run: &Run) -> bool {
        let about = &run.about;
        is_wanted(&self.plan, |plan| *plan == about.plan)
            && is_wanted(&self.verdict, |verdict| *verdict == run.came.verdict.into())
            && is_wanted(&self.place, |place| about.place == Some(*place))
            && is_wanted(&self.build, |build| {
                about.build.as_ref().is_some_and(|own| own.starts_with(build))
            })
            && self.takes_day(&about.when.day())
    }

    /// Whether it takes this campaign: one of its entries is enough.
    pub fn takes_campaign(&self, campaign: &Campaign) -> bool {
        let about = &campaign.about;
        let mut entries = campaign.entries.values();
        let mut builds = about.builds.iter();
        is_wanted(&self.plan, |plan| {
            *plan == about.name || campaign.entries.values().any(|entry| entry.plan == *plan)
        }) && is_wanted(&self.verdict, |verdict| *verdict == campaign.verdict)
            && is_wanted(&self.place, |place| entries.any(|entry| entry.place == *place))
            && is_wanted(&self.build, |build| builds.any(|own| own.starts_with(build)))
            && self.takes_day(&about.when.day())
    }

    /// Whether it takes this entry of a campaign that it takes.
    pub fn takes_entry(&self, campaign: &Campaign, entry: &EntryFigures) -> bool {
        is_wanted(&self.plan, |plan| {
            *plan == campaign.about.name || *plan == entry.plan
        }) && is_wanted(&self.place, |place| entry.place == *place)
    }

    fn takes_day(&self, day: &str) -> bool {
        is_wanted(&self.from, |from| day >= from.as_str()) && is_wanted(&self.to, |to| day <= to.as_str())
    }

    fn write(&self, query: &mut Serializer<'_, String>) {
        let place = self.place.map(|place| place.name().to_owned());
        let verdict = self.verdict.map(|verdict| verdict.name().to_owned());
        let fields = [
            ("plan", &self.plan),
            ("verdict", &verdict),
            ("place", &place),
            ("build", &self.build),
            ("from", &self.from),
            ("to", &self.to),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
    }

    /// Takes a field of a query; whether there is one of this name.
    fn read(&mut self, name: &str, value: &str) -> Result<bool, AddressError> {
        // A form sends every field, empty ones too.
        let given = Some(value.to_owned()).filter(|value| !value.is_empty());
        match name {
            "plan" => self.plan = given,
            "build" => self.build = given,
            "verdict" => self.verdict = known(given, "verdict", Verdict::of_name)?,
            "place" => self.place = known(given, "place", place_of)?,
            "from" => self.from = known(given, "day, such as 2026-11-29", day_of)?,
            "to" => self.to = known(given, "day, such as 2026-11-29", day_of)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn is_wanted<T>(wanted: &Option<T>, fits: impl FnOnce(&T) -> bool) -> bool {
    wanted.as_ref().is_none_or(fits)
}

fn place_of(name: &str) -> Option<Place> {
    [Place::Simulation, Place::Processes]
        .into_iter()
        .find(|place| place.name() == name)
}

fn day_of(text: &str) -> Option<String> {
    is_day(text).then(|| text.to_owned())
}

fn known<T>(
    given: Option<String>,
    what: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, AddressError> {
    match given {
        None => Ok(None),
        Some(text) => match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(AddressError::Query(format!("`{text}` is no {what}"))),
        },
    }
}

impl Page {
    /// The page at `path`, such as `/runs`, with `query`.
    ///
    /// # Errors
    ///
    /// When there is none, or a field of the query is unknown, missing or wrong.
    pub fn parse(path: &str, query: &str) -> Result<Self, AddressError> {
        let (mut filter, mut filtered) = (Filter::default(), false);
        let (mut part, mut names) = (None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "part" => part = known(Some(value.into_owned()), "number", |text| text.parse().ok())?,
                "path" | "a" | "b" => names.push((name, value)),
                _ if filter.read(&name, &value)? => filtered = true,
                _ => {
                    return Err(AddressError::Query(format!(
                        "there is nothing to ask for by `{name}`"
                    )));
                }
            }
        }
        let named = |wanted: &str| {
            let found = names.iter().find(|(name, _)| name == wanted);
            let missing = || AddressError::Query(format!("the address lacks `{wanted}`: a folder"));
            found
                .map(|(_, value)| value.clone().into_owned())
                .ok_or_else(missing)
        };
        let page = match path {
            "/runs" => Self::Runs(filter, part.take().unwrap_or(0)),
            "/campaigns" => Self::Campaigns(filter),
            "/trends" => Self::Trends(filter),
            _ if filtered => return Err(AddressError::NoPage),
            "/" => Self::Overview,
            "/troubles" => Self::Troubles,
            "/run" => Self::Run(named("path")?),
            "/campaign" => Self::Campaign(named("path")?),
            "/compare" => Self::Compare(named("a")?, named("b")?),
            _ => return Err(AddressError::NoPage),
        };
        Ok(page)
    }

    /// The name of its file in a published folder.
    pub fn file(&self) -> String {
        match self {
            Self::Overview => "index.html".to_owned(),
            Self::Runs(..) => "runs.html".to_owned(),
            Self::Campaigns(_) => "campaigns.html".to_owned(),
            Self::Trends(_) => "trends.html".to_owned(),
            Self::Troubles => "troubles.html".to_owned(),
            Self::Run(path) => format!("run-{}.html", slug(path)),
            Self::Campaign(path) => format!("campaign-{}.html", slug(path)),
            Self::Compare(one, two) => format!("compare-{}.html", slug(&format!("{one} {two}"))),
        }
    }

    fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Runs(filter, _) | Self::Campaigns(filter) | Self::Trends(filter) => Some(filter),
            Self::Overview | Self::Troubles | Self::Run(_) | Self::Campaign(_) | Self::Compare(..) => None,
        }
    }
}

/// How pages link to each other and to the files of runs.
#[derive(Debug)]
pub enum Links {
    /// To a server, which makes any page.
    Served,
    /// To files beside them.
    Published(Published),
}

/// What is in a published folder.
#[derive(Debug, Default)]
pub struct Published {
    /// Pairs of runs and of campaigns that have a page.
    pub compared: BTreeSet<(String, String)>,
    /// Files that were copied, below the folder of results.
    pub copied: BTreeSet<String>,
}

impl Links {
    /// Where `page` is; `None` when it is not in the published folder.
    pub fn page(&self, page: &Page) -> Option<String> {
        match self {
            Self::Served => Some(served(page)),
            Self::Published(published) => {
                if let Page::Compare(one, two) = page
                    && !published.compared.contains(&(one.clone(), two.clone()))
                {
                    return None;
                }
                let query = query(page);
                let at = if page.filter().is_some() && !query.is_empty() {
                    "#"
                } else {
                    ""
                };
                Some(page.file() + at + if at.is_empty() { "" } else { &query })
            }
        }
    }

    /// Where the file `name` of the run in the folder `path` is; `None` when it is not in the published folder.
    pub fn file(&self, path: &str, name: &str) -> Option<String> {
        let file = inside(path, name);
        let is_there = match self {
            Self::Served => true,
            Self::Published(published) => published.copied.contains(&file),
        };
        is_there.then(|| format!("{FILES}{}", utf8_percent_encode(&file, IN_PATH)))
    }

    /// Whether a server makes pages for any query.
    pub fn is_served(&self) -> bool {
        matches!(self, Self::Served)
    }
}

fn served(page: &Page) -> String {
    let path = match page {
        Page::Overview => "./",
        Page::Runs(..) => "runs",
        Page::Campaigns(_) => "campaigns",
        Page::Trends(_) => "trends",
        Page::Troubles => "troubles",
        Page::Run(_) => "run",
        Page::Campaign(_) => "campaign",
        Page::Compare(..) => "compare",
    };
    match query(page) {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

fn query(page: &Page) -> String {
    let mut query = Serializer::new(String::new());
    if let Some(filter) = page.filter() {
        filter.write(&mut query);
    }
    match page {
        Page::Runs(_, part) if *part > 0 => {
            query.append_pair("part", &part.to_string());
        }
        Page::Run(path) | Page::Campaign(path) => {
            query.append_pair("path", path);
        }
        Page::Compare(one, two) => {
            query.append_pair("a", one).append_pair("b", two);
        }
        Page::Overview | Page::Runs(..) | Page::Campaigns(_) | Page::Trends(_) | Page::Troubles => {}
    }
    query.finish()
}

/// A name for a file: readable, and different for different paths.
fn slug(path: &str) -> String {
    let digest = Sha256::digest(path.as_bytes());
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let tail: Vec<char> = path.chars().rev().take(SLUG_CHARS).collect();
    let plain = |char: &char| if char.is_ascii_alphanumeric() { *char } else { '-' };
    let readable: String = tail.iter().rev().map(plain).collect();
    format!("{}-{hash}", readable.trim_matches('-'))
}

/// Where the files of runs are.
pub const FILES: &str = "files/";
const SLUG_CHARS: usize = 60;
/// Everything but letters, digits, and what no browser takes for more than a name.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_page() {
        let filter = Filter {
            plan: Some("a & b=c".to_owned()),
            verdict: Some(Verdict::Failed),
            place: Some(Place::Processes),
            build: Some("0a1b".to_owned()),
            from: Some("2026-11-01".to_owned()),
            to: Some("2026-11-29".to_owned()),
        };
        let pages = [
            Page::Overview,
            Page::Runs(filter.clone(), 3),
            Page::Runs(Filter::default(), 0),
            Page::Campaigns(filter.clone()),
            Page::Trends(filter),
            Page::Troubles,
            Page::Run("runs/ö #?/1".to_owned()),
            Page::Campaign(String::new()),
            Page::Compare("one/1".to_owned(), "two&b=/2".to_owned()),
        ];
        for page in pages {
            let address = Links::Served.page(&page).unwrap();
            let (path, query) = address.split_once('?').unwrap_or((&address, ""));
            let path = format!("/{}", path.trim_start_matches("./"));
            assert_eq!(Page::parse(&path, query), Ok(page), "{address}");
        }
    }

    #[test]
    fn what_is_asked_for_and_is_not_there_is_refused_with_the_reason() {
        let query = |path, query| match Page::parse(path, query) {
            Err(AddressError::Query(why)) => why,
            other => panic!("{path}?{query}: {other:?}"),
        };
        assert_eq!(query("/runs", "verdict=good"), "`good` is no verdict");
        assert_eq!(
            query("/runs", "from=yesterday"),
            "`yesterday` is no day, such as 2026-11-29"
        );
        assert_eq!(query("/runs", "part=-1"), "`-1` is no number");
        assert_eq!(
            query("/runs", "color=red"),
            "there is nothing to ask for by `color`"
        );
        assert_eq!(query("/compare", "a=x"), "the address lacks `b`: a folder");
        assert_eq!(Page::parse("/nothing", ""), Err(AddressError::NoPage));
        assert_eq!(Page::parse("/run/", "path=x"), Err(AddressError::NoPage));
        assert_eq!(
            Page::parse("/runs", "verdict=&plan="),
            Ok(Page::Runs(Filter::default(), 0))
        );
    }

    #[test]
    fn different_folders_have_different_files() {
        let names = ["a/b", "a-b", "a b", "A/b", &"x/".repeat(500), &"x/".repeat(501)];
        let files: BTreeSet<String> = names
            .iter()
            .map(|path| Page::Run((*path).to_owned()).file())
            .collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|file| file.len() < 100), "{files:?}");
    }

    #[test]
    fn a_published_folder_links_only_what_is_in_it() {
        let mut published = Published::default();
        published.copied.insert("p/1/nodes/n1/log".to_owned());
        published.compared.insert(("a".to_owned(), "b".to_owned()));
        let links = Links::Published(published);
        assert_eq!(
            links.file("p/1", "nodes/n1/log"),
            Some("files/p/1/nodes/n1/log".to_owned())
        );
        assert_eq!(links.file("p/1", "report.html"), None);
        let compare = |one: &str, two: &str| links.page(&Page::Compare(one.to_owned(), two.to_owned()));
        assert!(compare("a", "b").is_some() && compare("b", "a").is_none());
        let filter = Filter {
            verdict: Some(Verdict::Invalid),
            ..Filter::default()
        };
        let runs = links.page(&Page::Runs(filter, 0));
        assert_eq!(runs, Some("runs.html#verdict=invalid".to_owned()));
    }
}
