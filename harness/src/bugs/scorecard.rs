//! The table: what was caught, by which check, and how soon.
//!
//! Invariant: it passes only when every plan was passed by the unmutated daemon and every bug was caught, but for those
//! of which it is known that nothing sees them: they stay in the table as missed, or as harmless with the reason.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog::{Bug, Catalog, KINDS, LeftOut};
use super::hunt::{Catch, Found, World};

/// What came of all hunts.
#[derive(Debug, Clone, Default)]
pub struct Scorecard {
    /// The unmutated daemon, plan by plan.
    pub controls: Vec<Control>,
    /// A bug in a world each.
    pub lines: Vec<Line>,
}

/// The unmutated daemon on one plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Control {
    /// Where.
    pub world: World,
    /// The plan.
    pub plan: PathBuf,
    /// What came of it; an error when there was no verdict.
    pub found: Result<Found, String>,
}

/// A bug in a world.
#[derive(Debug, Clone)]
pub struct Line {
    /// The bug's name.
    pub bug: String,
    /// What is wrong.
    pub title: String,
    /// What kind of bug it is.
    pub kind: String,
    /// Where it shipped.
    pub source: String,
    /// The rows of the list.
    pub rows: Vec<u32>,
    /// Why nothing sees it, where that is known.
    pub missed: Option<String>,
    /// Why it can do no harm.
    pub harmless: Option<String>,
    /// Where it was hunted.
    pub world: World,
    /// What came of it.
    pub(super) score: Score,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Score {
    Hunted(Found),
    /// Not built, or no verdict.
    Failed(String),
}

impl Control {
    /// True when nothing was found.
    pub fn passes(&self) -> bool {
        matches!(&self.found, Ok(found) if found.catch.is_none() && found.seeds > found.unknown)
    }

    /// A line for a person.
    pub fn words(&self) -> String {
        let head = format!("unmutated  {:7} {}", self.world.name(), self.plan.display());
        match &self.found {
            Err(problem) => format!("{head}: ERROR: {problem}"),
            Ok(found) => match &found.catch {
                None => format!(
                    "{head}: {} {} in {:.1} {}, {} undecided: {}",
                    found.seeds,
                    self.world.runs(),
                    found.seconds,
                    self.world.seconds(),
                    found.unknown,
                    if self.passes() { "valid" } else { "PROVES NOTHING" }
                ),
                Some(catch) => format!("{head}: FALSE ALARM: {}", describe(catch)),
            },
        }
    }
}

impl Line {
    pub(super) fn new(bug: &Bug, world: World, score: Score) -> Self {
        Self {
            bug: bug.name.clone(),
            title: bug.title.clone(),
            kind: bug.kind.clone(),
            source: bug.source.clone(),
            rows: bug.rows.clone(),
            missed: bug.missed.clone(),
            harmless: bug.harmless.clone(),
            world,
            score,
        }
    }

    /// True when the bug was caught.
    pub fn is_caught(&self) -> bool {
        matches!(&self.score, Score::Hunted(Found { catch: Some(_), .. }))
    }

    /// True when it is not worse than known.
    fn passes(&self) -> bool {
        let is_known = self.missed.is_some() || self.harmless.is_some();
        self.is_caught() || (is_known && matches!(self.score, Score::Hunted(_)))
    }

    /// True when it was not caught, and there was nothing to catch.
    fn is_harmless(&self) -> bool {
        !self.is_caught() && self.harmless.is_some()
    }

    /// A line for a person.
    pub fn words(&self) -> String {
        let head = format!("{:26} {:7}", self.bug, self.world.name());
        match &self.score {
            Score::Failed(problem) => format!("{head} ERROR   {problem}"),
            Score::Hunted(found) => {
                let took = format!("{:5} {} {:6.1} s", found.seeds, self.world.runs(), found.seconds);
                match &found.catch {
                    None => format!("{head} MISSED  {took}"),
                    Some(catch) => format!("{head} caught  {took}  by {}", describe(catch)),
                }
            }
        }
    }

    fn row(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(u32::to_string).collect();
        let rows = if rows.is_empty() {
            "-".to_owned()
        } else {
            rows.join(", ")
        };
        let (seeds, seconds, verdict, by) = match &self.score {
            Score::Failed(problem) => (String::new(), String::new(), "**error**", cell(problem)),
            Score::Hunted(found) => {
                let (seeds, seconds) = (found.seeds.to_string(), format!("{:.1}", found.seconds));
                match &found.catch {
                    None => {
                        let why = self.harmless.as_deref().or(self.missed.as_deref());
                        let verdict = if self.is_harmless() {
                            "harmless"
                        } else {
                            "**missed**"
                        };
                        (seeds, seconds, verdict, why.map_or_else(String::new, reason))
                    }
                    Some(catch) => (seeds, seconds, "caught", cell(&by(catch))),
                }
            }
        };
        let (title, source) = (cell(&self.title), cell(&self.source));
        format!(
            "| {rows} | `{}` | {} | {title} | {source} | {verdict} | {by} | {seeds} | {seconds} |",
            self.bug, self.kind
        )
    }
}

impl Scorecard {
    /// True when the unmutated daemon passed everything and every bug was caught.
    pub fn passes(&self) -> bool {
        self.controls.iter().all(Control::passes) && self.lines.iter().all(Line::passes)
    }

    /// The counts in a line.
    pub fn summary(&self) -> String {
        let alarms = self.controls.iter().filter(|control| !control.passes()).count();
        let caught = self.lines.iter().filter(|line| line.is_caught()).count();
        let harmful = || self.lines.iter().filter(|line| !line.is_harmless());
        format!(
            "{caught} of {} caught, of {} of {} kinds, {} more are harmless; the unmutated daemon passed {} of {} plans",
            harmful().count(),
            kinds_of(harmful().filter(|line| line.is_caught())),
            kinds_of(harmful()),
            self.lines.len() - harmful().count(),
            self.controls.len() - alarms,
            self.controls.len()
        )
    }

    /// The whole as Markdown. A world that was not run keeps its part of `before`.
    pub fn markdown(&self, catalog: &Catalog, before: &str) -> String {
        let mut text = head(&catalog.folder);
        for world in World::ALL {
            let was_run = self.controls.iter().any(|control| control.world == world);
            if was_run {
                text.push_str(&self.part(world));
            } else {
                text.push_str(part_of(before, heading(world)));
            }
        }
        text.push_str("## Left out\n| row | bug | why |\n|-|-|-|\n");
        for LeftOut { row, name, reason } in &catalog.left_out {
            let row = row.map_or_else(String::new, |row| row.to_string());
            let _ = writeln!(text, "| {row} | {} | {} |", cell(name), cell(reason));
        }
        text
    }

    /// Of how many kinds bugs are caught in `world`.
    fn kinds(&self, world: World) -> String {
        let of_world = || self.lines.iter().filter(|line| line.world == world);
        let lines = || of_world().filter(|line| !line.is_harmless());
        let caught = || lines().filter(|line| line.is_caught());
        let counted = format!(
            "{} of {} bugs are caught, of {} of {} kinds.",
            caught().count(),
            lines().count(),
            kinds_of(caught()),
            kinds_of(lines())
        );
        match of_world().count() - lines().count() {
            0 => counted,
            harmless => format!("{counted} Besides, {harmless} can do no harm, as their rows say."),
        }
    }

    /// How many bugs of each kind are caught in `world`.
    fn by_kind(&self, world: World) -> String {
        let mut text = String::from("| kind | bugs | caught |\n|-|-|-|\n");
        for kind in KINDS {
            let lines = || {
                let of_world = self.lines.iter().filter(|line| line.world == world);
                of_world.filter(|line| line.kind == kind && !line.is_harmless())
            };
            let caught = lines().filter(|line| line.is_caught()).count();
            if lines().next().is_some() {
                let _ = writeln!(text, "| {kind} | {} | {caught} |", lines().count());
            }
        }
        text
    }

    fn part(&self, world: World) -> String {
        let mut text = format!("{}\n", heading(world));
        let _ = writeln!(
            text,
            "{}The unmutated daemon first:\n\n| {} | {} | undecided | {} | verdict |\n|-|-|-|-|-|",
            introduction(world),
            if world == World::Tests { "tests of" } else { "plan" },
            world.runs(),
            world.seconds()
        );
        for control in self.controls.iter().filter(|control| control.world == world) {
            let _ = writeln!(text, "{}", control_row(control));
        }
        let _ = writeln!(
            text,
            "\n{}\n\n{}\n| row | bug | kind | what is wrong | shipped in | verdict | by | {} | {} |\n|-|-|-|-|-|-|-|-|-|",
            self.kinds(world),
            self.by_kind(world),
            world.runs(),
            world.seconds()
        );
        for line in self.lines.iter().filter(|line| line.world == world) {
            let _ = writeln!(text, "{}", line.row());
        }
        text.push('\n');
        text
    }
}

/// How many different kinds of bugs these are.
fn kinds_of<'a>(lines: impl Iterator<Item = &'a Line>) -> usize {
    lines.map(|line| &line.kind).collect::<BTreeSet<_>>().len()
}

fn control_row(control: &Control) -> String {
    let plan = control.plan.display();
    match &control.found {
        Err(problem) => format!("| {plan} | | | | **error**: {} |", cell(problem)),
        Ok(found) => {
            let verdict = match &found.catch {
                None if control.passes() => "valid".to_owned(),
                None => "**proves nothing**".to_owned(),
                Some(catch) => format!("**false alarm**: {}", cell(&describe(catch))),
            };
            format!(
                "| {plan} | {} | {} | {:.0} | {verdict} |",
                found.seeds, found.unknown, found.seconds
            )
        }
    }
}

/// The check, and for a panic its words, which name the assertion.
fn by(catch: &Catch) -> String {
    if catch.by == "panic" {
        format!("panic: {}", catch.detail)
    } else {
        catch.by.clone()
    }
}

fn describe(catch: &Catch) -> String {
    let Catch {
        plan,
        seed,
        by,
        detail,
    } = catch;
    if *seed == 0 {
        return format!("{by} ({})", plan.display());
    }
    let plan = plan.file_stem().map_or_else(|| plan.as_path(), Path::new);
    format!("{by}: {detail} ({}, seed {seed})", plan.display())
}

fn cell(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().replace('|', "\\|");
    match line.char_indices().nth(CELL_CHARS) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

/// A whole argument.
fn reason(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

fn heading(world: World) -> &'static str {
    match world {
        World::Sim => "## In the simulation",
        World::Cluster => "## On real processes",
        World::Tests => "## By tests",
    }
}

fn introduction(world: World) -> &'static str {
    match world {
        World::Sim | World::Cluster => "",
        World::Tests => {
            "The daemon's own tests on the same edits: of the bugs that no plan sees, the test that does; of those held out, all \
             tests but those that start daemons. The first by name that fails is shown.\n\n"
        }
    }
}

/// From a heading to the next.
fn part_of<'a>(text: &'a str, heading: &str) -> &'a str {
    let Some(from) = text.find(heading) else { return "" };
    let rest = &text[from..];
    let end = rest[heading.len()..].find("\n## ");
    end.map_or(rest, |end| &rest[..heading.len() + end + 1])
}

fn head(folder: &Path) -> String {
    format!(
        "# Seeded bugs\n\
         Bugs, most of which shipped in real systems, put into the daemon one by one (`make bugs`; the edits are in `{}/`).\n\
         *Seeds* and the time are those up to the first detection, one seed after the other from seed 1. Each bug is hunted\n\
         only with seeds that the unmutated daemon has passed.\n\n",
        folder.display()
    )
}

/// A table is read in lines.
const CELL_CHARS: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(catch: bool) -> Found {
        let catch = catch.then(|| Catch {
            plan: "workloads/swarm.toml".into(),
            seed: 7,
            by: "panic".into(),
            detail: "a | b".into(),
        });
        Found {
            seeds: 7,
            unknown: 0,
            seconds: 1.25,
            catch,
        }
    }

    fn card(world: World, caught: bool) -> Scorecard {
        let bug: Bug = toml::from_str(
            "title = \"t\"\nkind = \"reads\"\nsource = \"s\"\nrows = [3]\nsim = [\"p\"]\n\
             [[edit]]\nfile = \"f\"\nfind = \"a\"\nreplace = \"b\"\n",
        )
        .unwrap();
        Scorecard {
            controls: vec![Control {
                world,
                plan: "p".into(),
                found: Ok(found(false)),
            }],
            lines: vec![Line::new(&bug, world, Score::Hunted(found(caught)))],
        }
    }

    #[test]
    fn a_missed_bug_or_a_false_alarm_fails() {
        assert!(card(World::Sim, true).passes());
        assert!(!card(World::Sim, false).passes());
        let mut alarm = card(World::Sim, true);
        alarm.controls[0].found = Ok(found(true));
        assert!(!alarm.passes());
        let mut broken = card(World::Sim, true);
        broken.lines[0].score = Score::Failed("does not build".into());
        assert!(!broken.passes());
    }

    #[test]
    fn a_known_miss_does_not_fail_and_says_why() {
        let mut known = card(World::Sim, false);
        known.lines[0].missed = Some("it costs time only".into());
        assert!(known.passes());
        let table = known.markdown(&Catalog::default(), "");
        assert!(table.contains("**missed** | it costs time only |"), "{table}");
        assert!(
            table.contains("0 of 1 bugs are caught, of 0 of 1 kinds."),
            "{table}"
        );
        assert!(table.contains("| reads | 1 | 0 |\n\n"), "{table}");
    }

    #[test]
    fn what_can_do_no_harm_is_not_counted_and_says_why() {
        let mut harmless = card(World::Sim, false);
        harmless.lines[0].harmless = Some(format!("because {}", "of this ".repeat(40)));
        assert!(harmless.passes());
        let table = harmless.markdown(&Catalog::default(), "");
        let row = format!("| harmless | because {}|", "of this ".repeat(39) + "of this ");
        assert!(
            table.contains(row.trim_end_matches(" |")),
            "the whole argument: {table}"
        );
        assert!(
            table.contains("0 of 0 bugs are caught, of 0 of 0 kinds. Besides, 1 can do no harm"),
            "{table}"
        );
        let mut caught = card(World::Sim, true);
        caught.lines[0].harmless = Some("so it was said".into());
        assert!(
            caught
                .markdown(&Catalog::default(), "")
                .contains("1 of 1 bugs are caught")
        );
    }

    #[test]
    fn the_table_keeps_what_another_run_said_of_the_other_world() {
        let left_out = vec![LeftOut {
            row: Some(22),
            name: "lease".into(),
            reason: "no leases".into(),
        }];
        let left_out = Catalog {
            left_out,
            ..Catalog::default()
        };
        let first = card(World::Cluster, false).markdown(&left_out, "");
        assert!(
            first.contains("| 3 | `` | reads | t | s | **missed** |  | 7 | 1.2 |"),
            "{first}"
        );
        let both = card(World::Sim, true).markdown(&left_out, &first);
        assert!(both.contains("caught | panic: a \\| b | 7 | 1.2 |"), "{both}");
        assert!(
            both.contains("**missed**") && both.contains("| 22 | lease | no leases |"),
            "{both}"
        );
        assert!(
            both.contains("1 of 1 bugs are caught, of 1 of 1 kinds."),
            "{both}"
        );
        let again = card(World::Sim, true).markdown(&left_out, &both);
        assert_eq!(again, both);
    }
}
