//! History files: one JSON object a line, the first a [`Header`], the others [`HistoryEvent`]s.
//!
//! Invariant: the writer alone assigns `i`, densely from 0, so that a lost line is noticed by the
//! reader; every line is complete before the next one starts, so a crash loses at most the last line.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::op::HistoryEvent;

/// Version of the format this program writes and the only one it reads.
pub const HISTORY_VERSION: u32 = 1;

/// Longest line that is read; a longer one is an error, not an allocation.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// First line of a history file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`HISTORY_VERSION`].
    #[serde(rename = "history")]
    pub version: u32,
    /// Which workload made it; decides the checker.
    pub workload: String,
    /// Name of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Seed of every random decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Value of every key before the first operation; absent means the workload's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<serde_json::Value>,
    /// Whatever else the writer wants to keep (build id, argv, kernel).
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Header {
    /// A header of the current version for `workload`.
    pub fn new(workload: impl Into<String>) -> Self {
        Self {
            version: HISTORY_VERSION,
            workload: workload.into(),
            plan: None,
            seed: None,
            initial: None,
            extra: serde_json::Map::new(),
        }
    }
}

/// Writes a history as it happens.
#[derive(Debug)]
pub struct HistoryWriter<W: Write> {
    out: W,
    next: u64,
    line: Vec<u8>,
}

impl<W: Write> HistoryWriter<W> {
    /// Writes `header` and is then ready for events.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            out,
            next: 0,
            line: Vec::new(),
        };
        writer.line(header)?;
        Ok(writer)
    }

    /// Writes `event` under the next index, which is returned. One `write_all` a line.
    ///
    /// # Errors
    /// What the output says.
    pub fn record(&mut self, event: &mut HistoryEvent) -> io::Result<u64> {
        event.set_index(self.next);
        self.line(event)?;
        self.next += 1;
        Ok(event.index())
    }

    /// Pushes what is buffered in the output.
    ///
    /// # Errors
    /// What the output says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// How many events were written.
    pub fn recorded(&self) -> u64 {
        self.next
    }

    /// Ends the history and gives the output back, flushed.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

/// Reads a history file event by event.
#[derive(Debug)]
pub struct HistoryReader<R: BufRead> {
    input: R,
    header: Header,
    line_number: u64,
    next: u64,
    line: Vec<u8>,
}

/// Why a history could not be read. Lines count from 1.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first line is no header of a known version.
    #[error(
        "line {line}: expected the header {{\"history\":{HISTORY_VERSION},\"workload\":...}}, found {found}"
    )]
    Header {
        /// Line number.
        line: u64,
        /// What was there.
        found: String,
    },
    /// A line is not an event.
    #[error("line {line}: expected an event object: {problem}")]
    Line {
        /// Line number.
        line: u64,
        /// What was wrong with it.
        problem: String,
    },
    /// An event is missing or came twice.
    #[error("line {line}: expected event i={expected}, found i={found}")]
    Gap {
        /// Line number.
        line: u64,
        /// Index that should have come.
        expected: u64,
        /// Index that came.
        found: u64,
    },
}

impl<R: BufRead> HistoryReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none, or of another version.
    pub fn new(input: R) -> Result<Self, HistoryError> {
        let mut reader = Self {
            input,
            header: Header::new(""),
            line_number: 0,
            next: 0,
            line: Vec::new(),
        };
        let found = if reader.fill()? {
            String::from_utf8_lossy(&reader.line)
        } else {
            "nothing".into()
        };
        let parsed: Result<Header, _> = serde_json::from_str(&found);
        match parsed {
            Ok(header) if header.version == HISTORY_VERSION => {
                reader.header = header;
                Ok(reader)
            }
            Ok(header) => Err(HistoryError::Header {
                line: reader.line_number,
                found: format!("version {}", header.version),
            }),
            Err(_) => Err(HistoryError::Header {
                line: reader.line_number,
                found: excerpt(&found),
            }),
        }
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next event, or `None` at the end.
    ///
    /// # Errors
    /// When a line is not an event, or an index is missing.
    pub fn next_event(&mut self) -> Result<Option<HistoryEvent>, HistoryError> {
        if !self.fill()? {
            return Ok(None);
        }
        let event: HistoryEvent = serde_json::from_slice(&self.line).map_err(|error| HistoryError::Line {
            line: self.line_number,
            problem: format!("{error} in {}", excerpt(&String::from_utf8_lossy(&self.line))),
        })?;
        if event.index() != self.next {
            return Err(HistoryError::Gap {
                line: self.line_number,
                expected: self.next,
                found: event.index(),
            });
        }
        self.next += 1;
        Ok(Some(event))
    }

    /// Reads the next line that is not blank.
    fn fill(&mut self) -> Result<bool, HistoryError> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = io::Read::take(&mut self.input, limit).read_until(b'\n', &mut self.line)?;
            self.line_number += 1;
            if read == 0 {
                return Ok(false);
            }
            if read > LINE_BYTES_MAX {
                return Err(HistoryError::Line {
                    line: self.line_number,
                    problem: format!("longer than {LINE_BYTES_MAX} bytes"),
                });
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

/// The beginning of a line, short enough for an error message.
pub(crate) fn excerpt(line: &str) -> String {
    const CHARS_MAX: usize = 80;
    let line = line.trim();
    match line.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::op::EventKind;

    #[test]
    fn what_is_written_is_read_back() {
        let header = Header {
            seed: Some(7),
            ..Header::new("register")
        };
        let mut writer = HistoryWriter::new(Vec::new(), &header).unwrap();
        let invoke = HistoryEvent::invoke(3, 0, "cas")
            .key("a")
            .value(json!([1, 2]))
            .node("n1")
            .at_time(10);
        let fault = HistoryEvent::fault(EventKind::FaultBegin, "kill", json!({"node": "n1"}));
        let mut events = [
            invoke.clone(),
            HistoryEvent::complete(&invoke, EventKind::Ok)
                .saw(Value::Null)
                .at_time(20),
            fault.at_time(30),
            HistoryEvent::invoke(3, 1, "read").key("a").at_time(40),
            HistoryEvent::complete(&HistoryEvent::invoke(3, 1, "read"), EventKind::Info)
                .error("timeout", false),
        ];
        for event in &mut events {
            writer.record(event).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = HistoryReader::new(&bytes[..]).unwrap();
        assert_eq!(reader.header(), &header);
        let mut back = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            back.push(event);
        }
        assert_eq!(back, events);
    }

    #[test]
    fn a_missing_line_is_noticed() {
        let text = "{\"history\":1,\"workload\":\"register\"}\n\n{\"i\":1,\"t\":0,\"type\":\"invoke\",\"f\":\"read\"}\n";
        let mut reader = HistoryReader::new(text.as_bytes()).unwrap();
        let error = reader.next_event().unwrap_err();
        assert_eq!(error.to_string(), "line 3: expected event i=0, found i=1");
    }

    #[test]
    fn another_version_is_refused() {
        let text = "{\"history\":9,\"workload\":\"register\"}\n";
        let error = HistoryReader::new(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("found version 9"), "{error}");
    }
}
