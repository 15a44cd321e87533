//! `noraftd rejoin`: a member that lost its votes, or its disk, begins again.
//!
//! Invariant: nothing that the lost directory promised can be broken by the new one. The new one is locked, and holds no
//! store, before any other node is asked. Next, all other members refuse the lost one, and each returns its term. A
//! candidate that got the lost one's vote is among them, so nothing was promised in a term after all of these; and lost
//! acknowledgements are made good by abstaining until the node has caught up. And the new one knows which directories the
//! others have: the state that it begins with may be older than that.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use noraft::{NodeId, Term};

use super::given::Given;
use super::query::{QueryError, ask_for_members, ask_status, ask_to_readmit, know_secrets};
use super::repair::fetch_into;
use super::snapshot::{Failure, offline_options, sync_parent};
use super::tls_flags::TlsFlags;
use super::{complain, say};
use crate::admission::{Claim, agreed};
use crate::config::ServeConfig;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::local::status::StatusReport;
use crate::protocol::peer::TERM_END;
use crate::shell::clock;
use crate::store::disk::{RealDisk, make_private_directory};
use crate::store::{Identity, KnownPeers, SetUp, Store, Vacant, generation};

/// Sets up an empty data directory for a member whose old one is lost.
///
/// For a node whose term and vote can no longer be read, or whose disk is gone. The cluster refuses a node that
/// returns under its id with another data directory, because it has forgotten its votes and acknowledgements. This
/// command makes the other nodes accept the new directory, and sets it up so that no earlier promise is broken. The
/// old directory must never be used again: rename it, or delete it. All other members must be running.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Rejoin {
    /// The address for clients of another node: HOST:PORT or /path of a Unix socket. Once for each other node.
    #[arg(long, value_name = "ADDRESS", required = true)]
    from: Vec<Endpoint>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    tls: TlsFlags,
}

impl Rejoin {
    /// Sets up the directory, or says why not.
    pub(super) fn run(self) -> Exit {
        match self.begin_again() {
            Ok(()) => Exit::Done,
            Err(failure) => {
                complain(&failure);
                failure.exit()
            }
        }
    }

    fn begin_again(self) -> Result<(), Failure> {
        let config = self.given.check()?;
        know_secrets(config.peers.secret_file.as_deref())?;
        self.tls.use_as(&config)?;
        let unusable = |source| Failure::File {
            path: config.data_dir.clone(),
            doing: "setting up",
            source,
        };
        make_private_directory(&config.data_dir).map_err(unusable)?;
        let disk = Arc::new(RealDisk::open(&config.data_dir).map_err(unusable)?);
        let own_disk = Arc::clone(&disk);
        // Held from here on: no process may be using the directory that the others are made to refuse.
        let vacant = Vacant::look(disk, SetUp::Rejoin)?;
        let Others {
            generation,
            claims,
            donor,
        } = check_all_there(&config, &self.from)?;
        vacant.claim()?;
        let mut known = agreed(&claims);
        known.remove(&config.id);
        KnownPeers::begin(Arc::clone(&own_disk) as _, known).map_err(unusable)?;
        if generation != 0 {
            generation::save(&*own_disk, generation).map_err(unusable)?;
        }
        sync_parent(&config.data_dir).map_err(unusable)?;
        let identity = Identity {
            owner: config.owner(),
            incarnation: clock::random_seed(),
        };
        let mut terms = Vec::new();
        for address in &self.from {
            terms.push(ask_to_readmit(address, config.id.get(), identity.incarnation)?);
        }
        let term = terms.into_iter().max().and_then(|term| term.checked_add(1));
        let term = term.filter(|term| *term < TERM_END.get());
        let term = term.ok_or_else(|| Failure::Rejoin("there is no later term".to_owned()))?;
        let snapshot = fetch_into(&config, &donor)?;
        Store::create_rejoining(
            vacant,
            offline_options(&config),
            identity,
            Term::new(term),
            &snapshot.head,
            &mut snapshot.machine.chunks(),
        )?;
        say(format_args!(
            "{}: node {} begins again after entry {} in term {term}; start it as usual: it catches up before it votes",
            config.data_dir.display(),
            config.id.get(),
            snapshot.head.base.position.index.get()
        ));
        Ok(())
    }
}

/// What the other nodes say.
struct Others {
    /// Which beginning of the cluster it is.
    generation: u64,
    claims: Vec<Claim>,
    /// The one that has applied the most: one that hears no leader may have nothing yet that it could give.
    donor: Endpoint,
}

/// Each other member must answer: a vote that one of them knows of must not be missed, and a learner that was not asked would
/// refuse the new directory. Members are those of the membership table or, where there is none, those that the settings name;
/// and, whatever these say, those that vote now.
fn check_all_there(config: &ServeConfig, addresses: &[Endpoint]) -> Result<Others, Failure> {
    let (mut voters, mut table) = (BTreeSet::new(), Table::default());
    let mut found = BTreeSet::new();
    let (mut generation, mut claims) = (0, Vec::new());
    let mut applied = Vec::new();
    for address in addresses {
        let (report, _) = ask_status(address)?;
        if report.cluster != config.cluster {
            return Err(Failure::Rejoin(format!(
                "{address} belongs to cluster '{}', this node to '{}'",
                report.cluster, config.cluster
            )));
        }
        found.insert(report.id);
        applied.push((report.log.applied_index, address));
        generation = report.generation();
        claims.extend(claim_of(&report));
        voters.extend(report.view.voters.into_iter().chain(report.view.new_voters));
        table.learn_from(address)?;
    }
    let named = match table.members.is_empty() {
        true => config.members().map(NodeId::get).collect(),
        false => &table.members - &table.removed,
    };
    let mut expected: BTreeSet<u64> = &named | &voters;
    expected.remove(&config.id.get());
    let most = applied.iter().max_by_key(|(index, _)| *index);
    let (_, donor) = *most.expect("the command line demands one");
    if found == expected {
        return Ok(Others {
            generation,
            claims,
            donor: donor.clone(),
        });
    }
    Err(Failure::Rejoin(format!(
        "--from has to name every other node of the cluster, {expected:?} (those of the membership table or, without one, \
         those given by --peer; and those that vote now); the given addresses are those of {found:?}"
    )))
}

/// Who the members are, as far as the nodes that were asked have applied the log.
#[derive(Default)]
struct Table {
    members: BTreeSet<u64>,
    removed: BTreeSet<u64>,
}

impl Table {
    fn learn_from(&mut self, address: &Endpoint) -> Result<(), Failure> {
        let report = match ask_for_members(address) {
            Ok((report, _)) => report,
            // A version that knows of no table has none.
            Err(QueryError::Refused(..)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // A machine that has not come yet has met no directory.
        let there = report
            .members
            .iter()
            .filter(|member| report.written && member.role != EXPECTED);
        self.members.extend(there.map(|member| member.id));
        self.removed.extend(report.removed);
        Ok(())
    }
}

/// The role of one that has an id, and has not joined.
const EXPECTED: &str = "expected";

/// What the node says of data directories.
pub(super) fn claim_of(report: &StatusReport) -> Option<Claim> {
    let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
    let met = report.met.iter();
    let met = met.filter_map(|(id, hex)| Some((NodeId::new(*id), number(hex)?)));
    Some(Claim {
        from: NodeId::new(report.id),
        incarnation: number(&report.incarnation)?,
        met: met.collect(),
    })
}

const EXAMPLES: &str = "\
Examples:
  Node 3 of three lost its disk, or says that its hard state is lost:
    mv /var/lib/noraft /var/lib/noraft.lost
    noraftd rejoin --from 10.0.0.1:7601 --from 10.0.0.2:7601 --config node3.toml
    noraftd serve --config node3.toml";
