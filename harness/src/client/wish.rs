//! What a workload asks for, apart from the words in which noraftd is asked.
//!
//! Workloads say what they want as commands of Redis. A protocol with other words takes the command apart here, and answers as
//! Redis would.

/// A command, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish<'a> {
    /// The value of a key.
    Get(&'a str),
    /// The values of several keys, all of one moment.
    GetAll(&'a [String]),
    /// A new value.
    Set {
        /// Of this key.
        key: &'a str,
        /// The value.
        value: &'a str,
    },
    /// A new value if the present one is `old`; the answer is what was there.
    Swap {
        /// Of this key.
        key: &'a str,
        /// The expected value.
        old: &'a str,
        /// The new one.
        new: &'a str,
    },
    /// More text at the end of a value; the answer is its length.
    Append {
        /// Of this key.
        key: &'a str,
        /// The text.
        piece: &'a str,
    },
}

impl<'a> Wish<'a> {
    /// What `words` ask for; `None` when it is something else.
    pub(super) fn of(words: &'a [String]) -> Option<Self> {
        let (command, arguments) = words.split_first()?;
        Some(match (command.as_str(), arguments) {
            ("GET", [key]) => Self::Get(key),
            ("MGET", keys) if !keys.is_empty() => Self::GetAll(keys),
            ("SET", [key, value]) => Self::Set { key, value },
            ("SET", [key, new, ifeq, old, get]) if ifeq == "IFEQ" && get == "GET" => {
                Self::Swap { key, old, new }
            }
            ("APPEND", [key, piece]) => Self::Append { key, piece },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_commands_of_workloads_are_understood_and_no_others() {
        let (get, swap) = (words("GET k"), words("SET k 2 IFEQ 1 GET"));
        assert_eq!(Wish::of(&get), Some(Wish::Get("k")));
        assert_eq!(
            Wish::of(&swap),
            Some(Wish::Swap {
                key: "k",
                old: "1",
                new: "2"
            })
        );
        for other in ["GET", "SET k", "SET k 2 IFEQ 1", "MGET", "XADD k * a b"] {
            assert_eq!(Wish::of(&words(other)), None, "{other}");
        }
    }
}
