//! `noraftd voters`: which of the cluster's nodes vote.
//!
//! Invariant: it says that it is done only when the new configuration is committed.

use std::path::PathBuf;

use clap::Args;

use super::query::ask_for_voters;
use super::tls_flags::TlsFlags;
use super::{order, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;

/// Changes which nodes of a running cluster vote.
///
/// A majority of the voters decides; a node that does not vote receives nothing until it is a voter again. Name every
/// node that is to vote: those left out stop voting. A voter must be a peer in the configuration of every node. Any set
/// can follow any other: until the change is complete, a decision takes a majority of the old voters and one of the
/// new. While no majority of the new voters is running, nothing is written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Voters {
    /// The leader's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// The file with the peer secret, which the node wants to be proven.
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
    /// The ids of the nodes that vote from now on.
    #[arg(required = true, value_name = "ID")]
    voters: Vec<u64>,
}

impl Voters {
    /// Asks, and says what came of it.
    pub(super) fn run(self) -> Exit {
        let asked = order::give(
            &self.address,
            self.peer_secret_file.as_deref(),
            &self.tls,
            |address| ask_for_voters(address, &self.voters),
            |refusal| order::advice_of_follower(&self.address, refusal, "the voters"),
        );
        match asked {
            Ok(()) => {
                let ids: Vec<String> = self.voters.iter().map(u64::to_string).collect();
                say(format_args!("the voters are {}", ids.join(", ")));
                Exit::Done
            }
            Err(exit) => exit,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Node 3 of three is to be put aside for a while:
    noraftd voters 10.0.0.1:7601 1 2 --peer-secret-file /etc/noraft.secret
  And it is back:
    noraftd voters 10.0.0.1:7601 1 2 3 --peer-secret-file /etc/noraft.secret";
