//! `noraftd recover`: a cluster whose majority is gone permanently begins again out of one data directory.
//!
//! Every durable entry counts from then on, whether it was acknowledged or not: no other node can say. The cluster has a new
//! generation, so that no node of the old one is ever heard again.
//!
//! Invariant: nothing is changed without `--yes`, or while a process uses the directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use noraft::{LogIndex, LogPosition, NodeId, Term};

use super::snapshot::Failure;
use super::{complain, say};
use crate::exit::Exit;
use crate::machine::Machine;
use crate::protocol::command::{MemberChange, Request};
use crate::protocol::peer::TERM_END;
use crate::protocol::resp::Reply;
use crate::record::{Base, RecordKind, SnapshotHead, genesis_config};
use crate::recovered::Recovered;
use crate::shell::clock;
use crate::snapshot::restore;
use crate::store::disk::RealDisk;
use crate::store::inspect::{Detail, Inspection, inspect};
use crate::store::{Identity, LogReader, Options, SpareBy, Store};

/// Begins a cluster again out of the data directory of one node, alone.
///
/// The way out when a majority of the voters is gone permanently, or when terms are so high that no election leads on. The node
/// must be stopped; take the directory whose log is the longest. Every durable entry of it is kept. What other nodes
/// acknowledged and this one never had is lost; what this one has and no majority ever had counts from now on. The cluster
/// keeps its name and gets a new generation, which `noraftd status` shows from then on: nodes of the old one are never heard
/// again. Add machines with `noraftd serve --join`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Recover {
    /// The data directory of a stopped node.
    #[arg(long, value_name = "DIR")]
    force_new_cluster: PathBuf,
    /// Do it. Without this, only what would be lost is said.
    #[arg(long)]
    yes: bool,
}

impl Recover {
    /// Recovers, or says why not.
    pub(super) fn run(self) -> Exit {
        match self.recover() {
            Ok(exit) => exit,
            Err(failure) => {
                complain(&failure);
                failure.exit()
            }
        }
    }

    fn recover(&self) -> Result<Exit, Failure> {
        let path = &self.force_new_cluster;
        let unusable = |source| Failure::File {
            path: path.clone(),
            doing: "opening",
            source,
        };
        let disk = Arc::new(RealDisk::open(path).map_err(unusable)?);
        if Store::has_half_begun(&*disk).map_err(unusable)? {
            return self.finish(disk);
        }
        let found = inspect(path, Detail::Segments).map_err(|error| Failure::Recover(error.to_string()))?;
        let identity = identity_of(path, &found)?;
        say(described(path, identity, &found));
        if !self.yes {
            complain("nothing was done; with --yes it is");
            return Ok(Exit::Failed);
        }
        // As large as those that it has.
        let largest = found.segments.iter().map(|segment| segment.size).max();
        let options = options(largest.unwrap_or(Options::SEGMENT_BYTES));
        let (head, machine) = state_of(Arc::clone(&disk), options, identity)?;
        let generation = clock::random_seed() | 1;
        let chunks = &mut machine.chunks();
        Store::begin_again(disk, options, identity, generation, &head, chunks)?;
        say(format_args!(
            "{}: node {} is the cluster, generation {generation:016x}, after entry {} in term {}; start it as usual, and add machines \
             with `noraftd serve --join`",
            path.display(),
            identity.owner.node_id.get(),
            head.base.position.index.get(),
            head.base.position.term.get()
        ));
        Ok(Exit::Done)
    }

    /// An earlier call was interrupted behind the place where it could be done once more.
    fn finish(&self, disk: Arc<RealDisk>) -> Result<Exit, Failure> {
        let path = self.force_new_cluster.display();
        if !self.yes {
            complain(format_args!(
                "{path}: an earlier call was interrupted; --yes finishes it"
            ));
            return Ok(Exit::Failed);
        }
        Store::finish_beginning_again(disk, options(Options::SEGMENT_BYTES))?;
        say(format_args!(
            "{path}: what an earlier call began is finished: its node is the cluster; start it as usual"
        ));
        Ok(Exit::Done)
    }
}

fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        spare: SpareBy::Caller,
        clock: clock::now,
        salt_seed: clock::random_seed(),
    }
}

fn identity_of(path: &Path, found: &Inspection) -> Result<Identity, Failure> {
    let identity = found.identity.filter(|_| found.recovered.is_some());
    identity.ok_or_else(|| {
        Failure::Recover(format!(
            "{}: an opening would refuse this directory, so nothing can begin with it; see `noraftd inspect`",
            path.display()
        ))
    })
}

/// What there is, and what may be lost.
fn described(path: &Path, identity: Identity, found: &Inspection) -> String {
    let recovered = found.recovered.expect("it was looked at before");
    let (last, node) = (recovered.last, identity.owner.node_id.get());
    let index = last.index.get();
    let certain = recovered
        .first_unsure
        .map_or(index, |first| first.saturating_sub(1));
    let unsure = if certain < index {
        format!(
            "entries {} to {index} may never have been acknowledged to a client, and count from now on",
            certain + 1
        )
    } else {
        "all of them are known to be committed".to_owned()
    };
    format!(
        "{}: node {node}; its log ends with entry {index} of term {}. Entries up to {certain} are known here to be committed; {unsure}. \
         Whatever other nodes acknowledged behind entry {index} is lost. All other nodes have to join again, with empty directories",
        path.display(),
        last.term.get()
    )
}

/// The state after every durable entry, with this node as its only member, and its place.
fn state_of(
    disk: Arc<RealDisk>,
    options: Options,
    identity: Identity,
) -> Result<(SnapshotHead, Machine), Failure> {
    let own = identity.owner.node_id;
    let (mut store, recovered) = Store::open(disk, options, identity.owner)?;
    if !recovered.holes.is_empty() {
        let text = "entries of its log are damaged, so that what they did is not known; take another directory, or repair this one";
        return Err(Failure::Recover(text.to_owned()));
    }
    let restored = restore(&mut store)?.map(|(_, snapshot)| snapshot);
    let mut machine = restored.map_or_else(Machine::new, |snapshot| snapshot.machine);
    apply_all(&store.reader(), &recovered, &mut machine)?;
    let position = alone(&mut machine, &recovered, own)?;
    let head = SnapshotHead {
        base: Base {
            position,
            config: genesis_config([own]),
            chain: None,
        },
        stamp: machine.clock().max(recovered.stamp),
    };
    Ok((head, machine))
}

fn apply_all(reader: &LogReader, recovered: &Recovered, machine: &mut Machine) -> Result<(), Failure> {
    let last = recovered.last_position().index;
    let begin = machine
        .applied_index()
        .max(recovered.log.snapshot_position().index);
    let mut next = begin.get() + 1;
    while next <= last.get() {
        let records = reader
            .read(LogIndex::new(next), last, READ_BYTES)
            .map_err(|error| Failure::Recover(error.to_string()))?;
        for record in records {
            next = record.position.index.get() + 1;
            if record.kind != RecordKind::Command {
                machine.advance(record.position.index, record.stamp);
                continue;
            }
            if !machine.knows(&record.payload) {
                let text = format!("entry {} is of a later version of noraftd", next - 1);
                return Err(Failure::Recover(text));
            }
            let _ = machine.apply(record.position.index, record.stamp, &record.payload);
        }
    }
    Ok(())
}

/// Every other member is removed; gives the place of the state then, in a term of its own.
fn alone(machine: &mut Machine, recovered: &Recovered, own: NodeId) -> Result<LogPosition, Failure> {
    let others: Vec<NodeId> = machine.members().iter().map(|row| row.id).collect();
    let promote = (!others.is_empty()).then_some(MemberChange::Promote { id: own, force: true });
    let removals = others.into_iter().filter(|id| *id != own);
    let changes = promote
        .into_iter()
        .chain(removals.map(|id| MemberChange::Remove { id, force: true }));
    let mut index = recovered.last_position().index.get();
    let stamp = machine.clock();
    for change in changes {
        index += 1;
        let body = Request::to_change_members(&change).body;
        if let Reply::Error(text) = machine.apply(LogIndex::new(index), stamp, &body) {
            return Err(Failure::Recover(text));
        }
    }
    let term = recovered.last_position().term.get().checked_add(1).map(Term::new);
    let term = term.filter(|term| *term < TERM_END).ok_or_else(|| {
        let text = "the last entry is of a term behind which there is none; take another directory";
        Failure::Recover(text.to_owned())
    })?;
    Ok(LogPosition::new(term, LogIndex::new(index)))
}

/// Entries in memory at once.
const READ_BYTES: usize = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  Two of three machines are gone. On the one that is left, which is stopped, see what would be lost, and do it:
    noraftd recover --force-new-cluster /var/lib/noraft
    noraftd recover --force-new-cluster /var/lib/noraft --yes
    noraftd serve --config node1.toml

  Then add two others:
    noraftd serve --join 10.0.0.1:7601 --config node4.toml";
