//! Processes that get too little of the processor, of memory, or of file descriptors.
//!
//! Invariant: a process has what it had before when the fault ends, and runs; its end is no crash only while it lacks something.

use std::time::Duration;

use noraftd::exit::Exit;
use noraftd::prng::Prng;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{Evidence, Injection, Nemesis, evidence_of, rest, round};
use crate::cluster::{Node, SIGNALLED};
use crate::op::EventKind;
use crate::plan::Scarce;

impl Nemesis {
    pub(super) async fn starve(&self, fault: &mut Injection<'_>, scarce: Scarce) -> Evidence {
        match scarce {
            Scarce::Processor => self.starve_of_processor(fault).await,
            Scarce::Memory => self.limit(fault, Limit::Memory).await,
            Scarce::Descriptors => self.limit(fault, Limit::Descriptors).await,
        }
    }

    /// Stops the targets and lets them go on, every few milliseconds.
    async fn starve_of_processor(&self, fault: &mut Injection<'_>) -> Evidence {
        let nodes: Vec<&Node> = self.targets(fault.claim).collect();
        let (started, mut stops) = (Instant::now(), vec![0_u64; nodes.len()]);
        while started.elapsed() < fault.duration() {
            for (node, stops) in nodes.iter().zip(&mut stops) {
                // One that has ended is reported as a crash.
                *stops += u64::from(node.process.pause().await.is_ok());
            }
            let is_over = rest(STANDS, fault.stop).await;
            for node in &nodes {
                let _ = node.process.resume().await;
            }
            if is_over || rest(RUNS, fault.stop).await {
                break;
            }
        }
        let lasted = round(started.elapsed());
        let shown = nodes
            .iter()
            .zip(stops)
            .filter(|(_, stops)| *stops > 0)
            .map(|(node, stops)| {
                let stood = STANDS * u32::try_from(stops).unwrap_or(u32::MAX);
                format!(
                    "n{} stood still {stops} times, for {stood:?} of {lasted:?}",
                    node.id
                )
            });
        evidence_of(shown.collect(), vec!["no process could be stopped".to_owned()])
    }

    /// Takes the room for growth from the targets, and gives it back.
    async fn limit(&self, fault: &mut Injection<'_>, limit: Limit) -> Evidence {
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_ROOM);
        let (mut limited, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match Limited::begin(node, limit, &mut prng) {
                Ok(node) => limited.push(node),
                Err(why) => against.push(format!("n{}: {why}", node.id)),
            }
        }
        let shown: Vec<String> = limited.iter().map(Limited::describe).collect();
        self.record(EventKind::FaultOk, fault, Some(&shown.join(", ")));
        let ends = Instant::now() + fault.duration();
        loop {
            for node in &mut limited {
                self.look_at(node).await;
            }
            let left = ends.saturating_duration_since(Instant::now());
            if rest(left.min(LOOK_EVERY), fault.stop).await || left.is_zero() {
                break;
            }
        }
        let mut seen = Vec::new();
        for node in limited {
            let described = node.describe();
            match node.end() {
                Ok(evidence) => seen.push(format!("{described}: {evidence}")),
                Err(why) => against.push(format!("{described}: {why}")),
            }
        }
        // A call that has failed may still be on its way to ending the process.
        sleep(OPERATOR).await;
        let back = self.bring_back(fault.claim).await;
        self.targets(fault.claim)
            .for_each(|node| node.process.tolerate(&[]));
        if let (Some(last), false) = (seen.last_mut(), back.is_empty()) {
            last.push_str(&format!("; restarted: {back}"));
        }
        evidence_of(seen, against)
    }

    /// Looks whether a node lacks what was taken from it. One that has ended because of it is started again, with all that it had, as an operator would.
    async fn look_at(&self, limited: &mut Limited<'_>) {
        let node = limited.node;
        if node.process.is_down() {
            let how = match node.process.exit_code() {
                Some(code) => format!("it ended with code {code}"),
                None => "it ended".to_owned(),
            };
            limited.seen.get_or_insert(how);
            sleep(OPERATOR).await;
            // One that cannot be started is tried again, and found missing at the end of the run.
            let _ = self.cluster.launch(node);
            return;
        }
        if limited.seen.is_some() {
            return;
        }
        limited.seen = match limited.limit {
            Limit::Memory => limited.has_taken_all(),
            Limit::Descriptors => self.turns_away(node).await,
        };
    }

    /// What a node with no descriptor left does to one who connects.
    async fn turns_away(&self, node: &Node) -> Option<String> {
        let mut held = Vec::new();
        for _ in 0..CALLERS {
            // The kernel takes connections for the process; whether the process does is seen below.
            held.extend(TcpStream::connect(node.door.address).await.ok());
        }
        let answers = self.cluster.protocol().answers(node.door, PATIENCE).await;
        drop(held);
        (!answers && node.process.is_up()).then(|| "it did not take new connections".to_owned())
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Memory,
    Descriptors,
}

impl Limit {
    fn resource(self) -> Resource {
        match self {
            Self::Memory => Resource::As,
            Self::Descriptors => Resource::Nofile,
        }
    }

    /// How much of it a process has: bytes of addresses, or descriptors.
    fn used(self, pid: i32) -> Option<u64> {
        match self {
            Self::Memory => {
                let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
                let pages: u64 = pages.split(' ').next()?.parse().ok()?;
                Some(pages * rustix::param::page_size() as u64)
            }
            Self::Descriptors => {
                let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
                Some(open.count() as u64)
            }
        }
    }

    /// How much more it may take.
    fn draw_room(self, prng: &mut Prng) -> u64 {
        match self {
            Self::Memory => prng.below(MEMORY_ROOM_MAX),
            Self::Descriptors => prng.below(DESCRIPTORS_ROOM_MAX),
        }
    }

    /// The exit codes of a process that ends because of it.
    fn may_end_with(self) -> &'static [i32] {
        const ABORTED: i32 = SIGNALLED + 6;
        const SHORTAGE: i32 = Exit::System as i32;
        const FAILED: i32 = Exit::Disk as i32;
        const NO_ROOM: i32 = Exit::CannotCreate as i32;
        match self {
            // An allocation that fails aborts a program in Rust.
            Self::Memory => &[ABORTED, SHORTAGE, FAILED, NO_ROOM],
            Self::Descriptors => &[SHORTAGE, FAILED, NO_ROOM],
        }
    }
}

/// A node that has little room to grow.
struct Limited<'a> {
    node: &'a Node,
    limit: Limit,
    pid: i32,
    before: Rlimit,
    most: u64,
    room: u64,
    seen: Option<String>,
}

impl<'a> Limited<'a> {
    fn begin(node: &'a Node, limit: Limit, prng: &mut Prng) -> Result<Self, String> {
        let room = limit.draw_room(prng);
        let pid = node.process.pid().ok_or("it is not running")?;
        let used = limit.used(pid).ok_or("what it has cannot be read")?;
        let most = used + room;
        let before = set(pid, limit, |before| Rlimit {
            current: Some(most),
            ..before
        })?;
        node.process.tolerate(limit.may_end_with());
        Ok(Self {
            node,
            limit,
            pid,
            before,
            most,
            room,
            seen: None,
        })
    }

    fn describe(&self) -> String {
        let (id, room, most) = (self.node.id, self.room, self.most);
        match self.limit {
            Limit::Memory => format!(
                "n{id} may take {} KiB more than its {} KiB",
                room >> 10,
                (most - room) >> 10
            ),
            Limit::Descriptors => format!("n{id} may open {room} files more than its {}", most - room),
        }
    }

    /// True of memory when it has grown, and hardly any is left: what it asked for last was refused, or the next request will be.
    fn has_taken_all(&self) -> Option<String> {
        let used = self.limit.used(self.pid)?;
        let (left, began) = (self.most.saturating_sub(used), self.most - self.room);
        (used > began && left < PAGES_LEFT).then(|| format!("all but {} KiB of it were taken", left >> 10))
    }

    /// Gives back what was taken, and says what was seen.
    fn end(self) -> Evidence {
        if self.node.process.pid() == Some(self.pid) {
            set(self.pid, self.limit, |_| self.before)?;
        }
        self.seen.ok_or_else(|| "it did not ask for more".to_owned())
    }
}

/// Sets a limit of another process; gives what it was.
fn set(pid: i32, limit: Limit, new: impl FnOnce(Rlimit) -> Rlimit) -> Result<Rlimit, String> {
    let resource = limit.resource();
    let failed = |error: rustix::io::Errno| format!("its limit cannot be set: {error}");
    let pid = Pid::from_raw(pid).ok_or("it is not running")?;
    let before = limit_of(pid, limit)?;
    prlimit(Some(pid), resource, new(before)).map_err(failed)
}

/// The soft and the hard limit of another process, as the kernel shows them (proc(5), `/proc/PID/limits`).
fn limit_of(pid: Pid, limit: Limit) -> Result<Rlimit, String> {
    let unreadable = || "its limits cannot be read".to_owned();
    let name = match limit {
        Limit::Memory => "Max address space",
        Limit::Descriptors => "Max open files",
    };
    let text = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))
        .map_err(|_| unreadable())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.ok_or_else(unreadable)?.split_whitespace();
    let mut next = || match words.next() {
        Some("unlimited") => Ok(None),
        Some(number) => number.parse().map(Some).map_err(|_| unreadable()),
        None => Err(unreadable()),
    };
    Ok(Rlimit {
        current: next()?,
        maximum: next()?,
    })
}

/// Separates these draws from those of the targets.
const FORK_ROOM: u64 = 0x726f_6f6d;
/// Four fifths of the time a process that lacks the processor stands still, for less than a heartbeat each time.
const STANDS: Duration = Duration::from_millis(8);
const RUNS: Duration = Duration::from_millis(2);
/// A segment, a snapshot, a thread each take more.
const MEMORY_ROOM_MAX: u64 = 256 << 10;
const DESCRIPTORS_ROOM_MAX: u64 = 3;
/// What is mapped is rounded up to pages, and allocators ask for more than one.
const PAGES_LEFT: u64 = 64 << 10;
/// Enough to use up what is left, and some.
const CALLERS: usize = 6;
const PATIENCE: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How soon a node is started again that has ended.
const OPERATOR: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_process_are_read_and_set() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        for limit in [Limit::Memory, Limit::Descriptors] {
            let used = limit.used(pid).unwrap();
            assert!(used > 0);
            let before = set(pid, limit, |before| Rlimit {
                current: Some(used),
                ..before
            })
            .unwrap();
            let now = limit_of(Pid::from_raw(pid).unwrap(), limit).unwrap();
            assert_eq!((now.current, now.maximum), (Some(used), before.maximum));
            set(pid, limit, |_| before).unwrap();
            assert_eq!(limit_of(Pid::from_raw(pid).unwrap(), limit).unwrap(), before);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
