//! The arguments of each command, as `COMMAND DOCS` returns them and redis-cli shows them while one types.

/// One argument, or several that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// The word before it.
    pub token: Option<&'static str>,
    /// It may be left out.
    pub is_optional: bool,
    /// It may be repeated.
    pub is_multiple: bool,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A key.
    Key,
    /// Any bytes.
    Text,
    /// A number.
    Integer,
    /// A pattern.
    Pattern,
    /// The token and nothing more.
    Word,
    /// One of these.
    OneOf(&'static [Argument]),
    /// All of these.
    Block(&'static [Argument]),
}

impl Argument {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            token: None,
            is_optional: false,
            is_multiple: false,
        }
    }

    const fn word(name: &'static str, token: &'static str) -> Self {
        Self::new(name, Kind::Word).after(token)
    }

    const fn after(self, token: &'static str) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    const fn optional(self) -> Self {
        Self {
            is_optional: true,
            ..self
        }
    }

    const fn multiple(self) -> Self {
        Self {
            is_multiple: true,
            ..self
        }
    }
}

/// The arguments of the command `name` (in lower case), without the name.
pub fn arguments(name: &str) -> &'static [Argument] {
    match name {
        "append" | "getset" | "setnx" => &[KEY, VALUE],
        "client" => &[SUBCOMMAND, const { text("argument").optional().multiple() }],
        "command" => &[
            const { SUBCOMMAND.optional() },
            const { text("argument").optional().multiple() },
        ],
        "config" => &[const { Argument::new("pattern", Kind::Pattern).after("GET").multiple() }],
        "decr" | "expiretime" | "get" | "getdel" | "hgetall" | "hkeys" | "hlen" | "hvals" | "llen"
        | "persist" | "pexpiretime" | "pttl" | "scard" | "smembers" | "ttl" | "zcard" | "incr" | "strlen"
        | "type" | "xlen" => &[KEY],
        "decrby" => &[KEY, const { Argument::new("decrement", Kind::Integer) }],
        "del" | "exists" | "mget" | "touch" | "unlink" | "watch" => &[const { KEY.multiple() }],
        "echo" => &[const { text("message") }],
        "expire" | "pexpire" | "expireat" | "pexpireat" => &EXPIRE,
        "getex" => &[
            KEY,
            const { Argument::new("expiration", Kind::OneOf(&GETEX)).optional() },
        ],
        "setex" | "psetex" => &[KEY, const { Argument::new("time", Kind::Integer) }, VALUE],
        "hello" => &[const { Argument::new("arguments", Kind::Block(&HELLO)).optional() }],
        "incrby" | "incrbyfloat" => &[KEY, const { Argument::new("increment", Kind::Integer) }],
        "info" => &[const { text("section").optional().multiple() }],
        "mset" | "msetnx" => &[const { Argument::new("data", Kind::Block(&[KEY, VALUE])).multiple() }],
        "psubscribe" => &[const { Argument::new("pattern", Kind::Pattern).multiple() }],
        "punsubscribe" => &[const { Argument::new("pattern", Kind::Pattern).optional().multiple() }],
        "eval" | "eval_ro" => &EVAL,
        "evalsha" | "evalsha_ro" => &EVAL_SHA,
        "sentinel" | "script" => &[SUBCOMMAND, const { text("argument").optional().multiple() }],
        "subscribe" => &[const { text("channel").multiple() }],
        "unsubscribe" => &[const { text("channel").optional().multiple() }],
        "wait" => &[NUMREPLICAS, TIMEOUT],
        "waitaof" => &[
            const { Argument::new("numlocal", Kind::Integer) },
            NUMREPLICAS,
            TIMEOUT,
        ],
        "ping" => &[const { text("message").optional() }],
        "select" => &[const { Argument::new("index", Kind::Integer) }],
        "set" => &SET,
        "xadd" => &XADD,
        "xrange" => &[KEY, const { text("start") }, const { text("end") }, COUNT],
        "xread" => &[
            COUNT,
            const { Argument::new("streams", Kind::Block(&STREAMS)).after("STREAMS") },
        ],
        "xrevrange" => &[KEY, const { text("end") }, const { text("start") }, COUNT],
        _ => of_values(name),
    }
}

/// Those of commands on lists, on parts of strings, and on two keys.
fn of_values(name: &str) -> &'static [Argument] {
    match name {
        "lpush" | "rpush" | "lpushx" | "rpushx" => &[KEY, const { ELEMENT.multiple() }],
        "lpop" | "rpop" => &[KEY, const { Argument::new("count", Kind::Integer).optional() }],
        "lset" => &[KEY, INDEX, ELEMENT],
        "lindex" => &[KEY, INDEX],
        "lrem" => &[KEY, const { Argument::new("count", Kind::Integer) }, ELEMENT],
        "linsert" => &[KEY, WHERE, const { text("pivot") }, ELEMENT],
        "ltrim" | "lrange" => &[KEY, START, STOP],
        "lmove" => &[
            const { Argument::new("source", Kind::Key) },
            DESTINATION,
            SIDE,
            SIDE,
        ],
        "rpoplpush" => &[const { Argument::new("source", Kind::Key) }, DESTINATION],
        "lmpop" => &[NUMKEYS, const { KEY.multiple() }, SIDE, COUNT],
        "lpos" => &[
            KEY,
            ELEMENT,
            const { Argument::new("rank", Kind::Integer).after("RANK").optional() },
            COUNT,
            const { Argument::new("maxlen", Kind::Integer).after("MAXLEN").optional() },
        ],
        "copy" => &[
            const { Argument::new("source", Kind::Key) },
            DESTINATION,
            const {
                Argument::new("destination-db", Kind::Integer)
                    .after("DB")
                    .optional()
            },
            const { Argument::word("replace", "REPLACE").optional() },
        ],
        "keys" => &[const { Argument::new("pattern", Kind::Pattern) }],
        "object" => &[SUBCOMMAND, const { KEY.optional() }],
        "lcs" => &LCS,
        "rename" | "renamenx" => &[KEY, const { Argument::new("newkey", Kind::Key) }],
        "getrange" | "substr" => &[KEY, START, const { text("end") }],
        "setrange" => &[KEY, const { Argument::new("offset", Kind::Integer) }, VALUE],
        _ => of_members(name),
    }
}

/// Those of commands on hashes and sets.
fn of_members(name: &str) -> &'static [Argument] {
    match name {
        "sadd" | "srem" | "smismember" => &[KEY, const { MEMBER.multiple() }],
        "sismember" => &[KEY, MEMBER],
        "smove" => &[const { Argument::new("source", Kind::Key) }, DESTINATION, MEMBER],
        "spop" | "srandmember" => &[KEY, const { Argument::new("count", Kind::Integer).optional() }],
        "sinter" | "sunion" | "sdiff" => &[const { KEY.multiple() }],
        "sinterstore" | "sunionstore" | "sdiffstore" => &[DESTINATION, const { KEY.multiple() }],
        "sintercard" | "zintercard" => &[
            NUMKEYS,
            const { KEY.multiple() },
            const { Argument::new("limit", Kind::Integer).after("LIMIT").optional() },
        ],
        "hget" | "hexists" | "hstrlen" => &[KEY, FIELD],
        "hdel" | "hmget" => &[KEY, const { FIELD.multiple() }],
        "hset" | "hmset" => &[
            KEY,
            const { Argument::new("data", Kind::Block(&FIELDS)).multiple() },
        ],
        "hsetnx" => &[KEY, FIELD, VALUE],
        "hincrby" | "hincrbyfloat" => &[KEY, FIELD, const { Argument::new("increment", Kind::Integer) }],
        "hrandfield" => &[
            KEY,
            const { Argument::new("count", Kind::Integer).optional() },
            const { Argument::word("withvalues", "WITHVALUES").optional() },
        ],
        "hscan" | "sscan" | "zscan" => &SCAN,
        _ => of_sorted_sets(name),
    }
}

fn of_sorted_sets(name: &str) -> &'static [Argument] {
    match name {
        "zadd" => &ZADD,
        "zincrby" => &[KEY, const { Argument::new("increment", Kind::Integer) }, MEMBER],
        "zrem" | "zmscore" => &[KEY, const { MEMBER.multiple() }],
        "zscore" | "zrank" | "zrevrank" => &[KEY, MEMBER],
        "zcount" | "zlexcount" | "zremrangebyscore" | "zremrangebylex" => &[KEY, MIN, MAX],
        "zremrangebyrank" => &[KEY, START, STOP],
        "zpopmin" | "zpopmax" => &[KEY, const { Argument::new("count", Kind::Integer).optional() }],
        "zmpop" => &ZMPOP,
        "zrange" => &ZRANGE,
        "zrangestore" => &ZRANGESTORE,
        "zrevrange" => &[KEY, START, STOP, WITHSCORES],
        "zrangebyscore" | "zrevrangebyscore" => &[KEY, MIN, MAX, WITHSCORES, LIMIT],
        "zrangebylex" | "zrevrangebylex" => &[KEY, MIN, MAX, LIMIT],
        "zunion" | "zinter" => &[NUMKEYS, const { KEY.multiple() }, WEIGHTS, AGGREGATE, WITHSCORES],
        "zunionstore" | "zinterstore" => {
            &[DESTINATION, NUMKEYS, const { KEY.multiple() }, WEIGHTS, AGGREGATE]
        }
        "zdiff" => &[NUMKEYS, const { KEY.multiple() }, WITHSCORES],
        "zdiffstore" => &[DESTINATION, NUMKEYS, const { KEY.multiple() }],
        "zrandmember" => &[
            KEY,
            const { Argument::new("count", Kind::Integer).optional() },
            WITHSCORES,
        ],
        _ => &[],
    }
}

const fn text(name: &'static str) -> Argument {
    Argument::new(name, Kind::Text)
}

const KEY: Argument = Argument::new("key", Kind::Key);
const VALUE: Argument = text("value");
const SUBCOMMAND: Argument = text("subcommand");
const NUMREPLICAS: Argument = Argument::new("numreplicas", Kind::Integer);
const TIMEOUT: Argument = Argument::new("timeout", Kind::Integer);
const COUNT: Argument = Argument::new("count", Kind::Integer).after("COUNT").optional();

const HELLO: [Argument; 2] = [
    Argument::new("protover", Kind::Integer),
    text("clientname").after("SETNAME").optional(),
];

const SET: [Argument; 5] = [
    KEY,
    VALUE,
    Argument::new("condition", Kind::OneOf(&CONDITIONS)).optional(),
    Argument::word("get", "GET").optional(),
    Argument::new("expiration", Kind::OneOf(&EXPIRATION)).optional(),
];

const EX: Argument = Argument::new("seconds", Kind::Integer).after("EX");
const PX: Argument = Argument::new("milliseconds", Kind::Integer).after("PX");
const EXAT: Argument = Argument::new("unix-time-seconds", Kind::Integer).after("EXAT");
const PXAT: Argument = Argument::new("unix-time-milliseconds", Kind::Integer).after("PXAT");

const EXPIRATION: [Argument; 5] = [EX, PX, EXAT, PXAT, Argument::word("keepttl", "KEEPTTL")];

const GETEX: [Argument; 5] = [EX, PX, EXAT, PXAT, Argument::word("persist", "PERSIST")];

const EXPIRE: [Argument; 3] = [
    KEY,
    Argument::new("time", Kind::Integer),
    Argument::new("condition", Kind::OneOf(&EXPIRE_CONDITIONS))
        .optional()
        .multiple(),
];

const EXPIRE_CONDITIONS: [Argument; 4] = [
    Argument::word("nx", "NX"),
    Argument::word("xx", "XX"),
    Argument::word("gt", "GT"),
    Argument::word("lt", "LT"),
];

const CONDITIONS: [Argument; 3] = [
    Argument::word("nx", "NX"),
    Argument::word("xx", "XX"),
    text("old-value").after("IFEQ"),
];

const XADD: [Argument; 4] = [
    KEY,
    Argument::word("nomkstream", "NOMKSTREAM").optional(),
    Argument::new("id-selector", Kind::OneOf(&IDS)),
    Argument::new("data", Kind::Block(&FIELDS)).multiple(),
];

const IDS: [Argument; 2] = [Argument::word("auto-id", "*"), text("id")];

const ELEMENT: Argument = text("element");
const INDEX: Argument = Argument::new("index", Kind::Integer);
const SIDE: Argument = Argument::new("where", Kind::OneOf(&SIDES));
const SIDES: [Argument; 2] = [Argument::word("left", "LEFT"), Argument::word("right", "RIGHT")];
const WHERE: Argument = Argument::new("where", Kind::OneOf(&WHERES));
const WHERES: [Argument; 2] = [
    Argument::word("before", "BEFORE"),
    Argument::word("after", "AFTER"),
];
const MIN: Argument = text("min");
const MAX: Argument = text("max");
const START: Argument = text("start");
const STOP: Argument = text("stop");
const WITHSCORES: Argument = Argument::word("withscores", "WITHSCORES").optional();
const LIMIT: Argument = Argument::new("limit", Kind::Block(&LIMITED))
    .after("LIMIT")
    .optional();
const LIMITED: [Argument; 2] = [
    Argument::new("offset", Kind::Integer),
    Argument::new("count", Kind::Integer),
];
const WEIGHTS: Argument = text("weight").after("WEIGHTS").optional().multiple();
const AGGREGATE: Argument = Argument::new("aggregate", Kind::OneOf(&AGGREGATES))
    .after("AGGREGATE")
    .optional();
const AGGREGATES: [Argument; 3] = [
    Argument::word("sum", "SUM"),
    Argument::word("min", "MIN"),
    Argument::word("max", "MAX"),
];

const ZADD: [Argument; 6] = [
    KEY,
    Argument::new("condition", Kind::OneOf(&ZADD_CONDITIONS)).optional(),
    Argument::new("comparison", Kind::OneOf(&ZADD_COMPARISONS)).optional(),
    Argument::word("change", "CH").optional(),
    Argument::word("increment", "INCR").optional(),
    Argument::new("data", Kind::Block(&SCORED)).multiple(),
];
const ZADD_CONDITIONS: [Argument; 2] = [Argument::word("nx", "NX"), Argument::word("xx", "XX")];
const ZADD_COMPARISONS: [Argument; 2] = [Argument::word("gt", "GT"), Argument::word("lt", "LT")];
const SCORED: [Argument; 2] = [text("score"), MEMBER];

const ZMPOP: [Argument; 4] = [
    NUMKEYS,
    KEY.multiple(),
    Argument::new(
        "where",
        Kind::OneOf(&[Argument::word("min", "MIN"), Argument::word("max", "MAX")]),
    ),
    COUNT,
];

const ZRANGE: [Argument; 7] = [
    KEY,
    START,
    STOP,
    Argument::new("sortby", Kind::OneOf(&SORT_BY)).optional(),
    Argument::word("rev", "REV").optional(),
    LIMIT,
    WITHSCORES,
];
const ZRANGESTORE: [Argument; 7] = [
    DESTINATION,
    Argument::new("source", Kind::Key),
    START,
    STOP,
    Argument::new("sortby", Kind::OneOf(&SORT_BY)).optional(),
    Argument::word("rev", "REV").optional(),
    LIMIT,
];
const SORT_BY: [Argument; 2] = [
    Argument::word("byscore", "BYSCORE"),
    Argument::word("bylex", "BYLEX"),
];

const MEMBER: Argument = text("member");
const DESTINATION: Argument = Argument::new("destination", Kind::Key);
const NUMKEYS: Argument = Argument::new("numkeys", Kind::Integer);
const FIELD: Argument = text("field");
const FIELDS: [Argument; 2] = [FIELD, VALUE];

const LCS: [Argument; 6] = [
    Argument::new("key1", Kind::Key),
    Argument::new("key2", Kind::Key),
    Argument::word("len", "LEN").optional(),
    Argument::word("idx", "IDX").optional(),
    Argument::new("min-match-len", Kind::Integer)
        .after("MINMATCHLEN")
        .optional(),
    Argument::word("withmatchlen", "WITHMATCHLEN").optional(),
];

const SCAN: [Argument; 4] = [
    KEY,
    text("cursor"),
    Argument::new("pattern", Kind::Pattern).after("MATCH").optional(),
    COUNT,
];

const EVAL: [Argument; 4] = [
    text("script"),
    Argument::new("numkeys", Kind::Integer),
    KEY.optional().multiple(),
    text("arg").optional().multiple(),
];
const EVAL_SHA: [Argument; 4] = [text("sha1"), EVAL[1], EVAL[2], EVAL[3]];
const STREAMS: [Argument; 2] = [KEY.multiple(), text("id").multiple()];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::command::table::COMMANDS;

    #[test]
    fn every_command_that_takes_arguments_describes_them() {
        for spec in COMMANDS {
            let least = arguments(spec.name)
                .iter()
                .filter(|argument| !argument.is_optional)
                .count() as i64;
            let needed = spec.arity.abs() - 1;
            assert!(least <= needed, "{}: {least} arguments of {needed}", spec.name);
            assert_eq!(least == 0, needed == 0, "{}", spec.name);
        }
    }
}
