//! What this process takes of the machine, for `INFO` and metrics.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeVal;
use tokio::sync::Mutex;

use crate::local::facts::Resources;
use crate::local::figures::ProcessFigures;

/// Looks at the system, on another thread, one at a time: a file system may hang.
#[derive(Debug, Default)]
pub(super) struct Looks(Arc<Mutex<()>>);

impl Looks {
    /// What the system says of this process, which began then, and of its directory.
    pub(super) async fn look(&self, directory: &Path, started_seconds: u64) -> ProcessFigures {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let directory = directory.to_owned();
        let looked = tokio::task::spawn_blocking(move || {
            let figures = figures(&directory, started_seconds);
            drop(turn);
            figures
        });
        // A panic there ends the process; what is left is a node that stops, which may say nothing.
        looked.await.unwrap_or_default()
    }
}

/// Asks the kernel. What it does not say is zero.
pub(super) fn used() -> Resources {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cpu = |who| {
        getrusage(who).map_or((0, 0), |usage| {
            (micros(usage.system_time()), micros(usage.user_time()))
        })
    };
    Resources {
        memory_bytes: field(&status, "RssAnon:"),
        memory_rss_bytes: field(&status, "VmRSS:"),
        memory_peak_bytes: field(&status, "VmHWM:"),
        system_memory_bytes: field(&memory, "MemTotal:"),
        cpu_micros: cpu(UsageWho::RUSAGE_SELF),
        cpu_children_micros: cpu(UsageWho::RUSAGE_CHILDREN),
    }
}

/// Each bound on the memory of this process: its name, what is used of it, and what there is.
pub(super) fn memory_bounds() -> Vec<(&'static str, u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let own = field(&status, "RssAnon:");
    let machine = fs::read_to_string("/proc/meminfo").map_or(0, |text| field(&text, "MemTotal:"));
    let group = own_group().and_then(|folder| fs::read_to_string(folder + "/memory.max").ok());
    let group = group.and_then(|text| text.trim().parse().ok());
    let space = getrlimit(Resource::RLIMIT_AS).map_or(u64::MAX, |(soft, _)| soft);
    [
        ("the machine", own, machine),
        ("its control group", own, group.unwrap_or(u64::MAX)),
        (
            "the limit of address space (ulimit -v)",
            field(&status, "VmSize:"),
            space,
        ),
    ]
    .into_iter()
    .filter(|(_, _, most)| (1..u64::MAX).contains(most))
    .collect()
}

/// The folder of this process's control group, where there is one hierarchy of them.
fn own_group() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(format!("/sys/fs/cgroup{}", path.trim_end_matches('/')))
}

/// The same, and what its directory has. It may wait for the file system: not for the thread that serves.
fn figures(directory: &Path, started_seconds: u64) -> ProcessFigures {
    let entries = |path: &str| fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
    let disk = statvfs(directory).map_or((0, 0), |disk| {
        (
            disk.fragment_size() * disk.blocks(),
            disk.fragment_size() * disk.blocks_available(),
        )
    });
    ProcessFigures {
        resources: used(),
        started_seconds,
        // Looking takes one of its own.
        files: (
            entries("/proc/self/fd").saturating_sub(1),
            getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        ),
        disk,
        store: store(directory),
    }
}

/// Segments, their bytes, and the bytes of snapshots.
fn store(directory: &Path) -> (u64, u64, u64) {
    let (mut segments, mut segment_bytes, mut snapshot_bytes) = (0, 0, 0);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let bytes = entry.metadata().map_or(0, |about| about.len());
        if name.starts_with("segment-") {
            (segments, segment_bytes) = (segments + 1, segment_bytes + bytes);
        } else if name.starts_with("snapshot-") {
            snapshot_bytes += bytes;
        }
    }
    (segments, segment_bytes, snapshot_bytes)
}

fn micros(time: TimeVal) -> u64 {
    let (seconds, micros) = (time.tv_sec(), time.tv_usec());
    u64::try_from(seconds * 1_000_000 + micros).unwrap_or(0)
}

/// The bytes in a line such as `VmRSS:     1234 kB`.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_measured_by_the_names_in_it() {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, bytes) in [
            ("segment-1", 100),
            ("segment-2", 50),
            ("snapshot-7", 9),
            ("lock", 1000),
        ] {
            fs::write(dir.path().join(name), vec![0; bytes]).expect("written");
        }
        let figures = figures(dir.path(), 5);
        assert_eq!((figures.store, figures.started_seconds), ((2, 150, 9), 5));
        assert!(figures.disk.0 >= figures.disk.1 && figures.disk.0 > 0);
        assert!(figures.files.0 >= 3 && figures.files.1 >= figures.files.0);
        assert_eq!(store(&dir.path().join("gone")), (0, 0, 0));
    }

    #[test]
    fn memory_is_bounded_at_least_by_the_machine() {
        let bounds = memory_bounds();
        assert_eq!(bounds[0].0, "the machine");
        assert!(
            bounds.iter().all(|(_, used, most)| *used > 0 && used <= most),
            "{bounds:?}"
        );
    }

    #[test]
    fn the_kernel_says_what_this_process_uses() {
        let used = used();
        assert!(used.memory_bytes > 0 && used.memory_rss_bytes >= used.memory_bytes);
        assert!(used.memory_peak_bytes > 0 && used.system_memory_bytes > used.memory_rss_bytes);
        assert_eq!(field("A:\t 12 kB\nB: 3 kB\n", "B:"), 3 << 10);
        assert_eq!(field("A: x\n", "A:"), 0);
    }
}
