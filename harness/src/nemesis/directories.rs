//! Data directories that are lost, or swapped by mistake, and the operator who sets a node up again.
//!
//! Invariant: what a node lost, no other node is without (the atlas says so before), and the voters stay as they are until it is set up
//! again: before the fault ends, or, where others are down for too long, at the end of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use noraftd::store::shadow::{CONTROL_FILE, LEDGER_FILE};
use tokio::time::{Instant, sleep, timeout};

use super::damage::{REFUSES, place, read};
use super::{Effect, Evidence, Injection, Nemesis, evidence_of, rest, round};
use crate::cluster::{Node, last_lines};
use crate::damage::corruption::Files;
use crate::op::EventKind;

/// What nodes have lost, and copies of what they had.
#[derive(Debug, Default)]
pub(super) struct Directories {
    /// Nodes that have to be set up again.
    lost: BTreeSet<u64>,
    /// Copies of directories that operators took.
    copies: BTreeMap<u64, Files>,
}

/// What a node finds in the place of its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    OldCopy(Files),
}

impl Nemesis {
    /// A node is killed, and loses its directory. Half of them are started all the same, where they know of others.
    pub(super) async fn wipe(&self, fault: &mut Injection<'_>) -> Effect {
        let Some(node) = self.targets(fault.claim).next() else {
            return Effect::prevented("there is no node");
        };
        let is_started = fault.decision.roll.is_multiple_of(2) && node.is_founder();
        self.lose(fault, node, Found::Nothing, is_started).await
    }

    /// A node is killed. The first time, a copy of its directory is taken; afterwards it is started with that copy.
    pub(super) async fn mistake(&self, fault: &mut Injection<'_>) -> Effect {
        let Some(node) = self.targets(fault.claim).next() else {
            return Effect::prevented("there is no node");
        };
        let copy = self.directories().copies.get(&node.id).cloned();
        match copy {
            Some(copy) => self.lose(fault, node, Found::OldCopy(copy), true).await,
            None => self.copy(fault, node).await.into(),
        }
    }

    async fn copy(&self, fault: &mut Injection<'_>, node: &Node) -> Evidence {
        let killed = node.process.kill().await.map_err(|error| error.to_string())?;
        let files = read(&node.data_dir).map_err(|error| error.to_string())?;
        self.atlas().note_copied(place(node));
        self.directories().copies.insert(node.id, files);
        let shown = format!(
            "n{} ({killed}) is gone, and a copy of its directory was taken",
            node.id
        );
        self.record(EventKind::FaultOk, fault, Some(&shown));
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        Ok(format!("{shown}; restarted: {back}"))
    }

    /// Puts something else in the place of a node's directory, starts it if that is wanted, and sets it up again after a while.
    async fn lose(&self, fault: &mut Injection<'_>, node: &Node, found: Found, is_started: bool) -> Effect {
        let Ok(voting) = self.voting.try_lock() else {
            return Effect::prevented("the voters are being changed, or another disk is damaged");
        };
        // `noraftd rejoin` asks every other voter: of two that are lost, none could be set up.
        if self.directories().lost.iter().any(|lost| *lost != node.id) {
            return Effect::prevented("another node is not set up again yet");
        }
        if !voting.is_settled() || !self.may_damage(node).await {
            return Effect::prevented("the other nodes are not whole, or do not say who votes");
        }
        self.lose_and_set_up(fault, node, &found, is_started).await.into()
    }

    async fn lose_and_set_up(
        &self,
        fault: &mut Injection<'_>,
        node: &Node,
        found: &Found,
        is_started: bool,
    ) -> Evidence {
        let killed = node.process.kill().await.map_err(|error| error.to_string())?;
        {
            // From here on it has to be set up again, even where its files are replaced only in part.
            let mut directories = self.directories();
            directories.lost.insert(node.id);
            directories.copies.remove(&node.id);
        }
        let failed = |error: io::Error| format!("its directory: {error}");
        match found {
            Found::Nothing => {
                self.atlas().note_lost(place(node));
                give(node, &Files::new()).map_err(failed)?;
            }
            Found::OldCopy(copy) => {
                self.atlas().note_put_back(place(node));
                give(node, copy).map_err(failed)?;
            }
        }
        let what = match found {
            Found::Nothing => "and so is its directory",
            Found::OldCopy(_) => "and an old copy of its directory was put back",
        };
        let mut shown = format!("n{} ({killed}) is gone, {what}", node.id);
        self.record(EventKind::FaultOk, fault, Some(&shown));
        if is_started {
            shown.push_str(&format!("; {}", self.watch_outcast(fault, node).await));
        } else {
            fault.rest().await;
        }
        let started = Instant::now();
        shown.push_str(&match self.set_up(node, SET_UP_MAX).await {
            Ok(()) => {
                let said = self.await_whole(node, None).await;
                format!("; set up again within {:?}; {said}", round(started.elapsed()))
            }
            Err(why) => format!("; not yet set up again: {why}"),
        });
        Ok(shown)
    }

    /// Starts a node that no other may listen to, and looks whether one does. It may hear what others send: its answers are not heard.
    async fn watch_outcast(&self, fault: &mut Injection<'_>, node: &Node) -> String {
        let begins = fs::metadata(node.process.log()).map_or(0, |log| log.len());
        if let Err(error) = self.cluster.launch(node) {
            return format!("it did not start: {error}");
        }
        let ends = Instant::now() + fault.duration();
        loop {
            let view = self.cluster.view(node, PATIENCE).await;
            if view.is_some_and(|view| view.leads) {
                self.break_promise(format!(
                    "n{} was started without what it had promised, and others listened to it: it leads",
                    node.id
                ));
                return "others listened to it".to_owned();
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() || rest(left.min(LOOK_EVERY), fault.stop).await {
                break;
            }
        }
        let log = fs::read(node.process.log()).unwrap_or_default();
        let since = usize::try_from(begins).ok().and_then(|begins| log.get(begins..));
        let since = String::from_utf8_lossy(since.unwrap_or_default());
        match since.matches(IS_REFUSED).count() {
            0 => "it was started, and met no other node".to_owned(),
            times => format!("it was started, and refused {times} times"),
        }
    }

    /// Sets up every node that is still without its directory. The others have to run.
    pub async fn set_up_lost(&self, patience: Duration) -> Vec<String> {
        let lost = self.directories().lost.clone();
        let mut troubles = Vec::new();
        for node in self.cluster.nodes().iter().filter(|node| lost.contains(&node.id)) {
            if let Err(why) = self.set_up(node, patience).await {
                troubles.push(format!("n{} could not be set up again: {why}", node.id));
            }
        }
        troubles
    }

    /// What the operator does: an empty directory, `noraftd rejoin`, and a start; again until it succeeds.
    async fn set_up(&self, node: &Node, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            let why = match self.try_to_set_up(node).await {
                Ok(()) => break,
                Err(why) => why,
            };
            if Instant::now() > deadline {
                return Err(why);
            }
            sleep(ASK_AGAIN).await;
        }
        self.directories().lost.remove(&node.id);
        self.cluster.launch(node).map_err(|error| error.to_string())?;
        self.cluster
            .await_answer(node)
            .await
            .map_err(|error| error.to_string())
    }

    async fn try_to_set_up(&self, node: &Node) -> Result<(), String> {
        // One that is down is as good.
        let _ = node.process.kill().await;
        give(node, &Files::new()).map_err(|error| error.to_string())?;
        let mut command = node.process.own_verb("rejoin").ok_or("it has no such verb")?;
        for other in self.cluster.members().filter(|other| other.id != node.id) {
            command.arg("--from").arg(other.door.address.to_string());
        }
        let output = timeout(REJOIN_MAX, command.kill_on_drop(true).output());
        let output = output
            .await
            .map_err(|_| "noraftd rejoin did not end".to_owned())?;
        let output = output.map_err(|error| format!("noraftd rejoin: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "noraftd rejoin: {}",
            said.lines().last().unwrap_or("it failed")
        ))
    }

    /// Starts nodes with the directory of another one, which has to be refused, and gives them back their own.
    pub(super) async fn swap(&self, fault: &mut Injection<'_>) -> Evidence {
        let (mut refused, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match self.start_with_foreign(node).await {
                Ok(said) => refused.push(format!("n{} {said}", node.id)),
                Err(why) => against.push(format!("n{}: {why}", node.id)),
            }
        }
        self.record(EventKind::FaultOk, fault, refused.first().map(String::as_str));
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        evidence_of(refused, against).map(|refused| format!("{refused}; with its own: {back}"))
    }

    async fn start_with_foreign(&self, node: &Node) -> Evidence {
        let others = self.cluster.members().filter(|other| other.id != node.id);
        let other = others
            .min_by_key(|other| other.id.wrapping_sub(node.id))
            .ok_or("it is alone")?;
        node.process.kill().await.map_err(|error| error.to_string())?;
        let failed = |error: io::Error| format!("its directory: {error}");
        let own = read(&node.data_dir).map_err(failed)?;
        // The other one may be writing: what is read of it is what a copy of a running node is.
        let foreign = read(&other.data_dir).map_err(failed)?;
        let tried = self.try_foreign(node, &foreign).await;
        // Its own come back whatever happened.
        give(node, &own).map_err(failed)?;
        let (has_started, after) = tried.map_err(failed)?;
        if has_started {
            self.break_promise(format!(
                "n{} started with the directory of n{}",
                node.id, other.id
            ));
            return Err("it started".to_owned());
        }
        if let Some(name) = foreign
            .iter()
            .find(|(name, bytes)| after.get(*name) != Some(bytes))
        {
            let name = name.0;
            self.break_promise(format!(
                "n{} changed {name} of n{}, and refused to start",
                node.id, other.id
            ));
        }
        if node.process.exit_code() != Some(REFUSES) {
            return Err("it ended, and not because of what it read".to_owned());
        }
        let said = last_lines(node.process.log(), 1).pop().unwrap_or_default();
        Ok(format!("refused the directory of n{}: {said}", other.id))
    }

    /// Whether the node started with these files, and what they are then. It is down afterwards.
    async fn try_foreign(&self, node: &Node, foreign: &Files) -> io::Result<(bool, Files)> {
        give(node, foreign)?;
        node.process.tolerate(&[REFUSES]);
        let started = self.cluster.restart(node).await;
        node.process.tolerate(&[]);
        // It is down, unless it took what is not its own.
        let _ = node.process.kill().await;
        Ok((started.is_ok(), read(&node.data_dir)?))
    }

    /// The machine begins again with an empty directory, and nothing of what it was counts any more.
    pub(super) fn empty(&self, node: &Node) -> Result<(), String> {
        self.atlas().note_new(place(node));
        self.directories().copies.remove(&node.id);
        give(node, &Files::new()).map_err(|error| format!("its directory: {error}"))
    }

    fn directories(&self) -> std::sync::MutexGuard<'_, Directories> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes these the files of a node's data directory, which a power cut does not take.
fn give(node: &Node, files: &Files) -> io::Result<()> {
    node.ground.restore().map_err(io::Error::other)?;
    replace(&node.data_dir, files)?;
    node.ground.settle()
}

/// Makes these the files of a data directory, in place of those that belong to the node.
fn replace(directory: &Path, files: &Files) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = [CONTROL_FILE, LEDGER_FILE].iter().any(|own| name == *own);
        if !is_ours && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}

/// What a node writes to its log when another one refuses it.
const IS_REFUSED: &str = ": refuses this node: ";
const PATIENCE: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Other faults may keep the nodes down that have to agree.
const SET_UP_MAX: Duration = Duration::from_secs(6);
/// It asks every other node, and fetches a state from one.
const REJOIN_MAX: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_the_files_that_it_is_given_and_keeps_those_of_the_shadow_store() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("segment-1"), "own").unwrap();
        fs::write(path.join(LEDGER_FILE), "lost").unwrap();
        let own = read(path).unwrap();
        assert_eq!(own.keys().collect::<Vec<_>>(), ["segment-1"]);
        replace(
            path,
            &Files::from([("segment-2".to_owned(), b"foreign".to_vec())]),
        )
        .unwrap();
        assert_eq!(read(path).unwrap().keys().collect::<Vec<_>>(), ["segment-2"]);
        replace(path, &own).unwrap();
        assert_eq!(read(path).unwrap(), own);
        assert!(path.join(LEDGER_FILE).is_file());
    }
}
