//! The proxies between nodes, over real sockets: what passes, what does not, and what is counted.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::net::SocketAddr;
use std::time::Duration;

use harness::cluster::{CutId, Proxies};
use harness::plan::CutMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const THERE: (u64, u64) = (1, 2);
const BACK: (u64, u64) = (2, 1);
const CUT: CutId = CutId(7);
/// Far beyond what loopback needs; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than the header of a frame.
const NOISE_BYTES: usize = 64;
/// How long silence is watched before it is believed.
const SILENCE: Duration = Duration::from_millis(100);

/// Node 2 listens, node 1 dials it through the proxy.
struct World {
    network: Proxies,
    node_2: TcpListener,
}

impl World {
    async fn new() -> Self {
        let node_2 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let nodes = [(1, closed), (2, node_2.local_addr().unwrap())];
        let network = Proxies::start("127.0.0.1".parse().unwrap(), &nodes)
            .await
            .unwrap();
        Self { network, node_2 }
    }

    async fn dial(&self) -> TcpStream {
        within(TcpStream::connect(self.network.address(1, 2)))
            .await
            .unwrap()
    }

    async fn accept(&self) -> TcpStream {
        within(self.node_2.accept()).await.unwrap().0
    }

    /// Waits until the links have counted what a cut kept from passing.
    async fn bitten(&self, link: (u64, u64)) -> String {
        let look = async {
            loop {
                let stats = self.network.stats(&[link]);
                match stats.evidence_since(&harness::cluster::LinkStats::default()) {
                    Some(evidence) => return evidence,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        within(look).await
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("this takes milliseconds")
}

async fn receive(stream: &mut TcpStream, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, wanted);
}

/// A message that no proxy can take for the beginning of a frame: bytes are then passed as they come.
fn noise(word: &str) -> Vec<u8> {
    let mut bytes = word.as_bytes().to_vec();
    bytes.resize(NOISE_BYTES, b'!');
    bytes
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

async fn ends(stream: &mut TcpStream) -> bool {
    within(stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn an_open_link_carries_both_directions() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    near.write_all(&noise("there")).await.unwrap();
    receive(&mut far, &noise("there")).await;
    far.write_all(&noise("back")).await.unwrap();
    receive(&mut near, &noise("back")).await;
    drop(near);
    assert!(ends(&mut far).await, "the end of the stream is passed on");
}

#[tokio::test]
async fn a_dropping_link_swallows_bytes_and_its_heal_closes_the_broken_stream() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    world.network.cut(CUT, CutMode::Drop, &[THERE]);
    near.write_all(&noise("lost")).await.unwrap();
    assert_eq!(world.bitten(THERE).await, "64 bytes dropped");
    assert!(is_silent(&mut far).await);
    world.network.heal(CUT);
    assert!(ends(&mut far).await, "a stream with a hole must not go on");
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    near.write_all(&noise("new")).await.unwrap();
    receive(&mut far, &noise("new")).await;
}

#[tokio::test]
async fn a_one_way_cut_lets_the_other_way_pass() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    world.network.cut(CUT, CutMode::Drop, &[BACK]);
    near.write_all(&noise("heard")).await.unwrap();
    receive(&mut far, &noise("heard")).await;
    far.write_all(&noise("unheard")).await.unwrap();
    assert_eq!(world.bitten(BACK).await, "64 bytes dropped");
    assert!(is_silent(&mut near).await);
}

#[tokio::test]
async fn a_stalling_link_delivers_late_what_it_held() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    world.network.cut(CUT, CutMode::Stall, &[THERE]);
    near.write_all(&noise("late")).await.unwrap();
    assert_eq!(world.bitten(THERE).await, "64 bytes held back");
    assert!(is_silent(&mut far).await);
    world.network.heal(CUT);
    receive(&mut far, &noise("late")).await;
}

#[tokio::test]
async fn a_resetting_link_closes_connections_and_refuses_new_ones() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    world.network.cut(CUT, CutMode::Reset, &[THERE]);
    assert!(ends(&mut near).await);
    assert!(ends(&mut far).await);
    assert_eq!(world.bitten(THERE).await, "1 connections severed");
    let mut refused = world.dial().await;
    assert!(ends(&mut refused).await);
    world.network.heal(CUT);
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    near.write_all(&noise("again")).await.unwrap();
    receive(&mut far, &noise("again")).await;
}

#[tokio::test]
async fn a_connection_made_during_a_cut_waits_for_the_heal() {
    let world = World::new().await;
    world.network.cut(CUT, CutMode::Stall, &[THERE]);
    let mut near = world.dial().await;
    near.write_all(&noise("early")).await.unwrap();
    assert_eq!(world.bitten(THERE).await, "1 connections refused");
    assert!(timeout(SILENCE, world.node_2.accept()).await.is_err());
    world.network.heal(CUT);
    receive(&mut world.accept().await, &noise("early")).await;
}

#[tokio::test]
async fn the_end_of_a_stream_does_not_pass_a_cut() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    near.write_all(&noise("x")).await.unwrap();
    receive(&mut far, &noise("x")).await;
    world.network.cut(CUT, CutMode::Drop, &[THERE]);
    drop(near);
    assert!(is_silent(&mut far).await);
    world.network.heal(CUT);
    assert!(ends(&mut far).await);
}

#[tokio::test]
async fn overlapping_cuts_heal_one_by_one_and_the_strictest_rules() {
    let world = World::new().await;
    let (mut near, mut far) = (world.dial().await, world.accept().await);
    let other = CutId(8);
    world.network.cut(CUT, CutMode::Stall, &[THERE]);
    world.network.cut(other, CutMode::Drop, &[THERE, BACK]);
    near.write_all(&noise("lost")).await.unwrap();
    assert_eq!(world.bitten(THERE).await, "64 bytes dropped");
    world.network.heal(CUT);
    assert!(!world.network.is_open());
    assert!(is_silent(&mut far).await);
    world.network.heal(other);
    assert!(world.network.is_open());
    assert!(ends(&mut far).await);
}

#[tokio::test]
async fn a_full_receiver_does_not_keep_a_reset_from_closing() {
    let world = World::new().await;
    let (mut near, _far) = (world.dial().await, world.accept().await);
    let chunk = vec![0; 1 << 20];
    while timeout(SILENCE, near.write_all(&chunk)).await.is_ok() {}
    world.network.cut(CUT, CutMode::Reset, &[BACK]);
    let write_until_refused = async { while near.write_all(&chunk).await.is_ok() {} };
    within(write_until_refused).await;
}

#[tokio::test]
async fn a_dead_peer_closes_the_dialling_side() {
    let world = World::new().await;
    let target = world.network.address(2, 1);
    let mut near = within(TcpStream::connect(target)).await.unwrap();
    assert!(ends(&mut near).await, "no process listens at node 1");
}
