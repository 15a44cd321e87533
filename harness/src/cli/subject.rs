//! What a run tests, and the plan made to fit it.

use std::error::Error;
use std::path::{Path, PathBuf};

use harness::cluster::{Programs, Subject, can_have_namespaces, prepare};
use harness::plan::{Fitted, Plan, PlanError};
use harness::systems::{Installed, System, SystemError, fit, version_of};

/// What the command line says about it.
pub(super) struct Named<'a> {
    /// A system, or noraftd.
    pub(super) system: Option<&'a str>,
    pub(super) noraftd: Option<PathBuf>,
    pub(super) noraftd_old: Option<PathBuf>,
}

/// Why there is none.
pub(super) enum SubjectError {
    /// The command line or a file is wrong.
    Usage(String),
    /// The machine lacks something.
    Machine(Box<dyn Error>),
}

impl From<PlanError> for SubjectError {
    fn from(error: PlanError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<SystemError> for SubjectError {
    fn from(error: SystemError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The plan that `seed` runs as it fits the subject, and its programs. What the plan takes of the operating system is asked for here, so call it
/// before any other thread is started.
pub(super) fn subject(
    plan: &Plan,
    seed: u64,
    named: Named<'_>,
    harness: &Path,
) -> Result<(Fitted, Programs), SubjectError> {
    let programs = |subject| Programs {
        harness: harness.to_owned(),
        subject,
    };
    match named.system {
        Some(name) => {
            let system = System::find(name)?;
            if named.noraftd.is_some() || named.noraftd_old.is_some() {
                let why = "--noraftd and --noraftd-old are not for a system that a file declares";
                return Err(SubjectError::Usage(why.to_owned()));
            }
            let Fitted { plan, left_out } = plan.clone().on_processes(seed);
            let mut fitted = fit_here(plan, &system, harness)?;
            fitted.left_out.splice(0..0, left_out);
            let installed =
                Installed::of(system, harness).map_err(|error| SubjectError::Machine(error.into()))?;
            Ok((fitted, programs(Subject::System(Box::new(installed)))))
        }
        None => {
            let fitted = plan.for_processes(seed)?;
            prepare(&fitted.plan, harness);
            let program = daemon(named.noraftd, harness).map_err(SubjectError::Machine)?;
            let old = old_daemon(&fitted.plan, named.noraftd_old, harness)?;
            Ok((fitted, programs(Subject::Noraftd { program, old })))
        }
    }
}

/// Where nodes connect to each other directly, links can be cut if each node has a namespace: that is tried, if the plan cuts links.
fn fit_here(plan: Plan, system: &System, harness: &Path) -> Result<Fitted, SubjectError> {
    prepare(&fit(plan.clone(), system, Ok(()))?.plan, harness);
    Ok(fit(plan, system, can_have_namespaces())?)
}

/// An older daemon, if the plan rolls the cluster over.
fn old_daemon(plan: &Plan, given: Option<PathBuf>, harness: &Path) -> Result<Option<PathBuf>, SubjectError> {
    match (given, plan.is_rolled()) {
        (Some(path), true) => daemon(Some(path), harness)
            .map(Some)
            .map_err(SubjectError::Machine),
        (None, false) => Ok(None),
        (given, _) => {
            let why = if given.is_some() {
                "has no fault of the kind `roll`, so --noraftd-old would never be started"
            } else {
                "has the fault `roll`: name the daemon that the cluster begins with, --noraftd-old PATH"
            };
            Err(SubjectError::Usage(format!("plan {} {why}", plan.name)))
        }
    }
}

/// The daemon that is given, or named by the environment, or beside this program.
pub(super) fn daemon(given: Option<PathBuf>, harness: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let named = given.or_else(|| std::env::var_os("NORAFTD").map(PathBuf::from));
    let path = named.unwrap_or_else(|| harness.with_file_name("noraftd"));
    match path.canonicalize() {
        Ok(path) if path.is_file() => introduced(path),
        Ok(path) => Err(format!("{} is not a program", path.display()).into()),
        Err(error) => {
            let hint = "build it with `cargo build`, or name it with --noraftd or NORAFTD";
            Err(format!("no daemon at {}: {error}; {hint}", path.display()).into())
        }
    }
}

/// Another program would be started again and again, and found silent after a long wait.
fn introduced(path: PathBuf) -> Result<PathBuf, Box<dyn Error>> {
    let asked = version_of(&path, &["--version".to_owned()]);
    let says = asked.map_err(|error| format!("{}: {error}", path.display()))?;
    if says.starts_with("noraftd ") {
        return Ok(path);
    }
    Err(format!(
        "{} is not noraftd: asked for its version it says '{says}'",
        path.display()
    )
    .into())
}
