//! A message between nodes as the trace notes it: in words for a reader, in numbers enough to distinguish two runs.
//!
//! Invariant: two messages with different contents that matter have different numbers.

use noraft::{LogIndex, LogPosition, Term};
use noraftd::protocol::peer::{PeerMessage, Print};
use noraftd::record::{Abstain, Record, SnapshotId};

/// A message in the words of the glossary.
pub(crate) fn words(message: &PeerMessage) -> String {
    match message {
        PeerMessage::RequestVote {
            term,
            last_position,
            unanimous,
        } => vote_words(*term, *last_position, *unanimous),
        PeerMessage::Vote { term, granted } => {
            format!("vote in term {}: {}", term.get(), yes(*granted))
        }
        PeerMessage::Append {
            term,
            commit_index,
            prev,
            records,
            round,
            ..
        } => format!(
            "append in term {}: {} entries after {}, commit index {}, round {round}",
            term.get(),
            records.len(),
            position(prev.term.get(), prev.index.get()),
            commit_index.get()
        ),
        PeerMessage::Appended {
            term,
            last_position,
            round,
            ..
        } => format!(
            "append reply in term {}: holds up to {}, round {round}",
            term.get(),
            position(last_position.term.get(), last_position.index.get())
        ),
        PeerMessage::PreVote { .. } | PeerMessage::PreVoted { .. } => pre_vote_words(message),
        PeerMessage::Forward { id, term, .. } => {
            format!("forwarded request {id} for the leader of term {}", term.get())
        }
        PeerMessage::Forwarded { id, outcome, .. } => {
            format!("answer to forwarded request {id}: {outcome:?}")
        }
        PeerMessage::SnapshotChunk {
            term,
            snapshot,
            offset,
            bytes,
            ..
        } => chunk_words(*term, snapshot, *offset, bytes.len()),
        PeerMessage::SnapshotReply { term, position, next } => format!(
            "snapshot of entry {} in term {}: has {next} bytes",
            position.index.get(),
            term.get()
        ),
        PeerMessage::Pulse { term, pulse, .. } => format!("pulse {pulse} in term {}", term.get()),
        PeerMessage::TimeoutNow { term, last_position } => format!(
            "to campaign, in term {} with entries up to {}",
            term.get(),
            last_position.index.get()
        ),
        PeerMessage::Pulsed { term, pulse } => format!("answer to pulse {pulse} in term {}", term.get()),
        PeerMessage::RepairRequest { positions } => request_words(positions),
        PeerMessage::Repair { base, records } => repair_words(*base, records),
        PeerMessage::Compare { prints, .. } | PeerMessage::Compared { prints } => print_words(prints),
    }
}

fn pre_vote_words(message: &PeerMessage) -> String {
    match message {
        PeerMessage::PreVote {
            term,
            last_position,
            abstain,
            ..
        } => format!(
            "pre-vote request for term {}, last entry {}{}",
            term.get(),
            position(last_position.term.get(), last_position.index.get()),
            abstains(*abstain)
        ),
        PeerMessage::PreVoted {
            term,
            granted,
            abstain,
            ..
        } => format!(
            "pre-vote in term {}: {}{}",
            term.get(),
            yes(*granted),
            abstains(*abstain)
        ),
        other => unreachable!("only pre-votes come here, not {other:?}"),
    }
}

/// A message in numbers, enough to distinguish two runs.
pub(crate) fn numbers(message: &PeerMessage) -> [u64; 6] {
    match message {
        PeerMessage::RequestVote {
            term,
            last_position: last,
            unanimous,
        } => [
            1,
            term.get(),
            last.term.get(),
            last.index.get(),
            u64::from(*unanimous),
            0,
        ],
        PeerMessage::Vote { term, granted } => [2, term.get(), u64::from(*granted), 0, 0, 0],
        PeerMessage::Append {
            term,
            commit_index,
            prev,
            chain,
            records,
            round,
            ..
        } => {
            let content = content_number(records, *chain);
            let (commit, prev) = (commit_index.get(), prev.index.get());
            [3, term.get(), commit, prev, content, *round]
        }
        PeerMessage::Appended {
            term,
            last_position: last,
            round,
            ..
        } => [4, term.get(), last.term.get(), last.index.get(), *round, 0],
        PeerMessage::PreVote { .. } | PeerMessage::PreVoted { .. } => pre_vote_numbers(message),
        PeerMessage::Forward { id, boot, term, .. } => [7, *id, *boot, term.get(), 0, 0],
        PeerMessage::Forwarded { id, boot, .. } => [8, *id, *boot, 0, 0, 0],
        PeerMessage::SnapshotChunk {
            term,
            snapshot,
            offset,
            bytes,
            ..
        } => chunk_numbers(*term, snapshot, *offset, bytes.len()),
        PeerMessage::SnapshotReply { term, position, next } => {
            [10, term.get(), position.index.get(), *next, 0, 0]
        }
        PeerMessage::Pulse { term, pulse, .. } => [16, term.get(), *pulse, 0, 0, 0],
        PeerMessage::TimeoutNow { term, last_position } => {
            [18, term.get(), last_position.index.get(), 0, 0, 0]
        }
        PeerMessage::Pulsed { term, pulse } => [17, term.get(), *pulse, 0, 0, 0],
        PeerMessage::RepairRequest { positions } => request_numbers(positions),
        PeerMessage::Repair { base, records } => repair_numbers(*base, records),
        PeerMessage::Compare { asks, prints } => print_numbers(13 + u64::from(*asks), prints),
        PeerMessage::Compared { prints } => print_numbers(15, prints),
    }
}

fn pre_vote_numbers(message: &PeerMessage) -> [u64; 6] {
    match message {
        PeerMessage::PreVote {
            term,
            last_position: last,
            canvass,
            ..
        } => [5, term.get(), last.term.get(), last.index.get(), *canvass, 0],
        PeerMessage::PreVoted {
            term,
            granted,
            abstain,
            canvass,
        } => [6, term.get(), (*granted).into(), *abstain as u64, *canvass, 0],
        other => unreachable!("only pre-votes come here, not {other:?}"),
    }
}

fn content_number(records: &[Record], chain: Option<u64>) -> u64 {
    let start = records.len() as u64 ^ chain.unwrap_or(0);
    records.iter().fold(start, |sum, record| {
        sum.rotate_left(7) ^ u64::from(record.payload_crc) ^ record.stamp.as_millis()
    })
}

fn print_words(prints: &[Print]) -> String {
    let last = prints.last().map_or(0, |print| print.position.index.get());
    format!("what it holds at {} places up to entry {last}", prints.len())
}

fn print_numbers(tag: u64, prints: &[Print]) -> [u64; 6] {
    let of = |number: fn(&Print) -> Option<u64>| {
        let numbers = prints.iter().map(|print| number(print).unwrap_or(0));
        numbers.fold(0_u64, |sum, number| sum.rotate_left(7) ^ number)
    };
    let last = prints.last().map_or(0, |print| print.position.index.get());
    let (chains, digests) = (of(|print| print.chain), of(|print| print.digest));
    [tag, prints.len() as u64, last, chains, digests, 0]
}

fn chunk_numbers(term: Term, snapshot: &SnapshotId, offset: u64, bytes: usize) -> [u64; 6] {
    let (index, hash) = (snapshot.position.index.get(), snapshot.hash as u64);
    [9, term.get(), index, offset, bytes as u64, hash]
}

fn abstains(abstain: Abstain) -> &'static str {
    match abstain {
        Abstain::No => "",
        Abstain::Tail => ", abstaining",
        Abstain::Loss => ", abstaining after a loss",
    }
}

fn vote_words(term: Term, last: LogPosition, unanimous: bool) -> String {
    let all = if unanimous { ", granted by all before" } else { "" };
    let last = position(last.term.get(), last.index.get());
    format!("vote request in term {}, last entry {last}{all}", term.get())
}

fn chunk_words(term: Term, snapshot: &SnapshotId, offset: u64, length: usize) -> String {
    format!(
        "snapshot of entry {} in term {}: bytes {offset}..{} of {}",
        snapshot.position.index.get(),
        term.get(),
        offset + length as u64,
        snapshot.bytes
    )
}

fn request_words(positions: &[LogPosition]) -> String {
    let first = positions.first().map_or(0, |first| first.index.get());
    format!(
        "request to repair {} entries from index {first} on",
        positions.len()
    )
}

fn repair_words(base: LogIndex, records: &[Record]) -> String {
    let first = records.first().map_or(0, |first| first.position.index.get());
    let (count, base) = (records.len(), base.get());
    format!("{count} entries to repair from index {first} on, log after {base}")
}

fn request_numbers(positions: &[LogPosition]) -> [u64; 6] {
    let sum = positions.iter().fold(0, |sum: u64, position| {
        sum.rotate_left(7) ^ position.index.get() ^ position.term.get() << 32
    });
    [11, positions.len() as u64, sum, 0, 0, 0]
}

fn repair_numbers(base: LogIndex, records: &[Record]) -> [u64; 6] {
    let sum = records.iter().fold(0, |sum: u64, record| {
        sum.rotate_left(7) ^ u64::from(record.payload_crc) ^ record.position.index.get()
    });
    [12, base.get(), records.len() as u64, sum, 0, 0]
}

/// A position as the glossary writes it: term and index.
pub(crate) fn position(term: u64, index: u64) -> String {
    format!("(term {term}, index {index})")
}

fn yes(granted: bool) -> &'static str {
    if granted { "granted" } else { "refused" }
}
