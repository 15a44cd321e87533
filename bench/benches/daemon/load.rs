//! The load generator: the same loop for every system.
//!
//! Invariant: an operation counts when its answer arrives in the measured interval; the interval, and the
//! servers' CPU time in it, are read at the same two moments.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use noraftd::prng::Prng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::deployment::Deployment;
use crate::system::Protocol;
use crate::wire::{CallError, Client, KEYS, Key, value};
use crate::workload::{CLIENTS_USUAL, Target, Workload};

/// What one round of one workload gave.
#[derive(Debug)]
pub(crate) struct Sample {
    /// How long was measured.
    pub(crate) elapsed: Duration,
    /// Each operation's time from request to answer in microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// CPU time of all server processes.
    pub(crate) cpu: Duration,
    /// Operations that failed, and what the first of them said.
    pub(crate) failures: Option<(u64, String)>,
}

/// Runs a workload for one round.
pub(crate) async fn measure(
    workload: Workload,
    deployment: &mut Deployment,
    measured: Duration,
    seed: u64,
) -> Result<Sample, String> {
    let targets = match workload.target {
        Target::Leader => vec![leader_address(deployment).await?],
        Target::AllNodes => deployment.addresses(),
    };
    let shared = Rc::new(RefCell::new(Shared::new()));
    let mut tasks = JoinSet::new();
    for (number, address) in (0..workload.clients).zip(targets.iter().cycle()) {
        let client = connect(deployment.system.protocol(), *address).await?;
        let keys = Keys::Random(Prng::new(seed).fork(u64::from(number)));
        tasks.spawn_local(ask_on(client, workload, keys, Rc::clone(&shared)));
    }
    sleep(WARM_UP).await;
    let (start, cpu_start) = (now(), deployment.cpu()?);
    shared.borrow_mut().phase = Phase::Measuring;
    sleep(measured).await;
    shared.borrow_mut().phase = Phase::Done;
    let (end, cpu_end) = (now(), deployment.cpu()?);
    let hung = finish(&mut tasks).await;
    deployment.check_alive()?;
    let mut shared = shared.take();
    if hung > 0 {
        shared.fail(hung, &format!("no answer {ANSWER_MAX:?} after the end"));
    }
    shared.latencies.sort_unstable();
    Ok(Sample {
        elapsed: end - start,
        latencies: shared.latencies,
        cpu: cpu_end.saturating_sub(cpu_start),
        failures: shared.failures,
    })
}

/// Writes `total` values, key after key, so that every key has one.
pub(crate) async fn fill(deployment: &mut Deployment, total: u32) -> Result<(), String> {
    let address = leader_address(deployment).await?;
    let shared = Rc::new(RefCell::new(Shared::new()));
    let mut tasks = JoinSet::new();
    let share = total / CLIENTS_USUAL + 1;
    for number in 0..CLIENTS_USUAL {
        let client = connect(deployment.system.protocol(), address).await?;
        let keys = Keys::InTurn(number * share..(number + 1) * share);
        tasks.spawn_local(ask_on(
            client,
            Workload::writes(CLIENTS_USUAL),
            keys,
            Rc::clone(&shared),
        ));
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    let in_time = timeout(FILL_MAX, all).await.is_ok();
    deployment.check_alive()?;
    match shared.take().failures {
        Some((count, first)) => Err(format!("{count} of the first writes failed: {first}")),
        None if !in_time => Err(format!("the first {total} writes took more than {FILL_MAX:?}")),
        None => Ok(()),
    }
}

async fn leader_address(deployment: &mut Deployment) -> Result<SocketAddr, String> {
    let leader = deployment.leader().await?;
    Ok(deployment.address(leader))
}

async fn connect(protocol: Protocol, address: SocketAddr) -> Result<Client, String> {
    let client = Client::connect(protocol, address).await;
    client.map_err(|error| format!("{address}: {error}"))
}

/// Where one client takes its keys from.
enum Keys {
    /// Any, without end.
    Random(Prng),
    /// Each in turn.
    InTurn(Range<u32>),
}

impl Keys {
    fn next(&mut self) -> Option<Key> {
        match self {
            Self::Random(prng) => {
                let number = prng.below(u64::from(KEYS));
                Some(Key(u32::try_from(number).expect("below a number of 32 bits")))
            }
            Self::InTurn(range) => range.next().map(|number| Key(number % KEYS)),
        }
    }

    fn fill(&mut self, depth: u32, keys: &mut Vec<Key>) {
        keys.clear();
        keys.extend((0..depth).map_while(|_| self.next()));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    WarmUp,
    Measuring,
    Done,
}

/// What the clients and the one who measures share; all run on one thread.
#[derive(Debug, Default)]
struct Shared {
    phase: Phase,
    latencies: Vec<u32>,
    failures: Option<(u64, String)>,
}

impl Shared {
    fn new() -> Self {
        Self {
            latencies: Vec::with_capacity(LATENCIES_USUAL),
            ..Self::default()
        }
    }

    fn count(&mut self, asked: Instant, operations: usize) {
        match self.phase {
            Phase::Measuring => {
                let micros = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.latencies.extend(std::iter::repeat_n(micros, operations));
            }
            Phase::WarmUp | Phase::Done => {}
        }
    }

    fn fail(&mut self, count: u64, reason: &str) {
        let failures = self.failures.get_or_insert_with(|| (0, reason.to_owned()));
        failures.0 += count;
    }
}

/// One client: asks, waits for the answer, asks again.
async fn ask_on(mut client: Client, workload: Workload, mut source: Keys, shared: Rc<RefCell<Shared>>) {
    let value = value(u64::from(workload.clients));
    let mut keys = Vec::new();
    source.fill(workload.depth, &mut keys);
    while !keys.is_empty() && shared.borrow().phase != Phase::Done {
        let asked = now();
        let outcome = client.call(workload.request, &keys, &value).await;
        match outcome {
            Ok(()) => shared.borrow_mut().count(asked, keys.len()),
            Err(CallError::Refused(reason)) => {
                shared.borrow_mut().fail(1, &reason);
                sleep(AFTER_REFUSAL).await;
            }
            Err(CallError::Broken(reason)) => return shared.borrow_mut().fail(1, &reason),
        }
        source.fill(workload.depth, &mut keys);
    }
}

/// Waits for the last answers; how many never came.
async fn finish(tasks: &mut JoinSet<()>) -> u64 {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(ANSWER_MAX, all).await.is_ok() {
        return 0;
    }
    let hung = tasks.len() as u64;
    tasks.shutdown().await;
    hung
}

/// Before a measurement: connections are open and batches have their size.
const WARM_UP: Duration = Duration::from_millis(300);

/// An answer that takes longer is counted as a failure.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// The first writes take a few seconds at most where a disk syncs in under 5 ms.
const FILL_MAX: Duration = Duration::from_secs(120);

/// A server that refuses is not asked in a tight loop.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

/// Room for a usual round, so that the first answers wait for no allocation.
const LATENCIES_USUAL: usize = 1 << 20;
