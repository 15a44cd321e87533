//! What is wrong with the disk at the moment, as another process says it in a file of the directory.
//!
//! One line of fixed width, rewritten in place; a line whose sum is wrong is being written:
//!
//! `trouble full-overwrite delay-ms 0000000000 sum CRC32`
//!
//! Invariant: what is said outlives both processes, so that a node may also start while its disk is in trouble.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::store::disk::open_private;
use crate::store::disk::trouble::Trouble;

/// The name of the file in the data directory.
pub const CONTROL_FILE: &str = "shadow-trouble";

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The trouble.
    pub trouble: Trouble,
    /// How much longer a sync takes, for a slow disk.
    pub delay: Duration,
}

/// The file, for the process that makes trouble and for the disk that is in it.
#[derive(Debug)]
pub struct Control(File);

impl Control {
    /// Opens the file of a data directory, and makes it where it is missing: then nothing is wrong.
    ///
    /// # Errors
    ///
    /// When it cannot be read and written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let file = open_private(&directory.join(CONTROL_FILE))?;
        let control = Self(file);
        if control.0.metadata()?.len() == 0 {
            control.set(None)?;
        }
        Ok(control)
    }

    /// From now on the disk is in this trouble, or in none.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn set(&self, order: Option<Order>) -> io::Result<()> {
        self.0.write_all_at(to_line(order).as_bytes(), 0)
    }

    /// What is wrong; nothing, too, where that cannot be read.
    pub(super) fn order(&self) -> Option<Order> {
        let mut line = [0; LINE_BYTES_MAX];
        for _ in 0..READS_MAX {
            let length = self.0.read_at(&mut line, 0).ok()?;
            let text = line.get(..length).and_then(|line| std::str::from_utf8(line).ok());
            if let Some(order) = text.and_then(parse) {
                return order;
            }
        }
        None
    }
}

fn to_line(order: Option<Order>) -> String {
    let name = order.map_or(NONE, |order| order.trouble.name());
    let delay = order.map_or(0, |order| order.delay.as_millis());
    let said = format!("trouble {name:<14} delay-ms {delay:010}");
    let sum = crc32fast::hash(said.as_bytes());
    format!("{said} sum {sum:08x}\n")
}

/// What a whole line says; `None` for any other.
fn parse(line: &str) -> Option<Option<Order>> {
    let (said, sum) = line.trim_end().rsplit_once(" sum ")?;
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(said.as_bytes())) {
        return None;
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["trouble", name, "delay-ms", delay] = words.as_slice() else {
        return None;
    };
    if *name == NONE {
        return Some(None);
    }
    let trouble = Trouble::ALL.into_iter().find(|trouble| trouble.name() == *name)?;
    let delay = Duration::from_millis(delay.parse().ok()?);
    Some(Some(Order { trouble, delay }))
}

const NONE: &str = "none";
/// A line has 61 bytes.
const LINE_BYTES_MAX: usize = 128;
/// A line is written in less than a microsecond.
const READS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let ours = Control::open(directory.path()).unwrap();
        assert_eq!(ours.order(), None);
        let mut lengths = std::collections::BTreeSet::new();
        for trouble in Trouble::ALL {
            let delay = Duration::from_millis(250);
            let order = Some(Order { trouble, delay });
            ours.set(order).unwrap();
            let theirs = Control::open(directory.path()).unwrap();
            assert_eq!(theirs.order(), order);
            let line = to_line(order);
            assert!((0..line.len() - 1).all(|cut| parse(&line[..cut]).is_none()));
            lengths.insert(line.len());
        }
        lengths.insert(to_line(None).len());
        assert_eq!(lengths.len(), 1, "a line covers the one before it");
    }
}
