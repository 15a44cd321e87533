//! The programs of a system, as they are on this machine.
//!
//! Invariant: an [`Installed`] system has all its programs, and each has said its version.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::file::{ProcessPart, System};

/// A system whose programs are here.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The system.
    pub system: System,
    /// The program of each of its processes, in their order. None of a cluster that runs elsewhere.
    pub programs: Vec<InstalledProgram>,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledProgram {
    /// Where it is.
    pub path: PathBuf,
    /// The first line of what it says to the question for its version.
    pub version: String,
}

/// A program is missing.
#[derive(Debug, thiserror::Error)]
#[error("system {system}: no program `{program}`{hint}")]
pub struct NotInstalled {
    /// Of which system.
    system: String,
    /// The program.
    program: String,
    /// What to do.
    hint: String,
}

impl Installed {
    /// Looks for the programs of `system`. `harness` is this program: some are beside it.
    ///
    /// # Errors
    ///
    /// Which program is missing, and which package has it.
    pub fn of(system: System, harness: &Path) -> Result<Self, NotInstalled> {
        let find = |process: &ProcessPart| {
            let missing = |hint| NotInstalled {
                system: system.name.clone(),
                program: process.program.clone(),
                hint,
            };
            let path = find(process, &system.path, harness).ok_or_else(|| {
                missing(match &process.package {
                    Some(package) => format!("; the package {package} has it: apt-get install {package}"),
                    None => "; it was looked for beside the harness, in its examples, and in PATH".to_owned(),
                })
            })?;
            let version = version_of(&path, &process.version);
            let version = version.map_err(|error| missing(format!(" that says its version: {error}")))?;
            Ok(InstalledProgram { path, version })
        };
        let programs: Result<Vec<_>, NotInstalled> = system.processes.iter().map(find).collect();
        Ok(Self {
            programs: programs?,
            system,
        })
    }

    /// Its name, and the versions of its programs.
    pub fn title(&self) -> String {
        let mut versions: Vec<&str> = self
            .programs
            .iter()
            .map(|program| program.version.as_str())
            .collect();
        versions.dedup();
        match versions.as_slice() {
            [] => format!("{}, which runs elsewhere", self.system.name),
            versions => format!("{} ({})", self.system.name, versions.join("; ")),
        }
    }
}

fn find(process: &ProcessPart, file: &Path, harness: &Path) -> Option<PathBuf> {
    let program = Path::new(&process.program);
    if process.program.contains('/') {
        let path = file.parent().unwrap_or(Path::new("")).join(program);
        return path.canonicalize().ok().filter(|path| path.is_file());
    }
    let beside = harness.parent().map(Path::to_owned);
    let examples = beside.as_ref().map(|folder| folder.join("examples"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(examples)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// What the program at `path` says to `arguments`, the first line of it.
///
/// # Errors
///
/// When it cannot be started, does not answer, or says nothing.
pub fn version_of(path: &Path, arguments: &[String]) -> std::io::Result<String> {
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (said, heard) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(VERSION_BYTES_MAX).read_to_end(&mut text);
            // There is no receiver any more when it took too long.
            let _ = said.send(read.map(|_| text));
        });
    }
    let heard = heard.recv_timeout(VERSION_MAX);
    // It has said all that matters, or is none that ends by itself.
    let _ = child.kill();
    child.wait()?;
    let text = heard.map_err(|_| std::io::Error::other("it does not answer"))??;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() {
        return Err(std::io::Error::other("it says nothing"));
    }
    Ok(line)
}

/// A version fits a line.
const VERSION_BYTES_MAX: u64 = 4096;
const VERSION_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn system(program: &str, more: &str) -> System {
        let text = format!(
            "version = 1\nname = \"s\"\nclient = \"redis\"\nworkloads = [\"register\"]\n[ports]\nclient = 1\n\
             [[process]]\nprogram = \"{program}\"\n{more}"
        );
        System::parse(&text, Path::new("/bin/s.toml")).unwrap()
    }

    #[test]
    fn a_program_is_found_by_name_or_by_path_and_says_its_version() {
        for program in ["sh", "./sh"] {
            let of = system(program, "version = [\"-c\", \"echo one; echo two\"]\n");
            let installed = Installed::of(of, Path::new("/nowhere/harness")).unwrap();
            assert_eq!(installed.programs[0].version, "one");
            assert_eq!(installed.title(), "s (one)");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = |system| {
            Installed::of(system, Path::new("/nowhere/harness"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(system("no-such-program", "package = \"etcd-server\"\n")),
            "system s: no program `no-such-program`; the package etcd-server has it: apt-get install etcd-server"
        );
        let silent = error(system("sh", "version = [\"-c\", \"true\"]\n"));
        assert!(
            silent.ends_with("no program `sh` that says its version: it says nothing"),
            "{silent}"
        );
    }
}
