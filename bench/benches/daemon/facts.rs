//! What a reader has to know about the machine.

use std::fs;
use std::path::Path;

use crate::figures::megabytes;

/// Processor, cores, memory, kernel, file system: one sentence.
pub(crate) fn machine(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = megabytes(memory_bytes().unwrap_or_default());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores ({processor}), {memory} of memory, Linux {}, data on {}",
        kernel.trim(),
        file_system(dir).unwrap_or_else(|| "an unknown file system".to_owned())
    )
}

fn memory_bytes() -> Option<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How busy the machine was with everything that ran in the last minute.
pub(crate) fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().trim_start_matches(':').trim().to_owned())
}

/// The type of the file system that `dir` is on: the longest mount point above it.
fn file_system(dir: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        dir.starts_with(point).then_some((point.len(), kind))
    });
    mounted
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind.to_owned())
}
