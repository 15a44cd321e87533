//! Every command this server knows: one row gives its name, its arity, its parser and what `COMMAND` returns.
//!
//! Invariant: rows are sorted by name; a name that has no row is an unknown command.

use bytes::Bytes;

use super::answers::ParseResult;
use super::{
    expiry_parse as expiry, keys_parse as keys, local_parse as local, sentinel_parse as sentinel,
    streams_parse, transaction,
};

/// A row of [`COMMANDS`].
#[derive(Debug)]
pub struct CommandSpec {
    /// The name, in lower case.
    pub name: &'static str,
    /// Number of arguments with the name: exactly this many, or at least `-arity`.
    pub arity: i64,
    /// Flags as `COMMAND INFO` names them.
    pub flags: &'static [&'static str],
    /// Where the keys are.
    pub keys: KeyRange,
    /// The group in `COMMAND DOCS`.
    pub group: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// The Redis version that introduced it.
    pub since: &'static str,
    /// Parses the arguments, the name included; their number fits `arity`.
    pub(super) parse: fn(&[Bytes]) -> ParseResult,
}

/// Positions of the keys among the arguments, as in `COMMAND INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key; zero for none.
    pub first: i64,
    /// The last key; negative counts from the end.
    pub last: i64,
    /// Arguments from key to key.
    pub step: i64,
}

impl CommandSpec {
    /// The row of a command, whatever the case of `name`.
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let at = COMMANDS
            .binary_search_by(|spec| spec.name.as_bytes().cmp(lower))
            .ok()?;
        COMMANDS.get(at)
    }

    /// True when `count` arguments, the name included, are a possible number.
    pub fn accepts(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if self.arity < 0 {
            count >= -self.arity
        } else {
            count == self.arity
        }
    }
}

const fn key_range(first: i64, last: i64, step: i64) -> KeyRange {
    KeyRange { first, last, step }
}

macro_rules! commands {
    ($($name:literal $arity:literal $flags:tt $keys:expr, $group:literal $since:literal $summary:literal $parse:expr;)*) => {
        /// The rows.
        pub static COMMANDS: &[CommandSpec] = &[$(CommandSpec {
            name: $name,
            arity: $arity,
            flags: &$flags,
            keys: $keys,
            group: $group,
            since: $since,
            summary: $summary,
            parse: $parse,
        },)*];
    };
}

const NONE: KeyRange = key_range(0, 0, 0);
const ONE: KeyRange = key_range(1, 1, 1);
const ALL: KeyRange = key_range(1, -1, 1);
const EVERY_OTHER: KeyRange = key_range(1, -1, 2);

commands! {
    "append" 3 ["write", "denyoom", "fast"] ONE, "string" "2.0.0" "Appends to the value of a key." keys::append;
    "client" -2 ["loading", "stale"] NONE, "connection" "2.4.0" "Shows or sets what is known about this connection." local::client;
    "command" -1 ["loading", "stale"] NONE, "server" "2.8.13" "Describes the commands." local::command;
    "config" -2 ["admin", "loading", "stale"] NONE, "server" "2.0.0" "Gives configuration values (GET only)." local::config;
    "decr" 2 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Decrements an integer by one." keys::decr;
    "decrby" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Decrements an integer by a number." keys::decr_by;
    "del" -2 ["write"] ALL, "generic" "1.0.0" "Deletes keys." keys::del;
    "discard" 1 ["noscript", "loading", "stale", "fast"] NONE, "transactions" "2.0.0" "Forgets the commands since MULTI, and what is watched." transaction::discard;
    "echo" 2 ["fast"] NONE, "connection" "1.0.0" "Returns its argument." local::echo;
    "exec" 1 ["noscript", "loading", "stale"] NONE, "transactions" "1.2.0" "Carries out the commands since MULTI as one, if what is watched was not changed." transaction::exec;
    "exists" -2 ["readonly", "fast"] ALL, "generic" "1.0.0" "Counts which of the keys exist." keys::exists;
    "expire" -3 ["write", "fast"] ONE, "generic" "1.0.0" "Sets in how many seconds a key goes (NX, XX, GT, LT)." expiry::expire;
    "expireat" -3 ["write", "fast"] ONE, "generic" "1.2.0" "Sets the second in which a key goes." expiry::expire_at;
    "expiretime" 2 ["readonly", "fast"] ONE, "generic" "7.0.0" "Returns the second in which a key goes." expiry::expire_time;
    "get" 2 ["readonly", "fast"] ONE, "string" "1.0.0" "Returns the value of a key." keys::get;
    "getdel" 2 ["write", "fast"] ONE, "string" "6.2.0" "Returns the value of a key, and deletes it." expiry::get_del;
    "getex" -2 ["write", "fast"] ONE, "string" "6.2.0" "Returns the value of a key, and sets when it goes (EX, PX, EXAT, PXAT, PERSIST)." expiry::get_ex;
    "getset" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Sets the value of a key, and returns the old one." expiry::get_set;
    "hello" -1 ["noscript", "loading", "stale", "fast"] NONE, "connection" "6.0.0" "Greets the server and chooses the protocol." local::hello;
    "incr" 2 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Increments an integer by one." keys::incr;
    "incrby" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Increments an integer by a number." keys::incr_by;
    "info" -1 ["loading", "stale"] NONE, "server" "1.0.0" "Describes the server and its cluster." local::info;
    "mget" -2 ["readonly", "fast"] ALL, "string" "1.0.0" "Returns the values of keys." keys::mget;
    "mset" -3 ["write", "denyoom"] EVERY_OTHER, "string" "1.0.1" "Sets keys, all at once." keys::mset;
    "multi" 1 ["noscript", "loading", "stale", "fast"] NONE, "transactions" "1.2.0" "Begins commands that are carried out as one." transaction::multi;
    "persist" 2 ["write", "fast"] ONE, "generic" "2.2.0" "Lets a key stay." expiry::persist;
    "pexpire" -3 ["write", "fast"] ONE, "generic" "2.6.0" "Sets in how many milliseconds a key goes (NX, XX, GT, LT)." expiry::p_expire;
    "pexpireat" -3 ["write", "fast"] ONE, "generic" "2.6.0" "Sets the millisecond in which a key goes." expiry::p_expire_at;
    "pexpiretime" 2 ["readonly", "fast"] ONE, "generic" "7.0.0" "Returns the millisecond in which a key goes." expiry::p_expire_time;
    "ping" -1 ["fast"] NONE, "connection" "1.0.0" "Returns PONG, or its argument." local::ping;
    "psetex" 4 ["write", "denyoom"] ONE, "string" "2.6.0" "Sets the value of a key, and in how many milliseconds it goes." expiry::p_set_ex;
    "psubscribe" -2 ["pubsub", "noscript", "stale"] NONE, "pubsub" "2.0.0" "Listens to the channels that match patterns." sentinel::psubscribe;
    "pttl" 2 ["readonly", "fast"] ONE, "generic" "2.6.0" "Returns in how many milliseconds a key goes." expiry::p_ttl;
    "punsubscribe" -1 ["pubsub", "noscript", "stale"] NONE, "pubsub" "2.0.0" "Stops listening to the channels that match patterns." sentinel::punsubscribe;
    "quit" -1 ["loading", "stale", "fast"] NONE, "connection" "1.0.0" "Closes the connection." local::quit;
    "readonly" 1 ["loading", "stale", "fast"] NONE, "cluster" "3.0.0" "Lets this connection read what this node has, which may be old." local::read_only;
    "readwrite" 1 ["loading", "stale", "fast"] NONE, "cluster" "3.0.0" "Lets this connection read only what is true." local::read_write;
    "reset" 1 ["loading", "stale", "fast"] NONE, "connection" "6.2.0" "Puts the connection into its first state." local::reset;
    "role" 1 ["loading", "stale", "fast"] NONE, "server" "2.8.12" "Returns the replication role." local::role;
    "select" 2 ["loading", "stale", "fast"] NONE, "connection" "1.0.0" "Selects database 0, the only one." local::select;
    "sentinel" -2 ["noscript", "stale"] NONE, "server" "2.8.4" "Says which node leads, and which others there are, as Redis Sentinel does." sentinel::sentinel;
    "set" -3 ["write", "denyoom"] ONE, "string" "1.0.0" "Sets the value of a key, on a condition if given (NX, XX, IFEQ), for a time if given (EX, PX, EXAT, PXAT, KEEPTTL)." keys::set;
    "setex" 4 ["write", "denyoom"] ONE, "string" "2.0.0" "Sets the value of a key, and in how many seconds it goes." expiry::set_ex;
    "setnx" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Sets the value of a key that does not exist." expiry::set_nx;
    "strlen" 2 ["readonly", "fast"] ONE, "string" "2.2.0" "Returns the length of a value." keys::strlen;
    "subscribe" -2 ["pubsub", "noscript", "stale"] NONE, "pubsub" "2.0.0" "Listens to channels (+switch-master)." sentinel::subscribe;
    "time" 1 ["loading", "stale", "fast"] NONE, "server" "2.6.0" "Returns this node's clock." local::time;
    "ttl" 2 ["readonly", "fast"] ONE, "generic" "1.0.0" "Returns in how many seconds a key goes." expiry::ttl;
    "type" 2 ["readonly", "fast"] ONE, "generic" "1.0.0" "Returns the type of a value." keys::type_of;
    "unsubscribe" -1 ["pubsub", "noscript", "stale"] NONE, "pubsub" "2.0.0" "Stops listening to channels." sentinel::unsubscribe;
    "unwatch" 1 ["noscript", "loading", "stale", "fast"] NONE, "transactions" "2.2.0" "Watches nothing any more." transaction::unwatch;
    "wait" 3 ["noscript"] NONE, "generic" "3.0.0" "Returns how many other nodes have every write of this connection." sentinel::wait;
    "waitaof" 4 ["noscript"] NONE, "generic" "7.2.0" "Returns how many nodes have every write of this connection on their disks." sentinel::wait_aof;
    "watch" -2 ["noscript", "loading", "stale", "fast"] ALL, "transactions" "2.2.0" "Lets the next EXEC do nothing if one of the keys is changed before it." transaction::watch;
    "xadd" -5 ["write", "denyoom", "fast"] ONE, "stream" "5.0.0" "Appends an entry to a stream." streams_parse::xadd;
    "xlen" 2 ["readonly", "fast"] ONE, "stream" "5.0.0" "Returns the number of entries of a stream." streams_parse::xlen;
    "xrange" -4 ["readonly"] ONE, "stream" "5.0.0" "Returns entries of a stream, in order." streams_parse::xrange;
    "xread" -4 ["readonly", "movablekeys"] NONE, "stream" "5.0.0" "Returns entries of streams after given ids; does not wait." streams_parse::xread;
    "xrevrange" -4 ["readonly"] ONE, "stream" "5.0.0" "Returns entries of a stream, last first." streams_parse::xrevrange;
}

/// Longer than any name.
const NAME_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_found_in_any_case() {
        assert!(COMMANDS.is_sorted_by(|one, next| one.name < next.name));
        for spec in COMMANDS {
            let upper = spec.name.to_ascii_uppercase();
            assert_eq!(
                CommandSpec::find(upper.as_bytes()).map(|found| found.name),
                Some(spec.name)
            );
        }
        assert!(CommandSpec::find(b"nosuch").is_none());
        assert!(CommandSpec::find(&[b'x'; 1000]).is_none());
        assert!(CommandSpec::find(b"").is_none());
    }
}
