//! `noraftd transfer`: another node leads.
//!
//! Invariant: it says which node leads only when the one that was asked has heard it.

use std::path::PathBuf;

use clap::Args;

use super::query::ask_to_transfer;
use super::tls_flags::TlsFlags;
use super::{order, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;

/// Has the leader of a running cluster hand over to another voter.
///
/// Requests wait meanwhile, and go on to the next leader: it takes a few round trips and syncs. The leader goes on when the
/// other node does not take over within an election timeout. A leader that is stopped with SIGTERM or SIGINT hands over by
/// itself.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Transfer {
    /// The leader's address for clients: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// The voter that is to lead [default: the one that has most of the log]
    #[arg(long, value_name = "ID")]
    to: Option<u64>,
    /// The file with the peer secret, which the node wants to be proven.
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
}

impl Transfer {
    /// Asks, and says what came of it.
    pub(super) fn run(self) -> Exit {
        let asked = order::give(
            &self.address,
            self.peer_secret_file.as_deref(),
            &self.tls,
            |address| ask_to_transfer(address, self.to),
            |refusal| order::advice_of_follower(&self.address, refusal, "the leader"),
        );
        match asked {
            Ok(leader) => {
                say(format_args!("node {leader} leads"));
                let is_wanted = self.to.is_none_or(|to| i64::try_from(to) == Ok(leader));
                if is_wanted { Exit::Done } else { Exit::Failed }
            }
            Err(exit) => exit,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  Node 2 is nearer to most clients:
    noraftd transfer 10.0.0.1:7601 --to 2 --peer-secret-file /etc/noraft.secret";
