//! A run of the simulation, event by event, compared with what was recorded of it.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use super::{Origin, Recorded};
use crate::sim::{Lines, Simulated, simulate};

/// A run and its repetition.
#[derive(Debug)]
pub struct Repeated {
    /// The run, again.
    pub run: Simulated,
    /// Every event was the same.
    pub is_same: bool,
    /// The first recorded event that was another one, if it is among those whose lines were kept.
    pub difference: Option<Difference>,
}

/// Where two traces part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Number of the event, from 1.
    pub event: u64,
    /// What was recorded.
    pub was: Option<String>,
    /// What happened now.
    pub is: Option<String>,
}

/// Runs `recorded` again; `None` when it is a run of real processes.
///
/// # Errors
/// When the recorded trace cannot be read.
pub fn repeat(recorded: &Recorded) -> io::Result<Option<Repeated>> {
    let Origin::Simulation { trace_hash, events } = &recorded.origin else {
        return Ok(None);
    };
    let kept = lines_of(&recorded.folder.join("trace.txt"))?;
    let comparer = Rc::new(RefCell::new(Comparer::new(kept, *events)));
    let out = Box::new(Shared(Rc::clone(&comparer)));
    let run = simulate(&recorded.plan, recorded.seed, Lines::To(out));
    let is_same = format!("{:016x}", run.trace.hash) == *trace_hash && run.trace.events == *events;
    let difference = match is_same {
        true => None,
        false => comparer.borrow_mut().end(),
    };
    Ok(Some(Repeated {
        run,
        is_same,
        difference,
    }))
}

/// The last lines of a trace.
fn lines_of(path: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Compares lines as they come with the last lines of another trace.
struct Comparer {
    kept: Vec<String>,
    /// Events before the first line that was kept.
    skipped: u64,
    /// Events so far.
    events: u64,
    unfinished: Vec<u8>,
    first: Option<Difference>,
}

impl Comparer {
    fn new(kept: Vec<String>, events: u64) -> Self {
        Self {
            skipped: events.saturating_sub(kept.len() as u64),
            kept,
            events: 0,
            unfinished: Vec::new(),
            first: None,
        }
    }

    fn line(&mut self, line: String) {
        self.events += 1;
        let Some(at) = self.events.checked_sub(self.skipped + 1) else {
            return;
        };
        let was = self.kept.get(at as usize);
        if self.first.is_none() && was != Some(&line) {
            self.first = Some(Difference {
                event: self.events,
                was: was.cloned(),
                is: Some(line),
            });
        }
    }

    /// The first difference; recorded lines that did not come are one, too.
    fn end(&mut self) -> Option<Difference> {
        let next = self.events.saturating_sub(self.skipped);
        let missing = self.kept.get(next as usize).map(|was| Difference {
            event: self.skipped + next + 1,
            was: Some(was.clone()),
            is: None,
        });
        self.first.take().or(missing)
    }
}

/// The simulation owns what it writes to.
struct Shared(Rc<RefCell<Comparer>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut comparer = self.0.borrow_mut();
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut comparer.unfinished);
                comparer.line(String::from_utf8_lossy(&line).into_owned());
            } else {
                comparer.unfinished.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(kept: &[&str], events: u64, now: &[&str]) -> Option<Difference> {
        let kept = kept.iter().map(|line| (*line).to_owned()).collect();
        let mut comparer = Comparer::new(kept, events);
        now.iter().for_each(|line| comparer.line((*line).to_owned()));
        comparer.end()
    }

    #[test]
    fn the_first_event_that_differs_is_found_among_the_last_lines() {
        assert_eq!(compared(&["c", "d"], 4, &["a", "b", "c", "d"]), None);
        let parts = compared(&["c", "d"], 4, &["a", "b", "c", "x", "y"]).unwrap();
        assert_eq!(
            (parts.event, parts.was.as_deref(), parts.is.as_deref()),
            (4, Some("d"), Some("x"))
        );
        let shorter = compared(&["c", "d"], 4, &["a", "b", "c"]).unwrap();
        assert_eq!(
            (shorter.event, shorter.was.as_deref(), shorter.is),
            (4, Some("d"), None)
        );
        let longer = compared(&["c"], 3, &["a", "b", "c", "d"]).unwrap();
        assert_eq!(
            (longer.event, longer.was, longer.is.as_deref()),
            (4, None, Some("d"))
        );
        let much_shorter = compared(&["c"], 3, &["a"]).unwrap();
        assert_eq!((much_shorter.event, much_shorter.was.as_deref()), (3, Some("c")));
    }
}
