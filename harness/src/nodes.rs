//! What nodes said of themselves while a run went on: `nodes.jsonl` in its folder.
//!
//! | line | content |
//! |-|-|
//! | the first | `{"nodes":1,"began_us":...}`: the format's version; when the run began, in microseconds since 1970 (not in a simulation) |
//! | an answer | `{"t":...,"node":1,"leads":true,"term":3,"commit":9,"applied":9}`, `t` in nanoseconds since the run began |
//! | no answer | `{"t":...,"node":1}` |
//!
//! Invariant: a line is complete before the next one starts, so that a crash loses at most the last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name in a run's folder.
pub const NODES_FILE: &str = "nodes.jsonl";
/// The version of the format.
const NODES_VERSION: u32 = 1;
/// Samples that are read: more than a night of five nodes has.
const SAMPLES_MAX: usize = 2_000_000;

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    #[serde(rename = "nodes")]
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_us: Option<u64>,
}

/// One node at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSample {
    /// When it was asked, nanoseconds since the run began.
    #[serde(rename = "t")]
    pub time_ns: u64,
    /// The node's number, from 1.
    pub node: u64,
    /// What it said; absent when it gave no answer.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Whether it believes to lead.
    pub leads: bool,
    /// Its term.
    pub term: u64,
    /// The last entry that it knows to be committed.
    pub commit: u64,
    /// The last entry that it has applied.
    pub applied: u64,
}

/// All samples of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeLog {
    /// When the run began, microseconds since 1970, where that means anything.
    pub began_us: Option<u64>,
    /// In order of time.
    pub samples: Vec<NodeSample>,
}

/// Why the file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NodesError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line of it; lines count from 1.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// Writes the file as a run goes on.
#[derive(Debug)]
pub struct NodeWriter {
    out: BufWriter<File>,
}

impl NodeWriter {
    /// Starts the new file at `path`.
    ///
    /// # Errors
    ///
    /// When it exists already, or cannot be written.
    pub fn create(path: &Path, began_us: Option<u64>) -> io::Result<Self> {
        let mut writer = Self {
            out: BufWriter::new(File::create_new(path)?),
        };
        writer.line(&Header {
            version: NODES_VERSION,
            began_us,
        })?;
        Ok(writer)
    }

    /// Adds samples, and pushes them to the file.
    ///
    /// # Errors
    ///
    /// What the file says.
    pub fn add(&mut self, samples: &[NodeSample]) -> io::Result<()> {
        samples.iter().try_for_each(|sample| self.line(sample))?;
        self.out.flush()
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

impl NodeLog {
    /// Reads the file at `path`. A last line that is not complete is left out.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, NodesError> {
        let mut input = BufReader::new(File::open(path)?);
        let (mut log, mut line, mut number) = (Self::default(), String::new(), 0);
        while input.read_line(&mut line)? > 0 && line.ends_with('\n') && log.samples.len() < SAMPLES_MAX {
            number += 1;
            let wrong = |problem: String| NodesError::Line {
                line: number,
                problem,
            };
            if number == 1 {
                let header: Header = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
                if header.version != NODES_VERSION {
                    return Err(wrong(format!("the format is version {}", header.version)));
                }
                log.began_us = header.began_us;
            } else {
                let sample = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
                log.samples.push(sample);
            }
            line.clear();
        }
        Ok(log)
    }

    /// The samples of `node`, about `count` of them: every change of leadership, term or silence, and between
    /// those one in each part of the time.
    pub fn thinned(&self, node: u64, count: u64) -> Vec<NodeSample> {
        let end = self.samples.last().map_or(0, |sample| sample.time_ns);
        let part = (end / count.max(1)).max(1);
        let state = |sample: &NodeSample| sample.said.map(|said| (said.leads, said.term));
        let mut kept: Vec<NodeSample> = Vec::new();
        for sample in self.samples.iter().filter(|sample| sample.node == node) {
            let is_new = kept.last().is_none_or(|last| {
                state(last) != state(sample) || last.time_ns / part != sample.time_ns / part
            });
            if is_new {
                kept.push(*sample);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ns: u64, leads: Option<bool>) -> NodeSample {
        let said = leads.map(|leads| Said {
            leads,
            term: 3,
            commit: 9,
            applied: 8,
        });
        NodeSample {
            time_ns,
            node: 1,
            said,
        }
    }

    #[test]
    fn what_is_written_is_read_back_without_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NODES_FILE);
        let mut writer = NodeWriter::create(&path, Some(5)).unwrap();
        writer.add(&[sample(1, Some(true)), sample(2, None)]).unwrap();
        drop(writer);
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "{\"nodes\":1,\"began_us\":5}\n\
                        {\"t\":1,\"node\":1,\"leads\":true,\"term\":3,\"commit\":9,\"applied\":8}\n{\"t\":2,\"node\":1}\n";
        assert_eq!(text, expected);
        std::fs::write(&path, text + "{\"t\":3,\"no").unwrap();
        let log = NodeLog::read(&path).unwrap();
        assert_eq!(log.began_us, Some(5));
        assert_eq!(log.samples, [sample(1, Some(true)), sample(2, None)]);
        std::fs::write(&path, "{\"nodes\":2}\n").unwrap();
        assert!(
            NodeLog::read(&path)
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
    }

    #[test]
    fn thinning_keeps_every_change() {
        let mut samples: Vec<NodeSample> = (0..1000).map(|at| sample(at, Some(false))).collect();
        samples[500] = sample(500, Some(true));
        samples[700] = sample(700, None);
        let log = NodeLog {
            began_us: None,
            samples,
        };
        let kept = log.thinned(1, 10);
        assert!((10..20).contains(&kept.len()), "{}", kept.len());
        assert!(kept.contains(&sample(500, Some(true))) && kept.contains(&sample(700, None)));
        assert_eq!(log.thinned(2, 10), []);
    }
}
