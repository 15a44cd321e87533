//! What a connection refuses because it refused something before. Where the level in force has blocks of commands, `MULTI` and `WATCH`
//! are not refused (`local::transaction`), and do not come here while the gate is open.
//!
//! Clients pipeline: the commands of a transaction follow its `MULTI`, those for database 5 follow `SELECT 5`, and
//! all are sent before the refusal is read. Carried out one by one, or in database 0, they would do what the client
//! did not ask for. So they are refused too, until the client ends what it began.
//!
//! | refused | until | which answers |
//! |-|-|-|
//! | `MULTI` | `EXEC` | `EXECABORT` |
//! | | `DISCARD`, `RESET` | `OK`, `RESET` |
//! | `WATCH` | `UNWATCH`, `DISCARD`, `RESET` | `OK`, `OK`, `RESET` |
//! | | `EXEC` | `EXECABORT` |
//! | `SELECT n` | `SELECT 0`, `RESET` | `OK`, `RESET` |
//!
//! `PING`, `HELLO`, `AUTH`, `CLIENT` and `QUIT` always work.

use bytes::Bytes;

use super::resp::Reply;
use super::resp::number::parse_i64;

/// What one connection was refused and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    multi: bool,
    watch: bool,
    select: bool,
}

/// The commands that open and close the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Select,
    Reset,
}

impl Gate {
    /// Looks at the next command of the connection; the reply when it is not to be carried out.
    pub fn refuse(&mut self, args: &[Bytes]) -> Option<Reply> {
        let name = args.first()?;
        match Turn::find(name) {
            Some(turn) => self.turn(turn, args),
            None if self.is_open() || ALWAYS.iter().any(|word| is_word(name, word)) => None,
            None => Some(self.refusal()),
        }
    }

    /// True when it refuses nothing.
    pub fn is_open(self) -> bool {
        self == Self::default()
    }

    fn turn(&mut self, turn: Turn, args: &[Bytes]) -> Option<Reply> {
        let wrong_arity = match turn {
            Turn::Watch => args.len() < 2,
            Turn::Select => args.len() != 2,
            Turn::Multi | Turn::Exec | Turn::Discard | Turn::Unwatch | Turn::Reset => args.len() != 1,
        };
        if wrong_arity {
            return Some(turn.wrong_arity());
        }
        match turn {
            Turn::Multi => {
                self.multi = true;
                Some(error(NO_MULTI))
            }
            Turn::Exec => Some(self.exec()),
            Turn::Discard => Some(self.discard()),
            Turn::Watch if self.multi => Some(error("ERR WATCH inside MULTI is not allowed")),
            Turn::Watch => {
                self.watch = true;
                Some(error(NO_WATCH))
            }
            Turn::Unwatch if self.multi => Some(self.refusal()),
            Turn::Unwatch => {
                self.watch = false;
                Some(Reply::Status("OK"))
            }
            Turn::Select if self.multi || self.watch => Some(self.refusal()),
            Turn::Select => {
                self.select(args.get(1)?);
                None
            }
            Turn::Reset => {
                *self = Self::default();
                None
            }
        }
    }

    fn exec(&mut self) -> Reply {
        if !self.end_transaction() {
            return error("ERR EXEC without MULTI");
        }
        error("EXECABORT Transaction discarded: MULTI and WATCH are not supported; nothing was done")
    }

    fn discard(&mut self) -> Reply {
        if !self.end_transaction() {
            return error("ERR DISCARD without MULTI");
        }
        Reply::Status("OK")
    }

    /// True when there was something to end.
    fn end_transaction(&mut self) -> bool {
        let had = self.multi || self.watch;
        (self.multi, self.watch) = (false, false);
        had
    }

    /// A database that does not exist stays selected, as it were; what is no number is merely an error.
    fn select(&mut self, index: &[u8]) {
        if let Some(index) = parse_i64(index) {
            self.select = index != 0;
        }
    }

    fn refusal(self) -> Reply {
        error(match self {
            Self { multi: true, .. } => AFTER_MULTI,
            Self { watch: true, .. } => AFTER_WATCH,
            Self { .. } => AFTER_SELECT,
        })
    }
}

impl Turn {
    const ALL: [(&'static str, Self); 7] = [
        ("MULTI", Self::Multi),
        ("EXEC", Self::Exec),
        ("DISCARD", Self::Discard),
        ("WATCH", Self::Watch),
        ("UNWATCH", Self::Unwatch),
        ("SELECT", Self::Select),
        ("RESET", Self::Reset),
    ];

    fn find(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find_map(|(word, turn)| is_word(name, word).then_some(*turn))
    }

    fn wrong_arity(self) -> Reply {
        let name = Self::ALL.iter().find(|(_, turn)| *turn == self);
        let name = name.map_or_else(String::new, |(word, _)| word.to_ascii_lowercase());
        error(&format!("ERR wrong number of arguments for '{name}' command"))
    }
}

/// True for the commands of transactions.
pub fn is_about_transactions(args: &[Bytes]) -> bool {
    let turn = args.first().and_then(|name| Turn::find(name));
    turn.is_some_and(|turn| match turn {
        Turn::Multi | Turn::Exec | Turn::Discard | Turn::Watch | Turn::Unwatch => true,
        Turn::Select | Turn::Reset => false,
    })
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

fn is_word(name: &[u8], word: &str) -> bool {
    name.eq_ignore_ascii_case(word.as_bytes())
}

/// Commands that neither read nor write data, and that a client needs to learn its situation.
const ALWAYS: [&str; 5] = ["PING", "HELLO", "AUTH", "CLIENT", "QUIT"];

const NO_MULTI: &str = "ERR MULTI is not supported: it takes a higher level of the cluster, see `noraftd upgrade`. Until EXEC, \
                        DISCARD or RESET every command of this connection is refused";
const NO_WATCH: &str = "ERR WATCH is not supported: it takes a higher level of the cluster, see `noraftd upgrade`. Until UNWATCH, \
                        EXEC, DISCARD or RESET every command of this connection is refused";
const AFTER_MULTI: &str =
    "ERR MULTI was refused: this command too, until EXEC, DISCARD or RESET; nothing was done";
const AFTER_WATCH: &str =
    "ERR WATCH was refused: this command too, until UNWATCH, EXEC, DISCARD or RESET; nothing was done";
const AFTER_SELECT: &str =
    "ERR SELECT was refused: this command too, until SELECT 0 or RESET; nothing was done";

#[cfg(test)]
mod tests {
    use super::*;

    /// What the gate makes of each line: `-` when it lets it through, else the reply's beginning.
    fn pass(lines: &[(&str, &str)]) {
        let mut gate = Gate::default();
        for (line, expected) in lines {
            let args: Vec<Bytes> = line.split(' ').map(|word| Bytes::from(word.to_owned())).collect();
            let said = match gate.refuse(&args) {
                None => "-".to_owned(),
                Some(Reply::Status(text)) => text.to_owned(),
                Some(Reply::Error(text)) => text,
                Some(other) => panic!("{line}: {other:?}"),
            };
            assert!(said.starts_with(expected), "{line}: {said:?} after {lines:?}");
        }
        assert!(gate.is_open(), "{lines:?}");
    }

    #[test]
    fn a_refused_multi_refuses_until_exec() {
        pass(&[
            ("SET k 1", "-"),
            ("multi", "ERR MULTI is not supported"),
            ("SET k 1", "ERR MULTI was refused"),
            ("NORAFT.STATUS", "ERR MULTI was refused"),
            ("MULTI", "ERR MULTI is not supported"),
            ("WATCH k", "ERR WATCH inside MULTI"),
            ("UNWATCH", "ERR MULTI was refused"),
            ("SELECT 0", "ERR MULTI was refused"),
            ("PING", "-"),
            ("CLIENT ID", "-"),
            ("EXEC x", "ERR wrong number of arguments for 'exec'"),
            ("EXEC", "EXECABORT"),
            ("SET k 1", "-"),
            ("EXEC", "ERR EXEC without MULTI"),
            ("DISCARD", "ERR DISCARD without MULTI"),
        ]);
        pass(&[
            ("MULTI", "ERR"),
            ("GET k", "ERR"),
            ("DISCARD", "OK"),
            ("GET k", "-"),
        ]);
        pass(&[("MULTI", "ERR"), ("GET k", "ERR"), ("RESET", "-"), ("GET k", "-")]);
    }

    #[test]
    fn a_refused_watch_refuses_until_unwatch_or_the_transactions_end() {
        for end in [
            ("UNWATCH", "OK"),
            ("EXEC", "EXECABORT"),
            ("DISCARD", "OK"),
            ("RESET", "-"),
        ] {
            pass(&[
                ("WATCH a b", "ERR WATCH is not supported"),
                ("GET a", "ERR WATCH was refused"),
                end,
                ("GET a", "-"),
            ]);
        }
        pass(&[
            ("WATCH a", "ERR WATCH"),
            ("MULTI", "ERR MULTI"),
            ("SET a 1", "ERR MULTI was refused"),
            ("EXEC", "EXECABORT"),
            ("GET a", "-"),
        ]);
        pass(&[
            ("UNWATCH", "OK"),
            ("WATCH", "ERR wrong number of arguments for 'watch'"),
        ]);
    }

    #[test]
    fn a_refused_select_refuses_until_one_succeeds() {
        pass(&[
            ("SELECT 5", "-"),
            ("SET k 1", "ERR SELECT was refused"),
            ("SELECT 5", "-"),
            ("INFO", "ERR SELECT was refused"),
            ("HELLO 3", "-"),
            ("SELECT 0", "-"),
            ("SET k 1", "-"),
            ("SELECT x", "-"),
            ("SET k 1", "-"),
        ]);
        pass(&[
            ("SELECT -1", "-"),
            ("MULTI", "ERR"),
            ("EXEC", "EXECABORT"),
            ("GET k", "ERR SELECT was refused"),
            ("RESET", "-"),
            ("GET k", "-"),
        ]);
    }
}
