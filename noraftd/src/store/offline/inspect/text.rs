//! What a person reads of an inspection: a line for each segment, batch, record and verdict.

use std::fmt;

use noraft::{LogPosition, NodeId};

use super::{BatchView, Inspection, RecordView, RecoveredView, SegmentView};
use crate::record::HardState;
use crate::store::format::batch::{Kind, Mark};
use crate::store::recovery::verdict::RecoveryReport;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.directory)?;
        match self.identity {
            Some(identity) => writeln!(f, "{identity}")?,
            None => writeln!(f, "no identity is readable")?,
        }
        for (number, slot) in self.slots.iter().enumerate() {
            match slot {
                Some((lsn, state)) => {
                    writeln!(f, "hard state, slot {number}: {} (batch {lsn})", State(*state))?
                }
                None => writeln!(f, "hard state, slot {number}: damaged")?,
            }
        }
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "{segment}"))?;
        let RecoveryReport {
            segments,
            batches,
            entries,
            findings,
            ..
        } = &self.report;
        writeln!(
            f,
            "{segments} segments, {batches} batches, {entries} entries are valid in a row"
        )?;
        findings
            .iter()
            .try_for_each(|finding| writeln!(f, "verdict: {finding}"))?;
        match &self.recovered {
            Some(recovered) => writeln!(f, "{recovered}"),
            None => writeln!(f, "opening this directory would be refused"),
        }
    }
}

impl fmt::Display for RecoveredView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            base,
            last,
            hard_state,
            abstain,
            first_unsure: _,
        } = self;
        let (base, last, state) = (Position(*base), Position(*last), State(*hard_state));
        write!(f, "opening gives the log after {base} up to {last}, {state}")?;
        if let Some(first) = self.first_unsure.filter(|first| *first <= self.last.index.get()) {
            let last = self.last.index.get();
            write!(
                f,
                "; entries {first} to {last} are durable here, and which of them are committed only a majority knows"
            )?;
        }
        if *abstain {
            write!(f, "; the node abstains")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for SegmentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            size,
            header,
            entries,
            front,
            ..
        } = self;
        write!(f, "{file}: {size} bytes, header {header}")?;
        if let Some(prev) = self.prev {
            write!(
                f,
                ", follows {}, {entries} entries up to byte {front}",
                Position(prev)
            )?;
        }
        writeln!(f, "{}", if self.sealed { ", sealed" } else { "" })?;
        self.batches.iter().try_for_each(|batch| write!(f, "{batch}"))
    }
}

impl fmt::Display for BatchView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            length,
            lsn,
            record_count,
            ..
        } = self;
        write!(
            f,
            "  {offset:>10}  batch {lsn}: {record_count} records, {length} bytes"
        )?;
        match self.fault {
            Some((at, found)) => writeln!(f, "  DAMAGED at byte {at}: {found}")?,
            None => writeln!(f)?,
        }
        self.records
            .iter()
            .try_for_each(|record| writeln!(f, "  {record}"))
    }
}

impl fmt::Display for RecordView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            kind,
            flags,
            term,
            index,
            length,
            intact,
        } = *self;
        write!(f, "{offset:>10}    ")?;
        match kind {
            Kind::Term => write!(f, "TERM {term}.{index}")?,
            Kind::Config => write!(f, "CONFIG {term}.{index}")?,
            Kind::Command => write!(f, "COMMAND {term}.{index}")?,
            Kind::HardState => {
                write!(
                    f,
                    "HARD_STATE {}",
                    State(HardState {
                        term,
                        voted_for: (flags & 1 != 0).then_some(index)
                    })
                )?;
            }
            Kind::Truncate => write!(f, "TRUNCATE after {term}.{index}")?,
            Kind::Snapshot => write!(f, "SNAPSHOT up to {term}.{index}")?,
            Kind::Seal => write!(f, "SEAL of {index} entries")?,
            Kind::Patch => write!(f, "PATCH of {term}.{index}")?,
            Kind::Mark => match Mark::from_byte(flags) {
                Some(mark) => write!(f, "MARK {mark:?} (batch {index})")?,
                None => write!(f, "MARK {flags}, unknown")?,
            },
        }
        write!(f, ", {length} bytes{}", if intact { "" } else { "  DAMAGED" })
    }
}

struct Position(LogPosition);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.term.get(), self.0.index.get())
    }
}

struct State(HardState);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.voted_for.map(NodeId::new) {
            Some(node) => write!(f, "term {}, voted for {}", self.0.term, node.get()),
            None => write!(f, "term {}, no vote", self.0.term),
        }
    }
}
