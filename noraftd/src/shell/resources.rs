//! What this process takes of the machine, for `INFO`.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::local::facts::Resources;

/// Asks the kernel. What it does not say is zero.
pub(super) fn used() -> Resources {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
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
    fn the_kernel_says_what_this_process_uses() {
        let used = used();
        assert!(used.memory_bytes > 0 && used.memory_rss_bytes >= used.memory_bytes);
        assert!(used.memory_peak_bytes > 0 && used.system_memory_bytes > used.memory_rss_bytes);
        assert_eq!(field("A:\t 12 kB\nB: 3 kB\n", "B:"), 3 << 10);
        assert_eq!(field("A: x\n", "A:"), 0);
    }
}
