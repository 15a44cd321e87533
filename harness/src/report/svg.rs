//! A picture of a violation: the operations around it as bars, one row a process.
//!
//! Invariant: bounded whatever the history: [`BARS_MAX`] bars, [`ROWS_MAX`] rows. The operations that
//! cannot be ordered are always shown, with their letters; others only where there is room.

use std::fmt::Write;

use super::words::Story;
use crate::checker::recording::{NEVER, Operation, Recording};
use crate::checker::{Finding, Report};

/// Bars in a picture.
pub const BARS_MAX: usize = 80;
/// Rows, one a process.
pub const ROWS_MAX: usize = 24;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 80.0;
const ROW: f64 = 34.0;
const TOP: f64 = 60.0;

/// The picture of `report`'s violation as an SVG document; `None` when there is none.
pub fn draw(recording: &Recording, report: &Report) -> Option<String> {
    let Finding::Invalid { key, violation } = &report.finding else {
        return None;
    };
    let story = Story::new(recording, *key, violation);
    let window = Window::around(recording, story.ids());
    let shown = window.choose(recording, story.ids());
    Some(
        Picture {
            recording,
            story: &story,
            window,
            shown,
        }
        .draw(),
    )
}

/// The part of the order of events that is shown.
#[derive(Clone, Copy)]
struct Window {
    from: u32,
    to: u32,
}

impl Window {
    /// From the first invocation to the last return of the operations, and a little more.
    fn around(recording: &Recording, ids: &[u32]) -> Self {
        let operations = || ids.iter().map(|id| &recording.operations[*id as usize]);
        let from = operations().map(|operation| operation.call).min().unwrap_or(0);
        let end = |operation: &Operation| {
            if operation.ret == NEVER {
                operation.call
            } else {
                operation.ret
            }
        };
        let to = operations().map(end).max().unwrap_or(0);
        let margin = ((to - from) / 10).clamp(2, 50);
        Self {
            from: from.saturating_sub(margin),
            to: to.saturating_add(margin),
        }
    }

    fn holds(self, operation: &Operation) -> bool {
        operation.call <= self.to && operation.ret >= self.from
    }

    /// Ids of the operations to show: the ones that matter, then those of the same key near them.
    fn choose(self, recording: &Recording, ids: &[u32]) -> Vec<u32> {
        let mut shown = ids.to_vec();
        let key = ids.first().map(|id| recording.operations[*id as usize].key);
        let mut rows: Vec<u32> = ids
            .iter()
            .map(|id| recording.operations[*id as usize].process)
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let end = recording
            .operations
            .partition_point(|operation| operation.call <= self.to);
        for (id, operation) in recording.operations[..end].iter().enumerate().rev() {
            let id = id as u32;
            if shown.len() >= BARS_MAX {
                break;
            }
            let fits = rows.contains(&operation.process) || rows.len() < ROWS_MAX;
            if fits && Some(operation.key) == key && self.holds(operation) && !ids.contains(&id) {
                shown.push(id);
                if !rows.contains(&operation.process) {
                    rows.push(operation.process);
                }
            }
        }
        shown.sort_unstable();
        shown
    }

    fn x(self, event: u32) -> f64 {
        let event = event.clamp(self.from, self.to);
        LEFT + f64::from(event - self.from) / f64::from((self.to - self.from).max(1)) * (WIDTH - LEFT - 20.0)
    }
}

struct Picture<'a> {
    recording: &'a Recording,
    story: &'a Story<'a>,
    window: Window,
    shown: Vec<u32>,
}

impl Picture<'_> {
    fn draw(&self) -> String {
        let mut rows: Vec<u32> = self
            .shown
            .iter()
            .map(|id| self.recording.operations[*id as usize].process)
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let height = TOP + rows.len() as f64 * ROW + 40.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"24\" font-size=\"16\">{}</text>\n",
            escape(&self.story.title())
        );
        self.faults(height, &mut out);
        for (row, process) in rows.iter().enumerate() {
            self.row(row, *process, &mut out);
        }
        self.axis(height, &mut out);
        out.push_str("</svg>\n");
        out
    }

    fn row(&self, row: usize, process: u32, out: &mut String) {
        let y = TOP + row as f64 * ROW;
        let name = escape(&self.recording.process(process));
        let _ = writeln!(out, "<text x=\"10\" y=\"{:.1}\">{name}</text>", y + 16.0);
        for id in &self.shown {
            let operation = &self.recording.operations[*id as usize];
            if operation.process == process {
                self.bar(*id, operation, y, out);
            }
        }
    }

    fn bar(&self, id: u32, operation: &Operation, y: f64, out: &mut String) {
        let (from, to) = (self.window.x(operation.call), self.window.x(operation.ret));
        let width = (to - from).max(3.0);
        let matters = self.story.ids().contains(&id);
        let (fill, stroke) = if matters {
            ("#f6b26b", "#a61c00")
        } else {
            ("#dfe7ef", "#8a99a8")
        };
        // An operation nobody saw return has no right edge.
        let dash = if operation.ret == NEVER {
            " stroke-dasharray=\"4 3\""
        } else {
            ""
        };
        let text = self.story.describe(id);
        let label = if matters {
            format!("{}: {text}", self.story.name(id))
        } else {
            text.clone()
        };
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"22\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{stroke}\"{dash}/>",
            escape(&format!("event {}: {text}", operation.call))
        );
        let room = (width / 6.5) as usize;
        let told: String = if matters {
            label
        } else {
            label.chars().take(room).collect()
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\"{}>{}</text></g>",
            from + 4.0,
            y + 15.0,
            if matters { " font-weight=\"bold\"" } else { "" },
            escape(&told)
        );
    }

    fn faults(&self, height: f64, out: &mut String) {
        const FAULTS_MAX: usize = 20;
        let inside = |at: u32| (self.window.from..=self.window.to).contains(&at);
        for fault in self
            .recording
            .faults
            .iter()
            .filter(|fault| inside(fault.at))
            .take(FAULTS_MAX)
        {
            let x = self.window.x(fault.at);
            let _ = writeln!(
                out,
                "<g stroke=\"#cc0000\" fill=\"#cc0000\"><line x1=\"{x:.1}\" y1=\"40\" x2=\"{x:.1}\" y2=\"{:.1}\" \
                 stroke-dasharray=\"2 4\"/><text x=\"{:.1}\" y=\"48\" stroke=\"none\">{}</text></g>",
                height - 30.0,
                x + 3.0,
                escape(&format!("{} {}", fault.name, fault.step))
            );
        }
    }

    fn axis(&self, height: f64, out: &mut String) {
        let y = height - 26.0;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"black\"/>",
            WIDTH - 20.0
        );
        const TICKS: u32 = 5;
        for tick in 0..=TICKS {
            let event = self.window.from + (self.window.to - self.window.from) / TICKS * tick;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                self.window.x(event),
                y + 16.0,
                self.story.moment(event)
            );
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
