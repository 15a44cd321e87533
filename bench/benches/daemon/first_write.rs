//! How long until a write succeeds.
//!
//! Clients cannot know when a system is ready, and a request that comes too early may hang for seconds. So
//! a new connection with a new write is tried again and again, and none waits for another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::now;
use crate::system::Protocol;
use crate::wire::{CallError, Client, Key, value};
use crate::workload::Request;

/// Tries until one write is acknowledged by any of `addresses`; the time from `start` to that answer.
///
/// # Errors
///
/// After `limit`, with the last reason.
pub(crate) async fn first_write(
    protocol: Protocol,
    addresses: &[SocketAddr],
    start: Instant,
    limit: Duration,
) -> Result<Duration, String> {
    let mut attempts = JoinSet::new();
    let mut ticks = interval(TRY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_reason = "no answer".to_owned();
    while start.elapsed() < limit {
        tokio::select! {
            Some(outcome) = attempts.join_next() => match outcome {
                Ok(Ok(())) => return Ok(start.elapsed()),
                Ok(Err(CallError::Refused(reason) | CallError::Broken(reason))) => last_reason = reason,
                Err(error) => return Err(error.to_string()),
            },
            _ = ticks.tick() => for address in addresses {
                if attempts.len() < ATTEMPTS_MAX {
                    attempts.spawn_local(attempt(protocol, *address));
                }
            },
        }
    }
    Err(format!("no write succeeded in {limit:?}: {last_reason}"))
}

/// One new connection, one write.
pub(crate) async fn attempt(protocol: Protocol, address: SocketAddr) -> Result<(), CallError> {
    let write = async {
        let mut client = Client::connect(protocol, address).await?;
        client.call(Request::Write, &[Key(0)], &value(0)).await
    };
    let late = |_| CallError::Broken(format!("no answer in {ATTEMPT_MAX:?}"));
    timeout(ATTEMPT_MAX, write).await.map_err(late)?
}

/// The same from this moment on.
pub(crate) async fn first_write_from_now(
    protocol: Protocol,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<Duration, String> {
    first_write(protocol, addresses, now(), limit).await
}

/// Finer than what is distinguished, coarse enough to cost the servers nothing.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// Then an attempt is given up; newer ones are under way.
const ATTEMPT_MAX: Duration = Duration::from_secs(1);

/// Attempts under way at once.
const ATTEMPTS_MAX: usize = 512;
