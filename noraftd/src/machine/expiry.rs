//! Commands about when keys go.

use super::keys::Keys;
use crate::protocol::command::{Expiry, ExpiryCondition, TimeUnit};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

/// `EXPIRE` and its kin: whether the deadline was set. One that has passed removes the key.
pub(super) fn expire(keys: &mut Keys, key: &[u8], expiry: Expiry, condition: ExpiryCondition) -> Reply {
    let wanted = expiry.deadline(keys.clock()).unwrap_or_default();
    let held = keys.deadline(key);
    let is_set = keys.get(key).is_some() && condition.admits(held, wanted);
    if is_set {
        keys.set_deadline(key, Some(wanted));
    }
    Reply::Integer(i64::from(is_set))
}

/// `PERSIST`: whether it had a deadline.
pub(super) fn persist(keys: &mut Keys, key: &[u8]) -> Reply {
    let had = keys.deadline(key).is_some();
    if had {
        keys.set_deadline(key, None);
    }
    Reply::Integer(i64::from(had))
}

/// `TTL` and `PTTL`: how long the key stays, at the time of this entry.
pub(super) fn time_left(keys: &Keys, key: &[u8], unit: TimeUnit) -> Reply {
    let now = keys.clock().as_millis();
    deadline_reply(keys, key, |deadline| unit.rounded(deadline.as_millis() - now))
}

/// `EXPIRETIME` and `PEXPIRETIME`: when the key goes.
pub(super) fn deadline(keys: &Keys, key: &[u8], unit: TimeUnit) -> Reply {
    deadline_reply(keys, key, |deadline| unit.rounded(deadline.as_millis()))
}

fn deadline_reply(keys: &Keys, key: &[u8], time: impl FnOnce(Stamp) -> u64) -> Reply {
    Reply::Integer(match keys.deadline(key) {
        Some(deadline) => i64::try_from(time(deadline)).unwrap_or(i64::MAX),
        None if keys.get(key).is_some() => NO_DEADLINE,
        None => NO_KEY,
    })
}

const NO_KEY: i64 = -2;
const NO_DEADLINE: i64 = -1;
