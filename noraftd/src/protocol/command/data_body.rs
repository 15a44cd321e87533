//! Commands on hashes, sets, sorted sets and lists, as entries hold them.
//!
//! A body holds the number of the command (u8) and the arguments that follow its name as a list, as the client sent them. One parser
//! reads them, at the node that is asked and where the entry is applied, so that an entry means what its words mean.
//!
//! Invariant: the words of a [`Data`] were parsed. The number of a command never changes.

use bytes::{BufMut, BytesMut};

use super::data::{DataCommand, Row};
use super::refused::{is_word, syntax_error};
use super::words::Words;
use super::{Args, Class, hashes_parse, keyspace_parse, lists_parse, sets_parse, sorted_parse};
use crate::protocol::read::Reader;
use crate::protocol::resp::Reply;

/// A command with its words, and what they mean.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    row: &'static Row,
    args: Args<'a>,
    command: DataCommand<'a>,
}

impl<'a> Data<'a> {
    /// The command of this name, with what follows it.
    pub(super) fn asked(name: &[u8], args: Args<'a>) -> Result<Self, Reply> {
        let row = rows().find(|row| is_word(name, row.name));
        Self::new(row.ok_or_else(syntax_error)?, args)
    }

    fn new(row: &'static Row, args: Args<'a>) -> Result<Self, Reply> {
        let command = (row.parse)(Words::new(args))?;
        Ok(Self { row, args, command })
    }

    /// What it does.
    pub fn command(self) -> DataCommand<'a> {
        self.command
    }

    /// How it has to be executed.
    pub(super) fn class(self) -> Class {
        self.row.class
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let number = reader.u8()?;
        let row = rows().find(|row| row.number == number)?;
        Self::new(row, Args::read(reader)?).ok()
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u8(DATA);
        out.put_u8(self.row.number);
        self.args.write(out);
    }

    /// What it takes beside what all commands take.
    pub(super) fn variable_bytes(self) -> usize {
        self.args.encoded_bytes()
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.row.number == other.row.number && self.args == other.args
    }
}

impl Eq for Data<'_> {}

fn rows() -> impl Iterator<Item = &'static Row> {
    let kinds = [
        hashes_parse::ROWS,
        sets_parse::ROWS,
        sorted_parse::ROWS,
        lists_parse::ROWS,
        keyspace_parse::ROWS,
    ];
    kinds.into_iter().flatten()
}

/// The opcode of `Command::Data`.
pub(super) const DATA: u8 = 48;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;
    use crate::protocol::command::table::CommandSpec;
    use crate::protocol::command::{Command, Parsed, parse};

    #[test]
    fn each_command_has_a_number_and_a_row_in_the_table_of_all() {
        let mut numbers = BTreeSet::new();
        for row in rows() {
            assert!(
                numbers.insert(row.number),
                "{} has the number of another",
                row.name
            );
            let spec = CommandSpec::find(row.name.as_bytes()).expect(row.name);
            let class = if spec.flags.contains(&"write") {
                Class::Write
            } else {
                Class::Read
            };
            assert_eq!(row.class, class, "{}", row.name);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else_is() {
        for line in [
            "HSET h a 1 b 2",
            "HINCRBYFLOAT h a 1.5",
            "HSCAN h 0 MATCH x* COUNT 5",
            "SINTERCARD 2 a b LIMIT 3",
            "SPOP s 2",
            "ZADD z XX GT CH 1 a",
            "ZRANGE z (1 +inf BYSCORE LIMIT 0 5",
            "ZUNION 2 a b WEIGHTS 1 2 AGGREGATE MAX WITHSCORES",
            "LPOS l x RANK -1 COUNT 0",
            "LMPOP 1 l LEFT",
            "COPY a b REPLACE",
            "DBSIZE",
        ] {
            let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
            let Ok(Parsed::Replicated(request)) = parse(words.collect()) else {
                panic!("{line} is a command")
            };
            let command = Command::decode(&request.body).expect(line);
            assert_eq!(command.encode(), request.body);
            for end in 0..request.body.len() {
                assert_eq!(
                    Command::decode(&request.body[..end]),
                    None,
                    "{line}, cut at {end}"
                );
            }
            let longer = [&request.body[..], &[0]].concat();
            assert_eq!(Command::decode(&longer), None, "{line}");
        }
        for (name, words) in [
            ("hset", &["h", "a"][..]),
            ("zadd", &["z", "x", "a"]),
            ("lpop", &["l", "-1"]),
        ] {
            let row = rows().find(|row| row.name == name).expect(name);
            let words: Vec<Bytes> = words.iter().map(|word| Bytes::from((*word).to_owned())).collect();
            let mut body = BytesMut::from(&[1, DATA, row.number][..]);
            Args::sent(&words).write(&mut body);
            assert_eq!(Command::decode(&body), None, "{name}: its words are refused");
        }
        assert_eq!(
            Command::decode(&[1, DATA, 255, 0, 0, 0, 0]),
            None,
            "no command has the number"
        );
    }
}
