//! The files of `harness/bugs/`: one bug each, and `left-out.toml` for what no plan can catch. Those in `harness/bugs/held-out/` are
//! of the same form, and hunted by themselves: they were unknown to those who wrote the plans and rules.
//!
//! ```toml
//! title = "a deposed leader answers reads"
//! rows = [21]                               # of the list of known bugs; empty for one of our own invention
//! kind = "reads"                            # which part of the system gets it wrong
//! source = "jgroups-raft#208"               # where it shipped
//! sim = ["workloads/swarm.toml"]            # plans that ought to catch it in the simulation
//! cluster = ["workloads/smoke.toml"]        # and on real processes
//! test = "noraftd/tests/store/voting.rs"    # where no plan sees it: the test that does
//! missed = "why"                            # where nothing sees it
//! harmless = "why"                          # where it can do no harm, so that there is nothing to see
//!
//! [[edit]]
//! file = "noraftd/src/replica/reads.rs"
//! find = "..."                              # matches exactly once
//! replace = "..."
//! ```
//!
//! Invariant: a bug that was read is of one of [`KINDS`], and names at least one edit and at least one plan, or a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::hunt::World;
use crate::shard::Shard;

/// The list of known bugs has so many rows.
pub const ROWS: u32 = 31;

/// The kinds of bugs.
pub const KINDS: [&str; 12] = [
    "elections",
    "replication",
    "durability",
    "reads",
    "snapshots",
    "voters",
    "recovery",
    "repair",
    "forwarding",
    "machine",
    "full disk",
    "restart",
];

/// All bugs, and those without a file.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By name.
    pub bugs: Vec<Bug>,
    /// By row, those of our own last.
    pub left_out: Vec<LeftOut>,
    /// The folder of the files, from the root of the project.
    pub folder: PathBuf,
    /// A digest of all files.
    pub digest: String,
}

/// One bug.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// The rows of the list that it represents.
    pub rows: Vec<u32>,
    /// One of [`KINDS`].
    pub kind: String,
    /// Where it shipped.
    pub source: String,
    /// Plans that ought to catch it in the simulation.
    #[serde(default)]
    pub sim: Vec<PathBuf>,
    /// Plans that ought to catch it on real processes.
    #[serde(default)]
    pub cluster: Vec<PathBuf>,
    /// The file of the test that sees it, where no plan does.
    #[serde(default)]
    pub test: Option<PathBuf>,
    /// What is run of the tests: that file, or whole programs of tests for a bug that is held out.
    #[serde(skip)]
    pub tests: Vec<PathBuf>,
    /// Why nothing sees it, where that is known.
    #[serde(default)]
    pub missed: Option<String>,
    /// Why it can do no harm, where that is certain.
    #[serde(default)]
    pub harmless: Option<String>,
    /// What makes it.
    #[serde(rename = "edit")]
    pub edits: Vec<Edit>,
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, from the root of the project.
    pub file: PathBuf,
    /// Text that it holds exactly once.
    pub find: String,
    /// What replaces them.
    pub replace: String,
}

/// A bug without a file: of the list, or of our own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its row, when it is of the list.
    pub row: Option<u32>,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOutFile {
    bug: Vec<LeftOut>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or the folder could not be read.
    #[error("{path}: {source}; run this in the project's folder, or name it with --root", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No bug has this name.
    #[error("no bug is called `{0}`; `harness bugs --list` lists them")]
    NoSuchBug(String),
}

/// Why an edit does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not there, or several times.
    #[error("{file}: the text to replace is there {times} times instead of once", file = file.display())]
    Matches {
        /// The file.
        file: PathBuf,
        /// How often.
        times: usize,
    },
    /// The edit leaves the file as it is.
    #[error("{file}: the edit changes nothing", file = .0.display())]
    Nothing(PathBuf),
}

impl Catalog {
    /// Reads `harness/bugs/` under `root`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is malformed.
    pub fn load(root: &Path) -> Result<Self, CatalogError> {
        Self::load_folder(root, FOLDER)
    }

    /// Reads `harness/bugs/held-out/` under `root`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is malformed, or there is no such folder.
    pub fn load_held_out(root: &Path) -> Result<Self, CatalogError> {
        let mut catalog = Self::load_folder(root, HELD_OUT)?;
        for bug in &mut catalog.bugs {
            bug.tests = TESTS.iter().map(PathBuf::from).collect();
        }
        Ok(catalog)
    }

    /// The bugs of both folders, the second of which need not be there.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is malformed.
    pub fn load_all(root: &Path) -> Result<Self, CatalogError> {
        let mut all = Self::load(root)?;
        if root.join(HELD_OUT).exists() {
            all.bugs.extend(Self::load_held_out(root)?.bugs);
        }
        Ok(all)
    }

    fn load_folder(root: &Path, folder: &str) -> Result<Self, CatalogError> {
        let mut bugs = Vec::new();
        let mut left_out = Vec::new();
        let mut digest = Sha256::new();
        for (name, path) in toml_files(&root.join(folder))? {
            let text = read(&path)?;
            add_to_digest(&mut digest, name.as_bytes(), text.as_bytes());
            if name == LEFT_OUT {
                left_out = parse::<LeftOutFile>(&text, &path)?.bug;
            } else {
                let bug: Bug = parse(&text, &path)?;
                let tests = bug.test.iter().cloned().collect();
                let bug = Bug { name, tests, ..bug };
                bug.validate(&path)?;
                bugs.push(bug);
            }
        }
        left_out.sort_by_key(|left| (left.row.is_none(), left.row));
        Ok(Self {
            bugs,
            left_out,
            folder: folder.into(),
            digest: hex(digest),
        })
    }

    /// Keeps one part, by the order of the names: neighbours, which are often alike, go to different ones.
    pub fn part(mut self, part: Shard) -> Self {
        let mut numbers = 0_u64..;
        self.bugs
            .retain(|_| numbers.next().is_some_and(|number| part.has(number)));
        self
    }

    /// Keeps the bugs with these names; all of them when none is named.
    ///
    /// # Errors
    ///
    /// When a name is unknown.
    pub fn only(mut self, names: &[String]) -> Result<Self, CatalogError> {
        if names.is_empty() {
            return Ok(self);
        }
        for name in names {
            if !self.bugs.iter().any(|bug| bug.name == *name) {
                return Err(CatalogError::NoSuchBug(name.clone()));
            }
        }
        self.bugs.retain(|bug| names.contains(&bug.name));
        Ok(self)
    }
}

/// A name and a content, so that neither can be taken for the other.
pub(super) fn add_to_digest(digest: &mut Sha256, name: &[u8], content: &[u8]) {
    for part in [name, content] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
}

pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn toml_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, CatalogError> {
    let failed = |source| CatalogError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let (Some(stem), Some("toml")) = (stem, path.extension().and_then(|extension| extension.to_str()))
        {
            files.insert(stem, path);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, CatalogError> {
    fs::read_to_string(path).map_err(|source| CatalogError::Read {
        path: path.to_owned(),
        source,
    })
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T, CatalogError> {
    toml::from_str(text).map_err(|error| CatalogError::Malformed {
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

impl Bug {
    fn validate(&self, path: &Path) -> Result<(), CatalogError> {
        let malformed = |problem: &str| {
            Err(CatalogError::Malformed {
                path: path.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if self.edits.is_empty() {
            return malformed("`edit` must be given at least once");
        }
        let is_planned = !self.sim.is_empty() || !self.cluster.is_empty();
        if !is_planned && self.test.is_none() {
            return malformed("`sim` or `cluster` must name a plan, or `test` a test");
        }
        if self.missed.is_some() && self.harmless.is_some() {
            return malformed("`missed` and `harmless` exclude each other");
        }
        if !KINDS.contains(&self.kind.as_str()) {
            return malformed("`kind` must be one of the kinds in harness/src/bugs/catalog.rs");
        }
        if self.rows.iter().any(|row| !(1..=ROWS).contains(row)) {
            return malformed("`rows` must be rows of the list of known bugs");
        }
        Ok(())
    }

    /// Its plans for `world`.
    pub fn plans(&self, world: World) -> &[PathBuf] {
        match world {
            World::Sim => &self.sim,
            World::Cluster => &self.cluster,
            World::Tests => &self.tests,
        }
    }
}

impl Edit {
    /// The content of the file after the edit.
    ///
    /// # Errors
    ///
    /// When the text to replace is not there exactly once.
    pub fn apply(&self, content: &str) -> Result<String, EditError> {
        let times = content.matches(&self.find).count();
        if times != 1 {
            return Err(EditError::Matches {
                file: self.file.clone(),
                times,
            });
        }
        if self.find == self.replace {
            return Err(EditError::Nothing(self.file.clone()));
        }
        Ok(content.replacen(&self.find, &self.replace, 1))
    }
}

/// Bugs that are held out, from the root of the project.
pub const HELD_OUT: &str = "harness/bugs/held-out";
const FOLDER: &str = "harness/bugs";
/// The programs of tests, by their folders, that run within the budget of a bug: all but those that start daemons.
const TESTS: [&str; 5] = [
    "noraft/tests/contract",
    "noraftd/src",
    "noraftd/tests/protocol",
    "noraftd/tests/replica",
    "noraftd/tests/store",
];
const LEFT_OUT: &str = "left-out";

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(find: &str, replace: &str) -> Edit {
        Edit {
            file: "a.rs".into(),
            find: find.into(),
            replace: replace.into(),
        }
    }

    #[test]
    fn an_edit_applies_where_its_text_stands_once() {
        assert_eq!(edit("b", "x").apply("a b c").as_deref(), Ok("a x c"));
        for (content, times) in [("a c", 0), ("b b", 2)] {
            let refused = edit("b", "x").apply(content).unwrap_err();
            let expected = EditError::Matches {
                file: "a.rs".into(),
                times,
            };
            assert_eq!(refused, expected);
        }
        assert!(matches!(edit("b", "b").apply("b"), Err(EditError::Nothing(_))));
    }

    #[test]
    fn what_is_held_out_is_read_by_itself_and_with_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let text = "title = \"t\"\nrows = []\nkind = \"reads\"\nsource = \"s\"\nsim = [\"p\"]\n\
                    [[edit]]\nfile = \"f\"\nfind = \"x\"\nreplace = \"y\"\n";
        let names =
            |catalog: Catalog| -> Vec<String> { catalog.bugs.into_iter().map(|bug| bug.name).collect() };
        fs::create_dir_all(root.path().join(FOLDER)).unwrap();
        fs::write(root.path().join(FOLDER).join("a.toml"), text).unwrap();
        assert_eq!(names(Catalog::load_all(root.path()).unwrap()), ["a"]);
        assert!(Catalog::load_held_out(root.path()).is_err());
        fs::create_dir(root.path().join(HELD_OUT)).unwrap();
        fs::write(root.path().join(HELD_OUT).join("b.toml"), text).unwrap();
        assert_eq!(names(Catalog::load(root.path()).unwrap()), ["a"]);
        assert_eq!(names(Catalog::load_held_out(root.path()).unwrap()), ["b"]);
        assert_eq!(names(Catalog::load_all(root.path()).unwrap()), ["a", "b"]);
        let digests = [Catalog::load(root.path()), Catalog::load_held_out(root.path())];
        let [a, b] = digests.map(|catalog| catalog.unwrap().digest);
        assert_ne!(a, b, "the name counts too");
    }

    #[test]
    fn a_malformed_bug_says_what_is_wrong() {
        let path = Path::new("x.toml");
        let edit = "[[edit]]\nfile = \"a\"\nfind = \"b\"\nreplace = \"c\"\n";
        let head = "title = \"t\"\nkind = \"reads\"\nsource = \"s\"\n";
        let odd = "title = \"t\"\nkind = \"odd\"\nsource = \"s\"\n";
        let cases = [
            (format!("{head}rows = [1]\n{edit}"), "`sim` or `cluster`"),
            (format!("{head}rows = [32]\nsim = [\"p\"]\n{edit}"), "`rows`"),
            (format!("{head}rows = []\nsim = [\"p\"]\nedit = []\n"), "`edit`"),
            (format!("{head}rows = []\nsims = [\"p\"]\n{edit}"), "sims"),
            (
                format!("{head}rows = []\nsim = [\"p\"]\nmissed = \"m\"\nharmless = \"h\"\n{edit}"),
                "`harmless`",
            ),
            (format!("{odd}rows = []\nsim = [\"p\"]\n{edit}"), "`kind`"),
        ];
        for (text, said) in cases {
            let bug = parse::<Bug>(&text, path).and_then(|bug| bug.validate(path).map(|()| bug));
            let problem = bug.expect_err(&text).to_string();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
