//! The longest subsequence that two strings have in common: `LCS`.
//!
//! Invariant: no more than a number of pairs of bytes is compared, and room is taken for two rows of lengths and one bit
//! a pair. Where there are several longest ones, it is the one that Redis finds.

use bytes::Bytes;

use super::keys::Keys;
use super::reply::length;
use crate::protocol::command::CommonForm;
use crate::protocol::resp::Reply;

/// Answers `LCS`; a key that does not exist is an empty string.
pub(super) fn of_keys(keys: &Keys, names: [&[u8]; 2], form: CommonForm) -> Reply {
    let [Ok(first), Ok(second)] = names.map(|name| keys.string(name)) else {
        return Reply::Error("ERR The specified keys must contain string values".to_owned());
    };
    let [first, second] = [first, second].map(|held| held.map_or(&[][..], |held| held));
    if first.len().saturating_mul(second.len()) > PAIRS_MAX {
        return Reply::Error(format!(
            "ERR LCS compares {PAIRS_MAX} pairs of bytes at most, which is the product of both lengths"
        ));
    }
    match form {
        CommonForm::Length => length(Table::new(first, second, Wanted::Length).length),
        CommonForm::Text => {
            let table = Table::new(first, second, Wanted::Ways);
            let mut bytes: Vec<u8> = table.matches().map(|(at, _)| first[at]).collect();
            bytes.reverse();
            Reply::Bulk(Bytes::from(bytes))
        }
        CommonForm::Places { least, lengths } => {
            let table = Table::new(first, second, Wanted::Ways);
            let runs = table.runs().into_iter().filter(|run| run.length >= least);
            let matches = runs.map(|run| run.reply(lengths)).collect();
            let named = |name: &'static str| Reply::Bulk(Bytes::from_static(name.as_bytes()));
            Reply::Map(vec![
                (named("matches"), Reply::Array(matches)),
                (named("len"), length(table.length)),
            ])
        }
    }
}

/// What is wanted of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Length,
    Ways,
}

/// How the common part of each two beginnings was found.
struct Table<'a> {
    first: &'a [u8],
    second: &'a [u8],
    /// A bit for each pair: the first one has more in common without its last byte than the second one.
    ways: Vec<u64>,
    length: usize,
}

impl<'a> Table<'a> {
    fn new(first: &'a [u8], second: &'a [u8], wanted: Wanted) -> Self {
        let words = match wanted {
            Wanted::Length => 0,
            Wanted::Ways => (first.len() * second.len()).div_ceil(64),
        };
        let mut ways = vec![0_u64; words];
        let mut row = vec![0_u32; second.len()];
        for (at, byte) in first.iter().enumerate() {
            let (mut corner, mut left) = (0, 0);
            for (other_at, (other, held)) in second.iter().zip(&mut row).enumerate() {
                let above = *held;
                let here = if byte == other {
                    corner + 1
                } else {
                    above.max(left)
                };
                if above > left {
                    let pair = at * second.len() + other_at;
                    if let Some(word) = ways.get_mut(pair / 64) {
                        *word |= 1 << (pair % 64);
                    }
                }
                (corner, left, *held) = (above, here, here);
            }
        }
        let length = row.last().map_or(0, |length| *length as usize);
        Self {
            first,
            second,
            ways,
            length,
        }
    }

    /// The places of its bytes in both, the last one first.
    fn matches(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut rows, mut columns) = (self.first.len(), self.second.len());
        std::iter::from_fn(move || {
            while rows > 0 && columns > 0 {
                let (at, other_at) = (rows - 1, columns - 1);
                let pair = at * self.second.len() + other_at;
                if self.first[at] == self.second[other_at] {
                    (rows, columns) = (at, other_at);
                    return Some((at, other_at));
                }
                if self.ways[pair / 64] >> (pair % 64) & 1 == 1 {
                    rows = at;
                } else {
                    columns = other_at;
                }
            }
            None
        })
    }

    /// Its parts without a gap in either, the last one first.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (first, second) in self.matches() {
            match runs.last_mut() {
                Some(run) if run.first == first + 1 && run.second == second + 1 => {
                    *run = Run {
                        first,
                        second,
                        length: run.length + 1,
                    };
                }
                Some(_) | None => runs.push(Run {
                    first,
                    second,
                    length: 1,
                }),
            }
        }
        runs
    }
}

/// A part, by where it begins in both.
struct Run {
    first: usize,
    second: usize,
    length: usize,
}

impl Run {
    fn reply(&self, with_length: bool) -> Reply {
        let place = |from: usize| Reply::Array(vec![length(from), length(from + self.length - 1)]);
        let places = [place(self.first), place(self.second)];
        let own_length = with_length.then(|| length(self.length));
        Reply::Array(places.into_iter().chain(own_length).collect())
    }
}

/// So many are compared in about a tenth of a second; the bits take 8 MiB. A different number would be another answer in a
/// block: it is that of level 1.
const PAIRS_MAX: usize = 1 << 26;

#[cfg(test)]
mod tests {
    use crate::machine::asked::Asked;

    #[test]
    fn what_two_strings_have_in_common_is_found_as_far_as_there_is_room() {
        let mut asked = Asked::new();
        asked.check(&[
            ("MSET a ohmytext b mynewtext", "+OK"),
            ("LCS a b", "$6,mytext"),
            ("LCS a b LEN", ":6"),
            (
                "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
                "%2,$7,matches,*1,*3,*2,:4,:7,*2,:5,:8,:4,$3,len,:6",
            ),
            ("LCS a none", "$0"),
            ("LCS a none LEN", ":0"),
            ("LPUSH l x", ":1"),
            ("LCS a l", "-ERR The specified keys must contain string values"),
            ("SETRANGE c 8191 x", ":8192"),
            ("SETRANGE d 8192 x", ":8193"),
            (
                "LCS c d",
                "-ERR LCS compares 67108864 pairs of bytes at most, which is the product of both lengths",
            ),
        ]);
    }
}
