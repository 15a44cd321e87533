//! The report of a run as one HTML page that needs nothing else: no network, and for what matters no script.
//!
//! It begins with five headings, always the same, that answer in words what a person asks first: [`HEADINGS`]. Below them are the
//! violation, and everything over time. Scripts draw; they add no fact that the text lacks.
//!
//! Invariant: bounded, like the text report; everything that comes from a run is escaped.

mod chart;
mod command;
mod details;
mod headings;
mod logs;
pub(crate) mod words;

use std::io;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use self::command::quoted;
use super::origin::Origin;
use crate::nodes::{NODES_FILE, NodeLog, NodesError};
use crate::plan::Plan;
use crate::results::{Account, CheckResult, Outcome, Results};
use crate::tally::Tally;

/// The headings of the first screen. Programs find the facts by them.
pub const HEADINGS: [&str; 5] = [
    "Verdict",
    "What ran",
    "What failed, when and why",
    "What was disturbed",
    "Command to repeat",
];

/// The look of all pages.
pub(crate) const STYLE: &str = include_str!("page.css");
/// The switch of the theme, and buttons that copy.
pub(crate) const SCRIPT: &str = include_str!("page.js");
const CHART: &str = include_str!("chart.js");

/// What a page is made from.
struct Page<'a> {
    plan: &'a Plan,
    seed: u64,
    folder: &'a Path,
    results: &'a Results,
    tally: &'a Tally,
    origin: Origin,
    nodes: Result<NodeLog, String>,
}

/// Writes the page. What `folder` holds already is linked, and says where the run took place.
pub fn page(plan: &Plan, seed: u64, folder: &Path, results: &Results, tally: &Tally) -> String {
    let page = Page {
        plan,
        seed,
        folder,
        results,
        tally,
        origin: Origin::read(folder),
        nodes: nodes(folder),
    };
    page.document().into_string()
}

impl Page<'_> {
    fn document(&self) -> Markup {
        let verdict = self.results.verdict;
        let title = format!("{}, seed {}: {verdict}", self.plan.name, self.seed);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body class=(verdict) {
                    (self.top())
                    main {
                        div .headings { (self.headings()) }
                        (self.violation())
                        (self.over_time())
                        (self.operations())
                        (self.errors())
                        (self.faults())
                        (self.logs())
                        (self.files())
                    }
                    script { (PreEscaped(SCRIPT)) }
                    script { (PreEscaped(CHART)) }
                }
            }
        }
    }

    fn top(&self) -> Markup {
        html! {
            header {
                div .name {
                    h1 { (self.plan.name) span .dim { " seed " (self.seed) } }
                    @if !self.plan.about.is_empty() { p .dim { (self.plan.about) } }
                }
                button #theme type="button" aria-label="Colours: as the system has them" { "Auto" }
            }
        }
    }

    /// The checks that found something wrong, the earliest first; those without a time last.
    fn broken(&self) -> Vec<&CheckResult> {
        let invalid = |check: &&CheckResult| check.verdict == Outcome::Invalid;
        let mut broken: Vec<&CheckResult> = self.results.checks.iter().filter(invalid).collect();
        broken.sort_by_key(|check| {
            account(check)
                .and_then(|account| account.from_ns)
                .unwrap_or(u64::MAX)
        });
        broken
    }
}

/// A folder without the file is one of an older harness, and has no samples.
fn nodes(folder: &Path) -> Result<NodeLog, String> {
    match NodeLog::read(&folder.join(NODES_FILE)) {
        Err(NodesError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(NodeLog::default()),
        read => read.map_err(|error| error.to_string()),
    }
}

fn account(check: &CheckResult) -> Option<&Account> {
    check.account.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::series::{Ending, OperationSpan};

    fn written(results: &Results) -> String {
        let (plan, tally) = (samples::plan(), samples::tally());
        page(&plan, 7, Path::new("/runs/p/1"), results, &tally)
    }

    /// The page without its style and its script.
    fn body(text: &str) -> &str {
        let from = text.find("<body").unwrap();
        &text[from..text.find("<script>").unwrap()]
    }

    #[test]
    fn nothing_from_a_run_becomes_markup() {
        let mut results = samples::results();
        results.faults[0].evidence = Some("<script>".to_owned());
        results.checks[0].summary = Some("<script>".to_owned());
        results.checks[0].explanation = Some("</pre><script>".to_owned());
        results.reasons.push("<script>".to_owned());
        results.remarks.push("</script><script>".to_owned());
        let account = results.checks[0].account.as_mut().unwrap();
        account.why.push("<script>".to_owned());
        account.operations[0].what = "<script>".to_owned();
        let text = written(&results);
        assert!(!body(&text).contains("<script>alert"), "{text}");
        let ours = text.matches("<script").count();
        assert_eq!(ours, written(&samples::results()).matches("<script").count());
    }

    #[test]
    fn a_page_is_bounded() {
        let mut results = samples::results();
        results.faults = vec![results.faults[0].clone(); 10_000];
        results.checks[0].explanation = Some("line\n".repeat(100_000));
        let text = written(&results);
        assert!(text.len() < 2_000_000, "{} bytes", text.len());
        assert!(text.contains("and 9700 more faults"));
    }

    #[test]
    fn a_million_operations_are_at_most_twenty_megabytes() {
        let operation = |at: u64| OperationSpan {
            begin_us: at * 60,
            micros: Some(100_000 + (at % 900_000) as u32),
            lane: (at % 50) as u32,
            function: (at % 6) as u8,
            node: (at % 5) as u8,
            ending: Ending::Ok,
        };
        let mut tally = samples::tally();
        tally.series.operations = (0..1_000_000).map(operation).collect();
        tally.series.lanes = (0..50).map(|lane| vec![lane]).collect();
        let mut results = samples::results();
        results.faults = vec![results.faults[0].clone(); 10_000];
        let text = page(&samples::plan(), 7, Path::new("/runs/p/1"), &results, &tally);
        assert!(text.len() < 20_000_000, "{} bytes", text.len());
        assert!(text.contains("\"count\":1000000"));
    }

    #[test]
    fn the_headings_come_first_and_in_order() {
        let text = written(&samples::results());
        let places: Vec<usize> = HEADINGS
            .iter()
            .map(|heading| text.find(&format!("<h2>{heading}</h2>")).expect(heading))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(places[4] < text.find("<svg").unwrap());
    }
}
