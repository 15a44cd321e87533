//! What clients see when the leader is killed.
//!
//! Each try: writes through the survivors work; the leader gets SIGKILL; at once each survivor gets one more
//! write on the old connection, which is *in flight* through the election; beside it new connections try
//! until a write succeeds. Then the dead node is started again, and the same is asked of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::cluster::SlowDisk;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::now;
use crate::deployment::Deployment;
use crate::first_write::{first_write, first_write_from_now};
use crate::wire::{CallError, Client, Key, value};
use crate::workload::Request;

/// What all tries gave.
#[derive(Debug, Default)]
pub(crate) struct Failover {
    /// From SIGKILL to the next acknowledged write.
    pub(crate) next_write: Vec<Duration>,
    /// From SIGKILL to the answer, an error too, to a write that was in flight.
    pub(crate) answers: Vec<Duration>,
    /// Writes in flight whose answer was an error.
    pub(crate) errors: usize,
    /// Writes in flight that were not answered within [`IN_FLIGHT_MAX`].
    pub(crate) hung: usize,
    /// From the start of the dead node to a write that it acknowledged.
    pub(crate) rejoin: Vec<Duration>,
}

impl Failover {
    /// Kills the leader once, while so many other nodes have a disk that answers once in an interval.
    pub(crate) async fn try_once(
        &mut self,
        deployment: &mut Deployment,
        (slow_disks, interval): (usize, Duration),
    ) -> Result<(), String> {
        let protocol = deployment.system.protocol();
        let leader = deployment.leader().await?;
        for address in deployment.addresses() {
            first_write_from_now(protocol, &[address], WRITE_MAX).await?;
        }
        let survivors: Vec<SocketAddr> = deployment
            .addresses()
            .into_iter()
            .filter(|address| *address != deployment.address(leader))
            .collect();
        let others = (0..deployment.addresses().len()).filter(|at| *at != leader);
        let slow = others
            .take(slow_disks)
            .map(|at| deployment.slow_disk(at, interval));
        let slow = slow.collect::<Result<Vec<SlowDisk>, String>>()?;
        let mut old_clients = Vec::new();
        for address in &survivors {
            old_clients.push(proven_client(deployment, *address).await?);
        }
        deployment.kill_node(leader)?;
        let killed = now();
        let mut in_flight = JoinSet::new();
        for client in old_clients {
            in_flight.spawn_local(one_write(client, killed));
        }
        self.next_write
            .push(first_write(protocol, &survivors, killed, WRITE_MAX).await?);
        drop(slow);
        let restarted = now();
        deployment.start_node(leader)?;
        let address = deployment.address(leader);
        self.rejoin
            .push(first_write(protocol, &[address], restarted, WRITE_MAX).await?);
        self.count_answers(&mut in_flight).await?;
        deployment.check_alive()
    }

    async fn count_answers(&mut self, in_flight: &mut JoinSet<Option<Answer>>) -> Result<(), String> {
        while let Some(outcome) = in_flight.join_next().await {
            match outcome.map_err(|error| error.to_string())? {
                None => self.hung += 1,
                Some(answer) => {
                    self.answers.push(answer.after);
                    self.errors += usize::from(!answer.is_ok);
                }
            }
        }
        Ok(())
    }
}

struct Answer {
    after: Duration,
    is_ok: bool,
}

/// A connection over which a write has just succeeded.
async fn proven_client(deployment: &Deployment, address: SocketAddr) -> Result<Client, String> {
    let open = async {
        let mut client = Client::connect(deployment.system.protocol(), address).await?;
        client.call(Request::Write, &[Key(1)], &value(1)).await?;
        Ok(client)
    };
    let outcome: Result<Client, CallError> = timeout(WRITE_MAX, open)
        .await
        .map_err(|error| error.to_string())?;
    outcome.map_err(|error| format!("{address}: {error}"))
}

async fn one_write(mut client: Client, killed: Instant) -> Option<Answer> {
    let value = value(2);
    let write = client.call(Request::Write, &[Key(2)], &value);
    let outcome = timeout(IN_FLIGHT_MAX, write).await.ok()?;
    Some(Answer {
        after: killed.elapsed(),
        is_ok: outcome.is_ok(),
    })
}

/// A write in flight that takes longer is said to hang.
pub(crate) const IN_FLIGHT_MAX: Duration = Duration::from_secs(3);

/// No election takes this long.
const WRITE_MAX: Duration = Duration::from_secs(20);
