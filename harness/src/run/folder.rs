//! A run's folder: everything needed to understand and repeat the run.
//!
//! | file | content |
//! |-|-|
//! | `run.json` | command line, seed, programs and their SHA-256, kernel, time |
//! | `plan.toml` | the plan, complete, with the seed |
//! | `system.toml` | the system under test, when a file declares it |
//! | `schedule.jsonl` | every decision of the nemesis, with what it hit and when: `harness replay` carries it out again |
//! | `history.jsonl` | every operation and fault |
//! | `nodes.jsonl` | what each node said of itself, five times a second: [`nodes`](crate::nodes) |
//! | `violation-*.svg` | the operations of each violation over time |
//! | `results.json`, `results.edn`, `junit.xml` | the verdict, for programs |
//! | `report.txt`, `report.html` | the same for people; the page opens without anything else |
//! | `nodes/nK/` | `log`; `data/` too unless the verdict is valid |
//! | `repro.sh` | replays the run: its recorded schedule, on real processes |
//!
//! Invariant: each file is there as early as its content is known, so a crash of the harness keeps what
//! there was; an existing file is never overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cluster::{Cluster, Programs, Subject};
use crate::plan::Plan;
use crate::systems::{Installed, SYSTEM_FILE};

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
    path: PathBuf,
}

/// What could not be done with the folder.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct FolderError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The content of `run.json`.
#[derive(Debug, Serialize)]
struct RunJson<'a> {
    run: u32,
    plan: &'a str,
    seed: u64,
    started: &'a str,
    argv: &'a [String],
    harness: Program,
    #[serde(skip_serializing_if = "Option::is_none")]
    noraftd: Option<Program>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noraftd_old: Option<Program>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<SystemJson<'a>>,
    kernel: String,
    cpus: usize,
}

#[derive(Debug, Serialize)]
struct Program {
    path: PathBuf,
    version: String,
    sha256: String,
}

/// A system that is tested in place of noraftd.
#[derive(Debug, Serialize)]
struct SystemJson<'a> {
    name: &'a str,
    file: PathBuf,
    programs: Vec<Program>,
}

impl RunFolder {
    /// Makes `root/<plan>/<utc>-<seed>`, with a number after it when another run of that second has that name.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(root: &Path, plan: &Plan, seed: u64) -> Result<Self, FolderError> {
        let parent = root.join(&plan.name);
        fs::create_dir_all(&parent).map_err(at(&parent))?;
        // Absolute, because daemons get paths in it.
        let root = root.canonicalize().map_err(at(root))?;
        let path = create_new(&root.join(&plan.name).join(format!("{}-{seed}", utc_now())))?;
        let folder = Self { root, path };
        let nodes = folder.nodes();
        fs::create_dir(&nodes).map_err(at(&nodes))?;
        folder.link("latest")?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file `name` in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the nodes live.
    pub fn nodes(&self) -> PathBuf {
        self.path.join("nodes")
    }

    /// Writes what is known before the run: `run.json`, `plan.toml`, `repro.sh`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or a program not be read.
    pub fn describe(
        &self,
        plan: &Plan,
        seed: u64,
        programs: &Programs,
        argv: &[String],
    ) -> Result<(), FolderError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let (noraftd, noraftd_old, system) = match &programs.subject {
            Subject::Noraftd { program, old } => {
                let old = old.as_deref().map(Program::own).transpose()?;
                (Some(Program::own(program)?), old, None)
            }
            Subject::System(installed) => {
                self.write(SYSTEM_FILE, &installed.system.text)?;
                (None, None, Some(SystemJson::of(installed)?))
            }
        };
        let run = RunJson {
            run: RUN_VERSION,
            plan: &plan.name,
            seed,
            started: name.split('-').next().unwrap_or_default(),
            argv,
            harness: Program::own(&programs.harness)?,
            noraftd,
            noraftd_old,
            system,
            kernel: kernel(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
        };
        let run = serde_json::to_string_pretty(&run).expect("a run has a JSON form");
        self.write("run.json", &format!("{run}\n"))?;
        self.write("plan.toml", &plan.clone().seeded(seed).to_toml())?;
        self.write("repro.sh", &repro(programs))?;
        let script = self.file("repro.sh");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(at(&script))
    }

    /// What the keys of this run's clients begin with: nothing in a cluster of its own; where other runs may have left theirs, what
    /// no other run's begin with.
    pub fn key_space(&self, cluster: &Cluster) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match cluster.is_elsewhere() {
            true => format!("{name}/"),
            false => String::new(),
        }
    }

    /// Writes a new file.
    ///
    /// # Errors
    ///
    /// When it exists already or cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<(), FolderError> {
        let path = self.file(name);
        let mut file = File::create_new(&path).map_err(at(&path))?;
        io::Write::write_all(&mut file, content.as_bytes()).map_err(at(&path))
    }

    /// Writes the data directory of a node that was none of the system's.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_data(&self, node: usize, files: &BTreeMap<String, Vec<u8>>) -> Result<(), FolderError> {
        let data = self.nodes().join(format!("n{node}/data"));
        fs::create_dir_all(&data).map_err(at(&data))?;
        for (name, bytes) in files {
            let path = data.join(name);
            fs::write(&path, bytes).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Makes the link `failed` point here: the verdict is not valid.
    ///
    /// # Errors
    ///
    /// When the link cannot be made.
    pub fn mark_failed(&self) -> Result<(), FolderError> {
        self.link("failed")
    }

    /// Removes the data directories of the nodes and keeps their logs.
    ///
    /// # Errors
    ///
    /// When one is there and cannot be removed.
    pub fn remove_data(&self, nodes: usize) -> Result<(), FolderError> {
        for node in 1..=nodes {
            let home = self.nodes().join(format!("n{node}"));
            for (path, removed) in [
                (home.join("data"), fs::remove_dir_all(home.join("data"))),
                (home.join("disk.img"), fs::remove_file(home.join("disk.img"))),
                (home.join("disk"), fs::remove_dir(home.join("disk"))),
            ] {
                match removed {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(at(&path)(error)),
                }
            }
        }
        Ok(())
    }

    /// Points `root/name` here. A reader sees the old link or the new one, never none.
    fn link(&self, name: &str) -> Result<(), FolderError> {
        let target = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        // The folder's name is its own: no other run, of this process or another, makes a link of that name.
        let own = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = self.root.join(format!(".{name}.{own}"));
        let link = self.root.join(name);
        symlink(target, &fresh).map_err(at(&fresh))?;
        fs::rename(&fresh, &link).map_err(at(&link))
    }
}

impl<'a> SystemJson<'a> {
    fn of(installed: &'a Installed) -> Result<Self, FolderError> {
        let programs = installed.programs.iter();
        let programs: Result<Vec<Program>, FolderError> = programs
            .map(|program| Program::describe(&program.path, program.version.clone()))
            .collect();
        let file = &installed.system.path;
        Ok(Self {
            name: &installed.system.name,
            file: file.canonicalize().unwrap_or_else(|_| file.clone()),
            programs: programs?,
        })
    }
}

impl Program {
    /// One of this project.
    fn own(path: &Path) -> Result<Self, FolderError> {
        Self::describe(path, env!("CARGO_PKG_VERSION").to_owned())
    }

    fn describe(path: &Path, version: String) -> Result<Self, FolderError> {
        let path = path.canonicalize().map_err(at(path))?;
        let bytes = fs::read(&path).map_err(at(&path))?;
        let sha256 = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            path,
            version,
            sha256,
        })
    }
}

/// Makes the folder `wanted`, or `wanted-2`, `wanted-3` and so on when that is there.
fn create_new(wanted: &Path) -> Result<PathBuf, FolderError> {
    let mut path = wanted.to_owned();
    for number in 2..=FOLDERS_A_SECOND_MAX + 1 {
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists || number > FOLDERS_A_SECOND_MAX => {
                return Err(at(&path)(error));
            }
            Err(_) => {
                path = wanted.to_owned();
                path.as_mut_os_string().push(format!("-{number}"));
            }
        }
    }
    Err(at(&path)(io::ErrorKind::AlreadyExists.into()))
}

fn at(path: &Path) -> impl Fn(io::Error) -> FolderError + use<> {
    let path = path.to_owned();
    move |source| FolderError {
        path: path.clone(),
        source,
    }
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

fn repro(programs: &Programs) -> String {
    let harness = programs.harness.display().to_string().replace('\'', r"'\''");
    format!(
        "#!/bin/sh\n# Carries out the recorded faults again, on real processes: the same faults, on the same nodes, at the same times.\n\
         # --runs N says how often, --noraftd PATH with another daemon.\n\
         set -eu\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\n\
         exec '{harness}' replay \"$here\" \"$@\"\n"
    )
}

/// The time of day as `20261123T131500Z`, as the names of folders have it.
pub fn utc_now() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a run's folder is named by the time of day, once"
    )]
    let now = SystemTime::now();
    utc(now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Seconds since 1970 in the proleptic Gregorian calendar.
pub fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut day) = (1970, days);
    while day >= year_days(year) {
        day -= year_days(year);
        year += 1;
    }
    let mut month = 0;
    while day >= month_days(year, month) {
        day -= month_days(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z",
        month + 1,
        day + 1
    )
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_days(year: u64, month: usize) -> u64 {
    const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    DAYS.get(month).copied().unwrap_or(31) + u64::from(month == 1 && is_leap(year))
}

const RUN_VERSION: u32 = 1;
/// More runs of one plan and seed than a machine begins in a second.
const FOLDERS_A_SECOND_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let text = "version = 1\nname = \"small\"\ntime = \"5s\"\n[[workload]]\nkind = \"log\"\n";
        Plan::parse(text, Path::new("small.toml")).unwrap()
    }

    #[test]
    fn the_calendar_knows_leap_years() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_782_399), "20000228T235959Z");
        assert_eq!(utc(951_782_400), "20000229T000000Z");
        assert_eq!(utc(4_107_542_400), "21000301T000000Z");
        assert_eq!(utc(1_795_439_700), "20261123T131500Z");
    }

    #[test]
    fn a_folder_describes_its_run_and_is_linked() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &plan(), 7).unwrap();
        let program = root.path().join("program's name");
        fs::write(&program, "abc").unwrap();
        let programs = Programs {
            harness: program.clone(),
            subject: Subject::Noraftd { program, old: None },
        };
        folder
            .describe(&plan(), 7, &programs, &["harness".into(), "run".into()])
            .unwrap();
        let run: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.file("run.json")).unwrap()).unwrap();
        assert_eq!(run["seed"], 7);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(run["noraftd"]["sha256"], abc);
        let kept = Plan::load(&folder.file("plan.toml")).unwrap();
        assert_eq!(kept, plan().seeded(7));
        let script = fs::read_to_string(folder.file("repro.sh")).unwrap();
        assert!(
            script.contains("program'\\''s name' replay \"$here\" \"$@\""),
            "{script}"
        );
        let latest = fs::canonicalize(root.path().join("latest")).unwrap();
        assert_eq!(latest, folder.path());
        assert!(!root.path().join("failed").exists());
        folder.mark_failed().unwrap();
        assert_eq!(
            fs::canonicalize(root.path().join("failed")).unwrap(),
            folder.path()
        );
    }

    #[test]
    fn runs_of_one_second_have_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = (0..4)
            .map(|_| RunFolder::create(root.path(), &plan(), 7).unwrap().path)
            .collect();
        let others: std::collections::BTreeSet<_> = folders.iter().collect();
        assert_eq!(others.len(), folders.len(), "{folders:?}");
        let latest = fs::canonicalize(root.path().join("latest")).unwrap();
        assert_eq!(latest, folders[3]);
        let wanted = root.path().join("name");
        assert_eq!(create_new(&wanted).unwrap(), wanted);
        assert_eq!(create_new(&wanted).unwrap(), root.path().join("name-2"));
        assert_eq!(create_new(&wanted).unwrap(), root.path().join("name-3"));
    }

    #[test]
    fn nothing_is_overwritten_and_data_goes_but_logs_stay() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &plan(), 8).unwrap();
        folder.write("report.txt", "one").unwrap();
        assert!(folder.write("report.txt", "two").is_err());
        let data = folder.nodes().join("n1/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(folder.nodes().join("n1/log"), "kept").unwrap();
        folder.remove_data(3).unwrap();
        assert!(!data.exists() && folder.nodes().join("n1/log").exists());
    }
}
