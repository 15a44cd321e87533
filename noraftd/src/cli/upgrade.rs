//! `noraftd upgrade`: the cluster rises to the level that its nodes support.
//!
//! Invariant: it says that it is done only when the level is committed.

use std::path::PathBuf;

use clap::Args;

use super::query::{ask_status, ask_to_upgrade};
use super::tls_flags::TlsFlags;
use super::{order, say};
use crate::endpoint::Endpoint;
use crate::exit::Exit;

/// Raises the level of a running cluster to the one that the node's version supports.
///
/// Old and new versions serve side by side until then, and a node can go back to the version before. It is refused unless
/// every member is connected and supports the level. From then on an earlier version can not be started again: it would
/// not know what the entries do. `noraftd status` shows the level.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Upgrade {
    /// The address for clients of any node: HOST:PORT or /path of a Unix socket.
    address: Endpoint,
    /// The file with the peer secret, which the node wants to be proven.
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
}

impl Upgrade {
    /// Asks, and says what came of it.
    pub(super) fn run(self) -> Exit {
        let secret_file = self.peer_secret_file.as_deref();
        match order::give(&self.address, secret_file, &self.tls, ask_to_upgrade, |text| {
            self.advice(text)
        }) {
            Ok(level) => {
                say(format_args!("the cluster is at level {level}"));
                Exit::Done
            }
            Err(exit) => exit,
        }
    }

    /// What to do about a refusal.
    fn advice(&self, text: &str) -> String {
        if text.starts_with("INDEFINITE") {
            return "; `noraftd status` shows the level, and it does no harm to ask again".to_owned();
        }
        let Ok((report, _)) = ask_status(&self.address) else {
            return String::new();
        };
        let supported = report.view.level_supported;
        let behind = report
            .connections
            .peers
            .iter()
            .filter_map(|peer| match peer.level_supported {
                None => Some(format!("; node {} is not connected", peer.id)),
                Some(level) if level < supported => {
                    Some(format!("; node {} supports level {level}", peer.id))
                }
                Some(_) => None,
            });
        behind.collect()
    }
}

const EXAMPLES: &str = "\
Examples:
  Every node runs the new version, and nothing speaks for going back:
    noraftd upgrade 10.0.0.1:7601 --peer-secret-file /etc/noraft.secret";
