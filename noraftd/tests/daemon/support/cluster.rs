//! Several nodes that form a cluster.

use std::net::TcpListener;
use std::path::Path;

use super::eventually;
use super::node::Node;

/// How the nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeersOver {
    Tcp,
    Unix,
}

/// The nodes of a cluster.
pub struct Cluster {
    pub nodes: Vec<Node>,
    dir: Option<tempfile::TempDir>,
}

impl Cluster {
    /// Starts `count` nodes and waits for their leader.
    pub fn start(count: usize, over: PeersOver) -> Self {
        Self::start_with(count, over, &["--segment-bytes", "1MiB"])
    }

    /// Starts `count` nodes with these flags and waits for their leader.
    pub fn start_with(count: usize, over: PeersOver, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut cluster = Self::start_in(dir.path(), count, over, flags);
        cluster.dir = Some(dir);
        cluster
    }

    /// Starts `count` nodes with these flags, each with at most `files_max` open files, and waits for their leader.
    pub fn start_with_files(count: usize, over: PeersOver, flags: &[&str], files_max: u32) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut nodes = Self::prepare(dir.path(), count, over, flags);
        for node in &mut nodes {
            node.limit_files(files_max);
        }
        Self::run(nodes, Some(dir))
    }

    /// Starts `count` nodes below `dir` with these flags and waits for their leader.
    pub fn start_in(dir: &Path, count: usize, over: PeersOver, flags: &[&str]) -> Self {
        Self::run(Self::prepare(dir, count, over, flags), None)
    }

    fn prepare(dir: &Path, count: usize, over: PeersOver, flags: &[&str]) -> Vec<Node> {
        let addresses = peer_addresses(dir, count, over);
        (1..=count)
            .map(|id| {
                let mut args: Vec<String> = flags.iter().map(ToString::to_string).collect();
                args.extend(["--id".to_owned(), id.to_string()]);
                for (peer, address) in (1..).zip(&addresses) {
                    args.extend(["--peer".to_owned(), format!("{peer}={address}")]);
                }
                Node::new(&dir.join(format!("n{id}")), &args)
            })
            .collect()
    }

    fn run(mut nodes: Vec<Node>, dir: Option<tempfile::TempDir>) -> Self {
        nodes.iter_mut().for_each(Node::start);
        let cluster = Self { nodes, dir };
        cluster.leader();
        cluster
    }

    /// Waits until a majority agrees on a running leader; its place in `nodes`.
    pub fn leader(&self) -> usize {
        eventually("a leader that a majority knows", || {
            let views: Vec<_> = self.nodes.iter().filter_map(Node::status).collect();
            let leader = views.iter().find(|view| view.view.role == "leader")?;
            let agree = views
                .iter()
                .filter(|view| view.view.term == leader.view.term && view.view.leader == Some(leader.id));
            (agree.count() > self.nodes.len() / 2).then_some(leader.id as usize - 1)
        })
    }

    /// The places of the nodes that do not lead.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.nodes.len()).filter(|at| *at != leader).collect()
    }
}

fn peer_addresses(dir: &Path, count: usize, over: PeersOver) -> Vec<String> {
    match over {
        PeersOver::Unix => (1..=count)
            .map(|id| format!("unix:{}", dir.join(format!("p{id}.sock")).display()))
            .collect(),
        PeersOver::Tcp => {
            // Held together until all are known, so that they differ.
            let held: Vec<_> = (0..count)
                .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
                .collect();
            held.iter()
                .map(|socket| socket.local_addr().expect("bound").to_string())
                .collect()
        }
    }
}
