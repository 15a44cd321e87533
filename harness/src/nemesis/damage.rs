//! Files of a node that are damaged while it is down.
//!
//! Invariant: what is damaged is noted in the atlas before it happens, and only what the atlas allows is damaged: a minority of the disks,
//! until the nodes themselves say that they miss nothing any more (one that is down says nothing), and nothing that no other node can give back. So whatever is damaged has
//! to come back and be whole again. (Damage to both copies of term and vote is the exception; it is undone once the node has refused it.)
//! A plan with `damage_beyond` is not held to that: the atlas notes when more is damaged, and from then on a node may refuse to start and
//! need not become whole; what it says of itself has to be true all the same.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use noraft::NodeId;
use noraftd::exit::Exit;
use noraftd::prng::Prng;
use noraftd::store::inspect::Inspection;
use noraftd::store::shadow::{CONTROL_FILE, LEDGER_FILE};
use noraftd::store::{Finding, Verdict};
use tokio::time::{Instant, sleep};

use super::{Evidence, Injection, Nemesis, evidence_of, round};
use crate::client::own::{Health, health};
use crate::cluster::power::Ground;
use crate::cluster::{Node, last_lines};
use crate::damage::corruption::{
    Change, Corruption, Files, Spoiling, draw, draw_cut, draw_spoiled, draw_stale, last_alone,
    leaves_no_trace, without_votes,
};
use crate::op::EventKind;
use crate::plan::FileDamage;

impl Nemesis {
    /// Kills the targets, damages their files, starts them again after a while, and waits until they are whole.
    pub(super) async fn damage(&self, fault: &mut Injection<'_>, how: FileDamage) -> Evidence {
        if how == FileDamage::Votes {
            return self.take_votes(fault).await;
        }
        let voting = self.voting.try_lock();
        let voting = voting.map_err(|_| "the voters are being changed, or another disk is damaged")?;
        if !voting.is_settled() {
            return Err("a change of the voters may be on its way".to_owned());
        }
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_DAMAGE);
        let (mut damaged, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match self.strike(node, how, &mut prng).await {
                Ok(spoiled) => damaged.push((node, spoiled)),
                Err(why) => against.push(format!("n{}: {why}", node.id)),
            }
        }
        let shown: Vec<String> = damaged
            .iter()
            .map(|(node, spoiled)| format!("n{}: {}", node.id, spoiled.words))
            .collect();
        self.record(EventKind::FaultOk, fault, Some(&shown.join(", ")));
        fault.rest().await;
        self.bring_back(fault.claim).await;
        let mut seen = Vec::new();
        for (node, spoiled) in damaged {
            let said = self.await_whole(node, spoiled.shows.as_ref()).await;
            seen.push(format!("n{}: {}; {said}", node.id, spoiled.words));
        }
        if self.went_beyond() && !seen.is_empty() {
            let disks = self
                .cluster
                .nodes()
                .iter()
                .filter(|node| self.is_damaged(node))
                .count();
            let nodes = self.cluster.members().count();
            seen.push(format!(
                "more than can be repaired: {disks} of {nodes} disks are not whole"
            ));
        }
        evidence_of(seen, against)
    }

    /// Kills a node and damages its files, if the atlas allows that.
    async fn strike(&self, node: &Node, how: FileDamage, prng: &mut Prng) -> Result<Spoiled, String> {
        if !matches!(node.ground, Ground::Plain | Ground::Shadow) {
            return Err("its files are on a file system of its own".to_owned());
        }
        let is_within = self.may_damage(node).await;
        if !is_within && !self.damages_beyond {
            return Err("other disks are not whole yet, so its own may not be damaged".to_owned());
        }
        node.process.kill().await.map_err(|error| error.to_string())?;
        let mut files = read(&node.data_dir).map_err(|error| error.to_string())?;
        let wanted = match how {
            FileDamage::Any => 1 + prng.below(3) * prng.below(2),
            FileDamage::Flip
            | FileDamage::Zero
            | FileDamage::Misplaced
            | FileDamage::Cut
            | FileDamage::Stale
            | FileDamage::Votes => 1,
        };
        let mut done: Vec<String> = Vec::new();
        for _ in 0..TRIES_MAX {
            if done.len() as u64 == wanted {
                break;
            }
            let view = Inspection::of_files(&files);
            // The segment that is written is one of many, and the only one where damage may look like a write that was interrupted.
            let aimed = prng.chance(1, 2).then(|| last_alone(&view));
            let drawn = draw_one(how, prng, &files, aimed.as_ref().unwrap_or(&view));
            let Some(corruption) = drawn else {
                continue;
            };
            if let Some(new) = self.note(node, &files, &view, &corruption) {
                write(&node.data_dir, &corruption).map_err(|error| error.to_string())?;
                done.push(format!("{} of {}", corruption.words, corruption.file));
                files.insert(corruption.file, new);
            }
        }
        if done.is_empty() {
            return Err("it has nothing that may be damaged so".to_owned());
        }
        if self.damages_beyond && (!is_within || self.atlas().may_refuse(place(node))) {
            self.atlas().note_beyond();
            // For good: nothing gives back what it misses.
            node.process.tolerate(&[REFUSES]);
        }
        Ok(Spoiled {
            words: done.join(", "),
            shows: Inspection::of_files(&files)
                .report
                .findings
                .into_iter()
                .find(|finding| SHOWS.contains(&finding.verdict)),
        })
    }

    /// True when all others but a minority say that they miss nothing.
    pub(super) async fn may_damage(&self, node: &Node) -> bool {
        self.look_at_disks().await;
        if self.cluster.is_changing() {
            return false;
        }
        let mut unsure = BTreeSet::new();
        for other in self.cluster.members() {
            let said = health(other.door.address, PATIENCE).await;
            if !said.is_some_and(|health| health.is_whole()) {
                unsure.insert(place(other));
            }
        }
        let Some((said, sets)) = self.known_voters().await else {
            return false;
        };
        if said.len() <= self.cluster.members().count() / 2 {
            return false;
        }
        let named = |set: BTreeSet<u64>| set.into_iter().map(NodeId::new).collect();
        let sets = sets.into_iter().map(named).collect();
        self.atlas()
            .leaves_majorities(place(node), &sets, |at| unsure.contains(&at))
    }

    /// Notes a damage in the atlas, and gives what the file is then; `None` when it would not show, or when no other node could repair it.
    fn note(
        &self,
        node: &Node,
        files: &Files,
        view: &Inspection,
        corruption: &Corruption,
    ) -> Option<Vec<u8>> {
        let old = files.get(&corruption.file)?;
        let new = corruption.change.of(old);
        if new == *old || leaves_no_trace(view, &corruption.file, old, &new) {
            return None;
        }
        let mut atlas = self.atlas();
        let mut then = atlas.clone();
        then.note_corruption(place(node), view, &corruption.file, old, &new);
        if then.may_refuse(place(node)) && !self.damages_beyond {
            return None;
        }
        *atlas = then;
        Some(new)
    }

    /// Waits until a node that was damaged misses nothing any more, if it can be repaired; gives what it said of its damage. Where its
    /// files show damage for certain, it has to say so, or refuse to start.
    pub(super) async fn await_whole(&self, node: &Node, shows: Option<&Finding>) -> String {
        let started = Instant::now();
        if node.process.has_crashed() {
            let how = node
                .process
                .crashes()
                .pop()
                .map(|crash| crash.how)
                .unwrap_or_default();
            self.break_promise(format!(
                "n{} {how} after damage that others can repair; see its log",
                node.id
            ));
            return "it did not come back".to_owned();
        }
        if self.went_beyond() && node.process.is_down() && node.process.exit_code() == Some(REFUSES) {
            self.atlas().note_refused(place(node));
            return format!("it refused to start: {}", last_words(node));
        }
        if self.atlas().must_refuse(place(node)) {
            self.break_promise(format!(
                "n{} started with both copies of its term and vote damaged",
                node.id
            ));
        }
        self.atlas().note_started(place(node));
        let patience = if self.went_beyond() { SAYS_MAX } else { REPAIR_MAX };
        let mut first = None;
        while started.elapsed() < patience {
            if let Some(health) = health(node.door.address, PATIENCE).await {
                first.get_or_insert(health);
            }
            self.look_at_disks().await;
            if !self.is_damaged(node) {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        if let (Some(found), Some(finding)) = (&first, shows)
            && !names_damage(found, &finding.file)
        {
            self.break_promise(format!(
                "n{} started and did not say that its disk is damaged: {finding}",
                node.id
            ));
        }
        let found = first.map_or_else(|| "it said nothing".to_owned(), |health| findings_of(&health));
        if self.is_damaged(node) {
            // What holds it up may be another fault: the end of the run demands that all are whole, if they can be.
            return format!("{found}; not whole within {patience:?}");
        }
        format!("{found}; whole {:?} after", round(started.elapsed()))
    }

    /// Notes which disks are whole again: their nodes say twice that they miss nothing.
    async fn look_at_disks(&self) {
        let nodes: Vec<&Node> = self
            .cluster
            .nodes()
            .iter()
            .filter(|node| self.is_damaged(node))
            .collect();
        for node in nodes {
            let once = health(node.door.address, PATIENCE)
                .await
                .is_some_and(|health| health.is_whole());
            if !once {
                continue;
            }
            sleep(AGAIN).await;
            let twice = health(node.door.address, PATIENCE)
                .await
                .is_some_and(|health| health.is_whole());
            if twice {
                let mut atlas = self.atlas();
                atlas.forget_snapshots(place(node), |name| node.data_dir.join(name).exists());
                atlas.note_whole(place(node));
            }
        }
    }

    /// Takes term and vote from a node, demands that it refuses to start, and gives them back.
    async fn take_votes(&self, fault: &mut Injection<'_>) -> Evidence {
        let (mut refused, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match self.start_without_votes(node).await {
                Ok(said) => refused.push(format!("n{} refused to start: {said}", node.id)),
                Err(why) => against.push(format!("n{}: {why}", node.id)),
            }
        }
        self.record(EventKind::FaultOk, fault, refused.first().map(String::as_str));
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        evidence_of(refused, against).map(|refused| format!("{refused}; with its votes back: {back}"))
    }

    async fn start_without_votes(&self, node: &Node) -> Result<String, String> {
        node.process.kill().await.map_err(|error| error.to_string())?;
        let files = read(&node.data_dir).map_err(|error| error.to_string())?;
        let corruption = without_votes(&files).ok_or("it has no votes yet")?;
        let old = files.get(&corruption.file).cloned().unwrap_or_default();
        write(&node.data_dir, &corruption).map_err(|error| error.to_string())?;
        node.process.tolerate(&[REFUSES]);
        let started = self.cluster.restart(node).await;
        node.process.tolerate(&[]);
        let answers = started.is_ok();
        // It is down, unless it promises what it does not know.
        let _ = node.process.kill().await;
        let undo = Corruption {
            change: Change::Put {
                offset: 0,
                bytes: old,
            },
            ..corruption
        };
        write(&node.data_dir, &undo).map_err(|error| error.to_string())?;
        if answers {
            self.break_promise(format!(
                "n{} started with both copies of its term and vote unreadable",
                node.id
            ));
            return Err("it started".to_owned());
        }
        if node.process.exit_code() != Some(REFUSES) {
            return Err("it ended, and not because of what it read".to_owned());
        }
        Ok(last_words(node))
    }

    /// Whether files of a node are damaged, and it is not known to be whole again.
    pub(super) fn is_damaged(&self, node: &Node) -> bool {
        self.atlas().is_damaged(place(node))
    }

    pub(super) fn break_promise(&self, how: String) {
        self.violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(how);
    }

    pub(super) fn atlas(&self) -> std::sync::MutexGuard<'_, crate::damage::atlas::Atlas> {
        self.atlas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node whose files are damaged.
struct Spoiled {
    /// What was done to them.
    words: String,
    /// What a reader of the files finds: damage for certain, not what an interrupted write may have left.
    shows: Option<Finding>,
}

/// True when a node said of this file that it is damaged.
fn names_damage(health: &Health, file: &str) -> bool {
    let mut findings = health.recovery.iter();
    findings.any(|line| line.starts_with(file) && line.contains(": damage"))
}

fn last_words(node: &Node) -> String {
    last_lines(node.process.log(), 1).pop().unwrap_or_default()
}

/// Nodes count from one, disks from zero.
pub(super) fn place(node: &Node) -> usize {
    node.id as usize - 1
}

fn draw_one(how: FileDamage, prng: &mut Prng, files: &Files, view: &Inspection) -> Option<Corruption> {
    match how {
        FileDamage::Any => draw(prng, files, view),
        FileDamage::Flip => draw_spoiled(prng, Spoiling::Flip, files, view),
        FileDamage::Zero => draw_spoiled(prng, Spoiling::Zero, files, view),
        FileDamage::Misplaced => draw_spoiled(prng, Spoiling::Misplaced, files, view),
        FileDamage::Cut => draw_cut(prng, files, view),
        FileDamage::Stale => draw_stale(prng, files, view),
        FileDamage::Votes => without_votes(files),
    }
}

/// What a node said of its damage when it started, without how much it recovered.
fn findings_of(health: &Health) -> String {
    let findings: Vec<&str> = health.recovery.iter().skip(1).map(String::as_str).collect();
    match findings.split_first() {
        None => "it missed nothing".to_owned(),
        Some((first, [])) => format!("it said: {first}"),
        Some((first, more)) => format!("it said: {first} (and {} more)", more.len()),
    }
}

/// The files of a data directory that belong to the node.
pub(super) fn read(directory: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if [CONTROL_FILE, LEDGER_FILE].contains(&name.as_str()) || !entry.file_type()?.is_file() {
            continue;
        }
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

fn write(directory: &Path, corruption: &Corruption) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .open(directory.join(&corruption.file))?;
    match &corruption.change {
        Change::Put { offset, bytes } => file.write_all_at(bytes, *offset as u64),
        Change::Cut { length } => file.set_len(*length as u64),
    }
}

/// Findings that only damage explains, and that others can repair.
const SHOWS: [Verdict; 2] = [Verdict::Damage, Verdict::DamageAtMark];
/// The exit code of a node that refuses what is in its directory.
pub(super) const REFUSES: i32 = Exit::Data as i32;
/// Separates these draws from those of the targets.
const FORK_DAMAGE: u64 = 0x6461_6d61_6765;
/// Most draws are allowed; a young log has nothing to damage.
const TRIES_MAX: usize = 40;
/// How long a node is waited for that repairs itself.
const REPAIR_MAX: Duration = Duration::from_secs(10);
/// How long a node is asked that may miss what no other can give it.
const SAYS_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a node has let go of in memory is gone from its disk by then, too.
const AGAIN: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_millis(400);
