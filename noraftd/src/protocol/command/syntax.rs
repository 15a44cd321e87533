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
        "decr" | "expiretime" | "get" | "getdel" | "persist" | "pexpiretime" | "pttl" | "ttl" | "incr"
        | "strlen" | "type" | "xlen" => &[KEY],
        "decrby" => &[KEY, const { Argument::new("decrement", Kind::Integer) }],
        "del" | "exists" | "mget" | "watch" => &[const { KEY.multiple() }],
        "echo" => &[const { text("message") }],
        "expire" | "pexpire" | "expireat" | "pexpireat" => &EXPIRE,
        "getex" => &[
            KEY,
            const { Argument::new("expiration", Kind::OneOf(&GETEX)).optional() },
        ],
        "setex" | "psetex" => &[KEY, const { Argument::new("time", Kind::Integer) }, VALUE],
        "hello" => &[const { Argument::new("arguments", Kind::Block(&HELLO)).optional() }],
        "incrby" => &[KEY, const { Argument::new("increment", Kind::Integer) }],
        "info" => &[const { text("section").optional().multiple() }],
        "mset" => &[const { Argument::new("data", Kind::Block(&[KEY, VALUE])).multiple() }],
        "psubscribe" => &[const { Argument::new("pattern", Kind::Pattern).multiple() }],
        "punsubscribe" => &[const { Argument::new("pattern", Kind::Pattern).optional().multiple() }],
        "sentinel" => &[SUBCOMMAND, const { text("argument").optional().multiple() }],
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

const FIELDS: [Argument; 2] = [text("field"), VALUE];

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
