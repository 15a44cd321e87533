//! The job array on a real Slurm: its daemons on this machine alone, with keys, ports and folders of their own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::deploy::{Machine, deploy};
use crate::site::said;
use crate::skip::skip;

const PATIENCE: Duration = Duration::from_secs(60);

/// Daemons that end with this.
struct Daemons(Vec<Child>);

impl Drop for Daemons {
    fn drop(&mut self) {
        for daemon in self.0.iter_mut().rev() {
            // One that has ended needs no end.
            let _ended = daemon.kill();
            let _code = daemon.wait();
        }
    }
}

impl Daemons {
    fn start(&mut self, folder: &Path, words: &[&str]) {
        let output = fs::File::create(folder.join(format!("{}.out", words[0])))
            .unwrap_or_else(|error| panic!("{error}"));
        let errors = output.try_clone().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let daemon = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        self.0.push(daemon);
    }
}

/// What Slurm has to know; one node, this machine.
fn settings(folder: &Path, host: &str) -> String {
    // Both are bound at once, so they differ.
    let ports = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}")));
    let [controller, node] = ports.map(|port| port.local_addr().map_or(0, |address| address.port()));
    let folder = folder.display();
    format!(
        "ClusterName=check\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nAuthType=auth/munge\nAuthInfo=socket={folder}/munge.socket\n\
         MpiDefault=none\nMailProg=/bin/true\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
         SelectTypeParameters=CR_CPU\nSlurmctldPort={controller}\nSlurmdPort={node}\nSlurmctldPidFile={folder}/slurmctld.pid\n\
         SlurmdPidFile={folder}/slurmd.pid\nStateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\nReturnToService=2\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\nPartitionName=check Nodes={host} Default=YES State=UP\n"
    )
}

/// Starts Slurm with everything of its own in `folder`.
fn start(folder: &Path) -> Daemons {
    let open = fs::Permissions::from_mode(0o755);
    // Its clients look for the socket by themselves, so the way there is open.
    for folder in folder.ancestors().take(2) {
        fs::set_permissions(folder, open.clone()).unwrap_or_else(|error| panic!("{error}"));
    }
    let path = |name: &str| folder.join(name).display().to_string();
    for name in ["state", "spool"] {
        fs::create_dir(path(name)).unwrap_or_else(|error| panic!("{error}"));
    }
    let key = path("munge.key");
    fs::write(&key, [7; 1024]).unwrap_or_else(|error| panic!("{error}"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap_or_else(|error| panic!("{error}"));
    let host = Command::new("hostname")
        .arg("-s")
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    let host = String::from_utf8_lossy(&host.stdout).trim().to_owned();
    fs::write(path("slurm.conf"), settings(folder, &host)).unwrap_or_else(|error| panic!("{error}"));
    let mut daemons = Daemons(Vec::new());
    let (socket, pid, log, seed) = (
        path("munge.socket"),
        path("munged.pid"),
        path("munged.log"),
        path("munged.seed"),
    );
    let munged = [
        "munged",
        "--foreground",
        "--key-file",
        &key,
        "--socket",
        &socket,
        "--pid-file",
        &pid,
        "--log-file",
        &log,
        "--seed-file",
        &seed,
    ];
    daemons.start(folder, &munged);
    wait_until("munged has its socket", || folder.join("munge.socket").exists());
    daemons.start(folder, &["slurmctld", "-D", "-i", "-f", &path("slurm.conf")]);
    daemons.start(folder, &["slurmd", "-D", "-f", &path("slurm.conf")]);
    daemons
}

#[allow(clippy::disallowed_methods, reason = "waits for processes of others")]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn slurm_runs_the_array_as_the_whole_campaign_and_a_task_that_is_requeued_resumes() {
    let is_there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    if !nix::unistd::geteuid().is_root() || !["slurmctld", "slurmd", "munged"].into_iter().all(is_there) {
        skip(
            "Slurm runs its tasks as root here, from Debian's packages; `scripts/setup.sh slurm` installs them",
        );
        return;
    }
    let machine = Machine::new();
    let folder = machine.path("slurm");
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("{error}"));
    let _daemons = start(&folder);
    let settings = folder.join("slurm.conf").display().to_string();
    let run = |script: &str| machine.run(script, &[("SLURM_CONF", &settings)]);
    let shown = |script: &str| String::from_utf8_lossy(&run(script).stdout).trim().to_owned();
    wait_until("the node is idle", || shown("sinfo -h -o %t") == "idle");
    let script = deploy("slurm.sh").display().to_string();
    let submitted = run(&format!(
        "sbatch --wait --parsable --array=1-2 --cpus-per-task=1 --mem=0 {script}"
    ));
    assert!(
        matches!(submitted.status.code(), Some(0 | 2)),
        "{}",
        said(&submitted)
    );
    let job = String::from_utf8_lossy(&submitted.stdout).trim().to_owned();
    machine.assert_whole(2);
    let before = log_of(&machine);
    let again = run(&format!("scontrol requeue {job}_1"));
    assert!(again.status.success(), "{}", said(&again));
    // It is held back for a while in which the node may still be cleaning up after it.
    run(&format!("scontrol update jobid={job}_1 starttime=now"));
    wait_until("the task has run again", || {
        log_of(&machine).len() > before.len() && shown("squeue -h").is_empty()
    });
    fs::remove_dir_all(machine.path("night")).unwrap_or_else(|error| panic!("{error}"));
    machine.assert_whole(2);
}

fn log_of(machine: &Machine) -> String {
    fs::read_to_string(machine.path("campaign-1.log")).unwrap_or_else(|error| panic!("{error}"))
}
