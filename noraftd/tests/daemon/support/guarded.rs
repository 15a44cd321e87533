//! Clusters whose nodes know a secret.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::{Cluster, PeersOver};
use super::node::Node;

pub const CLUSTER: &str = "guarded";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// A file with this text.
pub fn secret_file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    path
}

/// Three nodes over TCP that know the secret and require it.
pub fn guarded(dir: &Path) -> Cluster {
    let secret = secret_file(dir, "secret", SECRET).display().to_string();
    let flags = [
        "--segment-bytes",
        "1MiB",
        "--cluster",
        CLUSTER,
        "--peer-secret-file",
        &secret,
    ];
    Cluster::start_in(dir, 3, PeersOver::Tcp, &flags)
}

/// When every node has proven connections to all others.
pub fn all_proven(nodes: &[Node]) -> Option<()> {
    let proven = nodes.iter().all(|node| {
        let status = node.status();
        status.is_some_and(|status| {
            status
                .connections
                .peers
                .iter()
                .all(|peer| peer.connected && peer.proven)
        })
    });
    proven.then_some(())
}
