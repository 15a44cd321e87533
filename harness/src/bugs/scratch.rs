//! A copy of the sources beside the project, edited and built there.
//!
//! Invariant: the project's own files are only read, once, at the beginning; a file of the copy is written only
//! when its content changes, so a build compiles no more than what an edit touches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::catalog::{Bug, EditError, add_to_digest, hex};
use super::test_programs::{programs, target};

/// The copy, and where it is built.
pub struct Scratch {
    folder: PathBuf,
    /// What the project's files hold.
    sources: BTreeMap<PathBuf, Vec<u8>>,
    _lock: Flock<File>,
}

/// The programs of tests, by package and option.
pub(super) type Tests = BTreeMap<(String, String), PathBuf>;

/// Why there is no build.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error("{path}: in use by another `harness bugs`", path = .0.display())]
    Busy(PathBuf),
    /// An edit does not fit the sources.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// An edit names a file that is not part of the copy.
    #[error("{file}: no source of the daemon", file = .0.display())]
    NoSource(PathBuf),
    /// The sources do not compile.
    #[error("does not build:\n{0}")]
    Build(String),
}

impl Scratch {
    /// Reads the sources of the project at `root`, to be built under `folder`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or another process uses the folder.
    pub fn open(root: &Path, folder: &Path) -> Result<Self, ScratchError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let folder = folder.canonicalize().map_err(at(folder))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(at(&path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|_| ScratchError::Busy(folder.clone()))?;
        let mut sources = BTreeMap::new();
        for part in PARTS {
            collect(root, Path::new(part), &mut sources)?;
        }
        Ok(Self {
            folder,
            sources,
            _lock: lock,
        })
    }

    /// The sources as they were written last.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Where other files of a hunt may go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A digest of the sources as they are, and of the plans.
    ///
    /// # Errors
    ///
    /// When a plan cannot be read.
    pub fn digest(&self, root: &Path) -> Result<String, ScratchError> {
        let mut files = self.sources.clone();
        collect(root, Path::new("workloads"), &mut files)?;
        let mut digest = Sha256::new();
        for (name, content) in &files {
            add_to_digest(&mut digest, name.as_os_str().as_encoded_bytes(), content);
        }
        Ok(hex(digest))
    }

    /// Builds `programs` of the sources as they are, or with a bug in them.
    ///
    /// # Errors
    ///
    /// When an edit does not fit, or the result does not compile.
    pub fn build(&self, bug: Option<&Bug>, programs: &[&str]) -> Result<(), ScratchError> {
        self.compile("build", bug, programs)
    }

    /// Checks that `programs` would compile, which takes less time than building them.
    ///
    /// # Errors
    ///
    /// When an edit does not fit, or the result does not compile.
    pub fn check(&self, bug: Option<&Bug>, programs: &[&str]) -> Result<(), ScratchError> {
        self.compile("check", bug, programs)
    }

    fn compile(&self, verb: &str, bug: Option<&Bug>, programs: &[&str]) -> Result<(), ScratchError> {
        let mutated = bug.map_or_else(|| Ok(BTreeMap::new()), |bug| self.mutated(bug))?;
        self.write_tree(&mutated)?;
        let build = |scratch: &Self| {
            let bins = programs.iter().flat_map(|program| ["--bin", program]);
            let options = [verb, "--locked", "--profile", PROFILE];
            scratch.cargo(options.into_iter().chain(bins))
        };
        let mut output = build(self)?;
        if verb == "build" && !output.status.success() {
            // A build that was interrupted can leave behind what the next one cannot be linked with.
            let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
            self.cargo(["clean", "--profile", PROFILE].into_iter().chain(packages))?;
            output = build(self)?;
        }
        errors_of(&output)
    }

    /// Builds the programs of tests that `paths` name, and says where each is, by its package and the option that chooses it.
    ///
    /// # Errors
    ///
    /// When an edit does not fit, or the result does not compile.
    pub(super) fn build_tests(
        &self,
        bug: Option<&Bug>,
        paths: &BTreeSet<PathBuf>,
    ) -> Result<Tests, ScratchError> {
        let mutated = bug.map_or_else(|| Ok(BTreeMap::new()), |bug| self.mutated(bug))?;
        self.write_tree(&mutated)?;
        let targets: BTreeSet<_> = paths.iter().filter_map(|path| target(path)).collect();
        let options = [
            "test",
            "--locked",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ]
        .map(str::to_owned);
        let packages: BTreeSet<&str> = targets.iter().map(|(package, _)| *package).collect();
        let packages = PACKAGES.iter().filter(|known| {
            let name = known.split('@').next().unwrap_or(known);
            packages.contains(name)
        });
        let packages = packages.map(|package| format!("--package={package}"));
        let chosen: BTreeSet<String> = targets.iter().map(|(_, target)| target.option()).collect();
        let options: Vec<String> = options.into_iter().chain(packages).chain(chosen).collect();
        let output = self.cargo(options.iter().map(String::as_str))?;
        errors_of(&output)?;
        Ok(programs(&String::from_utf8_lossy(&output.stdout)))
    }

    /// A program as it was built last.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("target").join(PROFILE).join(name)
    }

    /// Keeps a program under another name, for the next build replaces it.
    ///
    /// # Errors
    ///
    /// When it cannot be copied.
    pub fn keep(&self, name: &str, kept: &str) -> Result<PathBuf, ScratchError> {
        let (from, to) = (self.program(name), self.folder.join(kept));
        // Not over a program that may be running.
        let _ = fs::remove_file(&to);
        fs::copy(&from, &to).map_err(at(&from))?;
        Ok(to)
    }

    /// The files that a bug changes, changed.
    fn mutated<'b>(&self, bug: &'b Bug) -> Result<BTreeMap<&'b Path, String>, ScratchError> {
        let mut changed: BTreeMap<&'b Path, String> = BTreeMap::new();
        for edit in &bug.edits {
            let content = match changed.get(edit.file.as_path()) {
                Some(content) => content.clone(),
                None => {
                    let source = self.sources.get(&edit.file);
                    let source = source.ok_or_else(|| ScratchError::NoSource(edit.file.clone()))?;
                    String::from_utf8_lossy(source).into_owned()
                }
            };
            changed.insert(&edit.file, edit.apply(&content)?);
        }
        Ok(changed)
    }

    fn write_tree(&self, mutated: &BTreeMap<&Path, String>) -> Result<(), ScratchError> {
        let tree = self.tree();
        let mut strangers = BTreeMap::new();
        for part in PARTS.iter().filter(|part| tree.join(part).exists()) {
            collect(&tree, Path::new(part), &mut strangers)?;
        }
        for (name, source) in &self.sources {
            let content = mutated
                .get(name.as_path())
                .map_or(&source[..], |text| text.as_bytes());
            let path = tree.join(name);
            if strangers.remove(name).as_deref() != Some(content) {
                let parent = path.parent().unwrap_or(&tree);
                fs::create_dir_all(parent).map_err(at(parent))?;
                fs::write(&path, content).map_err(at(&path))?;
            }
        }
        for name in strangers.keys() {
            let path = tree.join(name);
            fs::remove_file(&path).map_err(at(&path))?;
        }
        Ok(())
    }

    fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Output, ScratchError> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            // A backtrace of what is meant to fail is of no use.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .args(arguments);
        command.output().map_err(at(Path::new(&cargo)))
    }
}

fn errors_of(output: &Output) -> Result<(), ScratchError> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let errors = said.find("error").map_or(&*said, |from| &said[from..]);
    let lines: Vec<&str> = errors.lines().take(BUILD_LINES).collect();
    Err(ScratchError::Build(lines.join("\n")))
}

/// Reads a file, or all files in a folder.
fn collect(root: &Path, part: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), ScratchError> {
    let path = root.join(part);
    if !path.is_dir() {
        let content = fs::read(&path).map_err(at(&path))?;
        into.insert(part.to_owned(), content);
        return Ok(());
    }
    for entry in fs::read_dir(&path).map_err(at(&path))? {
        let name = entry.map_err(at(&path))?.file_name();
        collect(root, &part.join(name), into)?;
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> ScratchError + use<> {
    let path = path.to_owned();
    move |source| ScratchError::File {
        path: path.clone(),
        source,
    }
}

/// What cargo needs of the project to build its programs and the tests of the daemon.
const PARTS: [&str; 17] = [
    "Cargo.toml",
    "Cargo.lock",
    "noraft/Cargo.toml",
    "noraft/src",
    "noraft/examples",
    "noraft/tests",
    "noraftd/Cargo.toml",
    "noraftd/build.rs",
    "noraftd/src",
    "noraftd/tests",
    "harness/Cargo.toml",
    "harness/src",
    "harness/systems",
    "bench/Cargo.toml",
    "bench/benches",
    "fuzz/Cargo.toml",
    "fuzz/src",
];
/// What is built again when a build fails: the version distinguishes our core from the one that it is compared with.
const PACKAGES: [&str; 3] = ["noraft@0.1.0", "noraftd", "harness"];
const PROFILE: &str = "bugs";
/// Enough to see what is wrong with an edit.
const BUILD_LINES: usize = 30;
