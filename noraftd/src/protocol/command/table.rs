//! Every command this server knows: one row gives its name, its arity, its parser and what `COMMAND` returns.
//!
//! Invariant: rows are sorted by name; a name that has no row is an unknown command.

use bytes::Bytes;

use super::answers::ParseResult;
use super::{
    data_parse as data, expiry_parse as expiry, keys_parse as keys, local_parse as local,
    script_parse as script, sentinel_parse as sentinel, streams_parse, transaction,
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
    "copy" -3 ["write", "denyoom"] key_range(1, 2, 1), "generic" "6.2.0" "Copies a key (REPLACE)." data::parse;
    "dbsize" 1 ["readonly", "fast"] NONE, "server" "1.0.0" "Returns the number of keys." data::parse;
    "decr" 2 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Decrements an integer by one." keys::decr;
    "decrby" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Decrements an integer by a number." keys::decr_by;
    "del" -2 ["write"] ALL, "generic" "1.0.0" "Deletes keys." keys::del;
    "discard" 1 ["noscript", "loading", "stale", "fast"] NONE, "transactions" "2.0.0" "Forgets the commands since MULTI, and what is watched." transaction::discard;
    "echo" 2 ["fast"] NONE, "connection" "1.0.0" "Returns its argument." local::echo;
    "eval" -3 ["noscript", "movablekeys"] NONE, "scripting" "2.6.0" "Carries out a script in Lua." script::eval;
    "eval_ro" -3 ["readonly", "noscript", "movablekeys"] NONE, "scripting" "7.0.0" "Carries out a script in Lua that only reads." script::eval;
    "evalsha" -3 ["noscript", "movablekeys"] NONE, "scripting" "2.6.0" "Carries out a script that is known by the SHA-1 of its text." script::eval;
    "evalsha_ro" -3 ["readonly", "noscript", "movablekeys"] NONE, "scripting" "7.0.0" "Carries out a script that is known by the SHA-1 of its text and only reads." script::eval;
    "exec" 1 ["noscript", "loading", "stale"] NONE, "transactions" "1.2.0" "Carries out the commands since MULTI as one, if what is watched was not changed." transaction::exec;
    "exists" -2 ["readonly", "fast"] ALL, "generic" "1.0.0" "Counts which of the keys exist." keys::exists;
    "expire" -3 ["write", "fast"] ONE, "generic" "1.0.0" "Sets in how many seconds a key goes (NX, XX, GT, LT)." expiry::expire;
    "expireat" -3 ["write", "fast"] ONE, "generic" "1.2.0" "Sets the second in which a key goes." expiry::expire_at;
    "expiretime" 2 ["readonly", "fast"] ONE, "generic" "7.0.0" "Returns the second in which a key goes." expiry::expire_time;
    "get" 2 ["readonly", "fast"] ONE, "string" "1.0.0" "Returns the value of a key." keys::get;
    "getdel" 2 ["write", "fast"] ONE, "string" "6.2.0" "Returns the value of a key, and deletes it." expiry::get_del;
    "getex" -2 ["write", "fast"] ONE, "string" "6.2.0" "Returns the value of a key, and sets when it goes (EX, PX, EXAT, PXAT, PERSIST)." expiry::get_ex;
    "getrange" 4 ["readonly"] ONE, "string" "2.4.0" "Returns a part of a value." data::parse;
    "getset" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Sets the value of a key, and returns the old one." expiry::get_set;
    "hdel" -3 ["write", "fast"] ONE, "hash" "2.0.0" "Removes fields of a hash." data::parse;
    "hello" -1 ["noscript", "loading", "stale", "fast"] NONE, "connection" "6.0.0" "Greets the server and chooses the protocol." local::hello;
    "hexists" 3 ["readonly", "fast"] ONE, "hash" "2.0.0" "Says whether a hash has a field." data::parse;
    "hget" 3 ["readonly", "fast"] ONE, "hash" "2.0.0" "Returns the value of a field of a hash." data::parse;
    "hgetall" 2 ["readonly"] ONE, "hash" "2.0.0" "Returns all fields of a hash and their values." data::parse;
    "hincrby" 4 ["write", "denyoom", "fast"] ONE, "hash" "2.0.0" "Increments a field of a hash, an integer, by a number." data::parse;
    "hincrbyfloat" 4 ["write", "denyoom", "fast"] ONE, "hash" "2.6.0" "Increments a field of a hash by a number with a fraction." data::parse;
    "hkeys" 2 ["readonly"] ONE, "hash" "2.0.0" "Returns all fields of a hash." data::parse;
    "hlen" 2 ["readonly", "fast"] ONE, "hash" "2.0.0" "Returns the number of fields of a hash." data::parse;
    "hmget" -3 ["readonly", "fast"] ONE, "hash" "2.0.0" "Returns the values of fields of a hash." data::parse;
    "hmset" -4 ["write", "denyoom", "fast"] ONE, "hash" "2.0.0" "Sets fields of a hash." data::parse;
    "hrandfield" -2 ["readonly"] ONE, "hash" "6.2.0" "Returns fields of a hash that are drawn." data::parse;
    "hscan" -3 ["readonly"] ONE, "hash" "2.8.0" "Returns fields of a hash and their values, some at a time." data::parse;
    "hset" -4 ["write", "denyoom", "fast"] ONE, "hash" "2.0.0" "Sets fields of a hash, and counts the new ones." data::parse;
    "hsetnx" 4 ["write", "denyoom", "fast"] ONE, "hash" "2.0.0" "Sets a field that a hash does not have." data::parse;
    "hstrlen" 3 ["readonly", "fast"] ONE, "hash" "3.2.0" "Returns the length of the value of a field of a hash." data::parse;
    "hvals" 2 ["readonly"] ONE, "hash" "2.0.0" "Returns the values of all fields of a hash." data::parse;
    "incr" 2 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Increments an integer by one." keys::incr;
    "incrby" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Increments an integer by a number." keys::incr_by;
    "incrbyfloat" 3 ["write", "denyoom", "fast"] ONE, "string" "2.6.0" "Increments a number with a fraction." data::parse;
    "info" -1 ["loading", "stale"] NONE, "server" "1.0.0" "Describes the server and its cluster." local::info;
    "keys" 2 ["readonly"] NONE, "generic" "1.0.0" "Returns the keys whose names match a pattern." data::parse;
    "lcs" -3 ["readonly"] key_range(1, 2, 1), "string" "7.0.0" "Finds the longest subsequence that two strings have in common (LEN, IDX)." data::parse;
    "lindex" 3 ["readonly"] ONE, "list" "1.0.0" "Returns the element at a place of a list." data::parse;
    "linsert" 5 ["write", "denyoom"] ONE, "list" "2.2.0" "Inserts an element before or after another one of a list." data::parse;
    "llen" 2 ["readonly", "fast"] ONE, "list" "1.0.0" "Returns the number of elements of a list." data::parse;
    "lmove" 5 ["write", "denyoom"] key_range(1, 2, 1), "list" "6.2.0" "Moves an element from one end of a list to one of another." data::parse;
    "lmpop" -4 ["write", "movablekeys"] NONE, "list" "7.0.0" "Removes and returns elements of the first list that has some." data::parse;
    "lpop" -2 ["write", "fast"] ONE, "list" "1.0.0" "Removes and returns the first elements of a list." data::parse;
    "lpos" -3 ["readonly"] ONE, "list" "6.0.6" "Returns the places of an element in a list (RANK, COUNT, MAXLEN)." data::parse;
    "lpush" -3 ["write", "denyoom", "fast"] ONE, "list" "1.0.0" "Puts elements before those of a list." data::parse;
    "lpushx" -3 ["write", "denyoom", "fast"] ONE, "list" "2.2.0" "Puts elements before those of a list, if there is one." data::parse;
    "lrange" 4 ["readonly"] ONE, "list" "1.0.0" "Returns the elements of a list between two places." data::parse;
    "lrem" 4 ["write"] ONE, "list" "1.0.0" "Removes elements of a list that are equal to another." data::parse;
    "lset" 4 ["write", "denyoom"] ONE, "list" "1.0.0" "Sets the element at a place of a list." data::parse;
    "ltrim" 4 ["write"] ONE, "list" "1.0.0" "Leaves the elements of a list between two places." data::parse;
    "mget" -2 ["readonly", "fast"] ALL, "string" "1.0.0" "Returns the values of keys." keys::mget;
    "mset" -3 ["write", "denyoom"] EVERY_OTHER, "string" "1.0.1" "Sets keys, all at once." keys::mset;
    "msetnx" -3 ["write", "denyoom"] EVERY_OTHER, "string" "1.0.1" "Sets keys, all at once, if none of them exists." data::parse;
    "multi" 1 ["noscript", "loading", "stale", "fast"] NONE, "transactions" "1.2.0" "Begins commands that are carried out as one." transaction::multi;
    "object" -2 ["readonly"] key_range(2, 2, 1), "generic" "2.2.3" "Says how a value is held (ENCODING, REFCOUNT)." data::parse;
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
    "randomkey" 1 ["readonly"] NONE, "generic" "1.0.0" "Returns a key that is drawn." data::parse;
    "readonly" 1 ["loading", "stale", "fast"] NONE, "cluster" "3.0.0" "Lets this connection read what this node has, which may be old." local::read_only;
    "readwrite" 1 ["loading", "stale", "fast"] NONE, "cluster" "3.0.0" "Lets this connection read only what is true." local::read_write;
    "rename" 3 ["write"] key_range(1, 2, 1), "generic" "1.0.0" "Renames a key." data::parse;
    "renamenx" 3 ["write", "fast"] key_range(1, 2, 1), "generic" "1.0.0" "Renames a key, if no other one has the name." data::parse;
    "reset" 1 ["loading", "stale", "fast"] NONE, "connection" "6.2.0" "Puts the connection into its first state." local::reset;
    "role" 1 ["loading", "stale", "fast"] NONE, "server" "2.8.12" "Returns the replication role." local::role;
    "rpop" -2 ["write", "fast"] ONE, "list" "1.0.0" "Removes and returns the last elements of a list." data::parse;
    "rpoplpush" 3 ["write", "denyoom"] key_range(1, 2, 1), "list" "1.2.0" "Moves the last element of a list to the beginning of another." data::parse;
    "rpush" -3 ["write", "denyoom", "fast"] ONE, "list" "1.0.0" "Puts elements behind those of a list." data::parse;
    "rpushx" -3 ["write", "denyoom", "fast"] ONE, "list" "2.2.0" "Puts elements behind those of a list, if there is one." data::parse;
    "sadd" -3 ["write", "denyoom", "fast"] ONE, "set" "1.0.0" "Adds members to a set." data::parse;
    "scard" 2 ["readonly", "fast"] ONE, "set" "1.0.0" "Returns the number of members of a set." data::parse;
    "script" -2 ["noscript"] NONE, "scripting" "2.6.0" "Keeps scripts, says which are kept, and forgets them (LOAD, EXISTS, FLUSH)." script::script;
    "sdiff" -2 ["readonly"] ALL, "set" "1.0.0" "Returns what is in the first set and in no other." data::parse;
    "sdiffstore" -3 ["write", "denyoom"] ALL, "set" "1.0.0" "Makes a set of what is in the first of the others and in none behind it." data::parse;
    "select" 2 ["loading", "stale", "fast"] NONE, "connection" "1.0.0" "Selects database 0, the only one." local::select;
    "sentinel" -2 ["noscript", "stale"] NONE, "server" "2.8.4" "Says which node leads, and which others there are, as Redis Sentinel does." sentinel::sentinel;
    "set" -3 ["write", "denyoom"] ONE, "string" "1.0.0" "Sets the value of a key, on a condition if given (NX, XX, IFEQ), for a time if given (EX, PX, EXAT, PXAT, KEEPTTL)." keys::set;
    "setex" 4 ["write", "denyoom"] ONE, "string" "2.0.0" "Sets the value of a key, and in how many seconds it goes." expiry::set_ex;
    "setnx" 3 ["write", "denyoom", "fast"] ONE, "string" "1.0.0" "Sets the value of a key that does not exist." expiry::set_nx;
    "setrange" 4 ["write", "denyoom"] ONE, "string" "2.2.0" "Sets a part of a value." data::parse;
    "sinter" -2 ["readonly"] ALL, "set" "1.0.0" "Returns what is in every set." data::parse;
    "sintercard" -3 ["readonly", "movablekeys"] NONE, "set" "7.0.0" "Counts what is in every set." data::parse;
    "sinterstore" -3 ["write", "denyoom"] ALL, "set" "1.0.0" "Makes a set of what is in every one of the others." data::parse;
    "sismember" 3 ["readonly", "fast"] ONE, "set" "1.0.0" "Says whether a set has a member." data::parse;
    "smembers" 2 ["readonly"] ONE, "set" "1.0.0" "Returns all members of a set." data::parse;
    "smismember" -3 ["readonly", "fast"] ONE, "set" "6.2.0" "Says of several whether a set has them as members." data::parse;
    "smove" 4 ["write", "fast"] key_range(1, 2, 1), "set" "1.0.0" "Moves a member from one set to another." data::parse;
    "spop" -2 ["write", "fast"] ONE, "set" "1.0.0" "Removes and returns members of a set that are drawn." data::parse;
    "srandmember" -2 ["readonly"] ONE, "set" "1.0.0" "Returns members of a set that are drawn." data::parse;
    "srem" -3 ["write", "fast"] ONE, "set" "1.0.0" "Removes members of a set." data::parse;
    "sscan" -3 ["readonly"] ONE, "set" "2.8.0" "Returns members of a set, some at a time." data::parse;
    "strlen" 2 ["readonly", "fast"] ONE, "string" "2.2.0" "Returns the length of a value." keys::strlen;
    "subscribe" -2 ["pubsub", "noscript", "stale"] NONE, "pubsub" "2.0.0" "Listens to channels (+switch-master)." sentinel::subscribe;
    "substr" 4 ["readonly"] ONE, "string" "1.0.0" "Returns a part of a value." data::parse;
    "sunion" -2 ["readonly"] ALL, "set" "1.0.0" "Returns what is in any of the sets." data::parse;
    "sunionstore" -3 ["write", "denyoom"] ALL, "set" "1.0.0" "Makes a set of what is in any of the others." data::parse;
    "time" 1 ["loading", "stale", "fast"] NONE, "server" "2.6.0" "Returns this node's clock." local::time;
    "touch" -2 ["readonly", "fast"] ALL, "generic" "3.2.1" "Counts which of the keys exist." keys::exists;
    "ttl" 2 ["readonly", "fast"] ONE, "generic" "1.0.0" "Returns in how many seconds a key goes." expiry::ttl;
    "type" 2 ["readonly", "fast"] ONE, "generic" "1.0.0" "Returns the type of a value." keys::type_of;
    "unlink" -2 ["write", "fast"] ALL, "generic" "4.0.0" "Deletes keys." keys::del;
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
    "zadd" -4 ["write", "denyoom", "fast"] ONE, "sorted-set" "1.2.0" "Sets the scores of members of a sorted set (NX, XX, GT, LT, CH, INCR)." data::parse;
    "zcard" 2 ["readonly", "fast"] ONE, "sorted-set" "1.2.0" "Returns the number of members of a sorted set." data::parse;
    "zcount" 4 ["readonly", "fast"] ONE, "sorted-set" "2.0.0" "Counts the members of a sorted set between two scores." data::parse;
    "zdiff" -3 ["readonly", "movablekeys"] NONE, "sorted-set" "6.2.0" "Returns what is in the first sorted set and in no other." data::parse;
    "zdiffstore" -4 ["write", "denyoom", "movablekeys"] ONE, "sorted-set" "6.2.0" "Makes a sorted set of what is in the first of the others and in none behind it." data::parse;
    "zincrby" 4 ["write", "denyoom", "fast"] ONE, "sorted-set" "1.2.0" "Adds to the score of a member of a sorted set." data::parse;
    "zinter" -3 ["readonly", "movablekeys"] NONE, "sorted-set" "6.2.0" "Returns what is in every sorted set (WEIGHTS, AGGREGATE)." data::parse;
    "zintercard" -3 ["readonly", "movablekeys"] NONE, "sorted-set" "7.0.0" "Counts what is in every sorted set." data::parse;
    "zinterstore" -4 ["write", "denyoom", "movablekeys"] ONE, "sorted-set" "2.0.0" "Makes a sorted set of what is in every one of the others (WEIGHTS, AGGREGATE)." data::parse;
    "zlexcount" 4 ["readonly", "fast"] ONE, "sorted-set" "2.8.9" "Counts the members of a sorted set between two names." data::parse;
    "zmpop" -4 ["write", "movablekeys"] NONE, "sorted-set" "7.0.0" "Removes and returns the first or last members of the first sorted set that has some." data::parse;
    "zmscore" -3 ["readonly", "fast"] ONE, "sorted-set" "6.2.0" "Returns the scores of members of a sorted set." data::parse;
    "zpopmax" -2 ["write", "fast"] ONE, "sorted-set" "5.0.0" "Removes and returns the last members of a sorted set." data::parse;
    "zpopmin" -2 ["write", "fast"] ONE, "sorted-set" "5.0.0" "Removes and returns the first members of a sorted set." data::parse;
    "zrandmember" -2 ["readonly"] ONE, "sorted-set" "6.2.0" "Returns members of a sorted set that are drawn." data::parse;
    "zrange" -4 ["readonly"] ONE, "sorted-set" "1.2.0" "Returns a part of a sorted set (BYSCORE, BYLEX, REV, LIMIT, WITHSCORES)." data::parse;
    "zrangebylex" -4 ["readonly"] ONE, "sorted-set" "2.8.9" "Returns the members of a sorted set between two names." data::parse;
    "zrangebyscore" -4 ["readonly"] ONE, "sorted-set" "1.0.5" "Returns the members of a sorted set between two scores." data::parse;
    "zrangestore" -5 ["write", "denyoom"] key_range(1, 2, 1), "sorted-set" "6.2.0" "Makes a sorted set of a part of another (BYSCORE, BYLEX, REV, LIMIT)." data::parse;
    "zrank" 3 ["readonly", "fast"] ONE, "sorted-set" "2.0.0" "Returns the rank of a member of a sorted set." data::parse;
    "zrem" -3 ["write", "fast"] ONE, "sorted-set" "1.2.0" "Removes members of a sorted set." data::parse;
    "zremrangebylex" 4 ["write"] ONE, "sorted-set" "2.8.9" "Removes the members of a sorted set between two names." data::parse;
    "zremrangebyrank" 4 ["write"] ONE, "sorted-set" "2.0.0" "Removes the members of a sorted set between two ranks." data::parse;
    "zremrangebyscore" 4 ["write"] ONE, "sorted-set" "1.2.0" "Removes the members of a sorted set between two scores." data::parse;
    "zrevrange" -4 ["readonly"] ONE, "sorted-set" "1.2.0" "Returns the members of a sorted set between two ranks, last first." data::parse;
    "zrevrangebylex" -4 ["readonly"] ONE, "sorted-set" "2.8.9" "Returns the members of a sorted set between two names, last first." data::parse;
    "zrevrangebyscore" -4 ["readonly"] ONE, "sorted-set" "2.2.0" "Returns the members of a sorted set between two scores, last first." data::parse;
    "zrevrank" 3 ["readonly", "fast"] ONE, "sorted-set" "2.0.0" "Returns the rank of a member of a sorted set, counted from the end." data::parse;
    "zscan" -3 ["readonly"] ONE, "sorted-set" "2.8.0" "Returns members of a sorted set and their scores, some at a time." data::parse;
    "zscore" 3 ["readonly", "fast"] ONE, "sorted-set" "1.2.0" "Returns the score of a member of a sorted set." data::parse;
    "zunion" -3 ["readonly", "movablekeys"] NONE, "sorted-set" "6.2.0" "Returns what is in any of the sorted sets (WEIGHTS, AGGREGATE)." data::parse;
    "zunionstore" -4 ["write", "denyoom", "movablekeys"] ONE, "sorted-set" "2.0.0" "Makes a sorted set of what is in any of the others (WEIGHTS, AGGREGATE)." data::parse;
}

/// Longer than any name.
const NAME_BYTES_MAX: usize = 20;

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
