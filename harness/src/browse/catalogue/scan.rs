//! Which folders of runs and campaigns there are below a folder.
//!
//! Invariant: links are not followed, so that it ends, and stays inside; depth and number are bounded, and what is left out is said.

use std::fs;
use std::path::Path;

use super::super::beneath::inside;
use super::{Trouble, When};
use crate::campaign::LEDGER;

/// A file that says: this folder is a published site, not results.
pub const SITE_MARK: &str = ".harness-site";

/// What a folder seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Run,
    Campaign,
}

/// A folder of a run or a campaign.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// Below the folder of results, with `/`.
    pub(super) path: String,
    /// The files in it.
    pub(super) files: Vec<(String, u64)>,
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) found: Vec<Found>,
    pub(super) troubles: Vec<Trouble>,
    folders: usize,
}

/// Looks through `root`.
pub(super) fn scan(root: &Path) -> Scanned {
    let mut scanned = Scanned::default();
    // A folder of a run can be given itself.
    scanned.folder(root, String::new(), 0);
    scanned
}

/// What is in a folder.
#[derive(Default)]
struct Content {
    files: Vec<(String, u64)>,
    folders: Vec<String>,
    /// Names that are not UTF-8.
    odd: Vec<String>,
}

impl Scanned {
    fn folder(&mut self, root: &Path, path: String, depth: usize) {
        self.folders += 1;
        let content = match content(&root.join(&path)) {
            Ok(content) => content,
            Err(why) => return self.trouble(path, format!("the folder cannot be read: {why}"), Vec::new()),
        };
        for odd in &content.odd {
            self.trouble(
                path.clone(),
                format!("it holds the name `{odd}`, which is not UTF-8"),
                Vec::new(),
            );
        }
        let has = |name: &str| content.files.iter().any(|(file, _)| file == name);
        if has(SITE_MARK) {
            return;
        }
        if has(LEDGER) {
            self.found.push(Found {
                kind: Kind::Campaign,
                path: path.clone(),
                files: content.files.clone(),
            });
        } else if has("campaign.sqlite.new") {
            let why = "the harness was killed while it made the ledger: there is no result yet";
            self.trouble(path.clone(), why.to_owned(), content.files.clone());
        } else if has("results.json") || has("run.json") {
            let mut files = content.files;
            files.extend(logs(&root.join(&path)));
            let kind = Kind::Run;
            return self.found.push(Found { kind, path, files });
        } else if path.rsplit('/').next().and_then(When::of_name).is_some() && !content.files.is_empty() {
            let why = "it is named as the folder of a run, and has neither run.json nor results.json";
            self.trouble(path.clone(), why.to_owned(), content.files.clone());
        }
        self.folders_in(root, &path, content.folders, depth + 1);
    }

    fn folders_in(&mut self, root: &Path, path: &str, folders: Vec<String>, depth: usize) {
        if depth > DEPTH_MAX && !folders.is_empty() {
            let why = format!("it is deeper than {DEPTH_MAX} folders: what is in it is not listed");
            return self.trouble(path.to_owned(), why, Vec::new());
        }
        for name in folders {
            if self.folders == FOLDERS_MAX {
                let why = format!("there are more than {FOLDERS_MAX} folders: the others are not listed");
                self.folders += 1;
                self.trouble(String::new(), why, Vec::new());
            }
            if self.folders > FOLDERS_MAX {
                return;
            }
            self.folder(root, inside(path, &name), depth);
        }
    }

    fn trouble(&mut self, path: String, why: String, files: Vec<(String, u64)>) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(Trouble { path, why, files });
        }
    }
}

fn content(folder: &Path) -> Result<Content, String> {
    let mut content = Content::default();
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries.take(ENTRIES_MAX) {
        let entry = entry.map_err(|error| error.to_string())?;
        let kind = entry.file_type().map_err(|error| error.to_string())?;
        match entry.file_name().into_string() {
            Err(odd) => content.odd.push(odd.to_string_lossy().into_owned()),
            Ok(name) if kind.is_dir() => content.folders.push(name),
            // A link or a pipe of this name as well: that it is no file is said when it is read.
            Ok(name) => {
                let bytes = entry.metadata().map_or(0, |about| about.len());
                content.files.push((name, bytes));
            }
        }
    }
    content.files.sort();
    content.folders.sort();
    Ok(content)
}

/// The logs of the nodes.
fn logs(run: &Path) -> Vec<(String, u64)> {
    let nodes = (1..=NODES_MAX).map(|node| format!("nodes/n{node}/log"));
    let there = nodes.filter_map(|name| {
        let about = run.join(&name).symlink_metadata().ok()?;
        about.is_file().then_some((name, about.len()))
    });
    there.collect()
}

/// Deeper than any folder that the harness makes: results/campaigns/NAME/TIME/runs/UNIT/PLAN/RUN.
const DEPTH_MAX: usize = 16;
/// Years of nights.
const FOLDERS_MAX: usize = 200_000;
/// Files and folders of one folder.
const ENTRIES_MAX: usize = 200_000;
const TROUBLES_MAX: usize = 1000;
/// More than a plan may have.
const NODES_MAX: usize = 32;
