//! The shell: carries bytes between sockets, disk and replica. The only folder with tokio, clocks and
//! threads.
//!
//! Invariant: the replica, the machine and all connections belong to one thread; the disk has two of its
//! own, connected by channels. Every queue has a named limit. A request that changes state passes: read of
//! its connection, `event_loop`, the disk's writer, `event_loop`, one write.

mod alarms;
mod backoff;
mod budget;
mod clients;
pub mod clock;
mod connection;
mod conversation;
mod data_directory;
mod descriptors;
mod directory_watch;
mod door;
mod event_loop;
mod figures;
mod http;
mod inbox;
mod intake;
mod journal;
mod keyring;
mod loading;
mod member_report;
mod membership;
mod node_info;
mod notices;
mod outgoing;
mod peer_line;
mod peer_listener;
mod peers;
#[cfg(test)]
mod peers_test;
mod places;
mod rate_limited_warning;
mod read_buffer;
mod reading;
mod requests;
mod resources;
pub mod run;
mod signals;
mod snapshots;
pub mod sockets;
mod start_error;
mod storage;
#[cfg(test)]
mod test_support;
mod tls;
mod tls_line;
mod unfinished;
mod vitals;

pub use run::run;
pub use start_error::StartError;
