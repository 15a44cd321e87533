//! A picture of a violation: the operations around it as bars over time, one row a process.
//!
//! Invariant: bounded whatever the history: [`BARS_MAX`] bars, [`ROWS_MAX`] rows. The operations that
//! cannot be ordered are always shown, with their letters, each process in its row. Processes that have nothing to do
//! with them share the last row, as thin bars. No two labels lie on each other, and none is cut at the edge.

use std::fmt::Write;

use super::words::Story;
use crate::checker::{Finding, Report};
use crate::model::NEVER;
use crate::recording::{Operation, Recording};

/// Bars in a picture.
pub const BARS_MAX: usize = 80;
/// Rows of processes, besides the one that the others share.
pub const ROWS_MAX: usize = 24;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 1180.0;
const ROW: f64 = 34.0;
/// Height of a line of fault labels.
const LANE: f64 = 15.0;
const TITLE: f64 = 36.0;
/// Width of a character, roughly: labels are placed by it.
const CHAR: f64 = 6.6;

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

/// The part of the history that is shown: events, and the time they span where the history has times.
#[derive(Clone, Copy)]
struct Window {
    from: u32,
    to: u32,
    times: Option<(u64, u64)>,
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
        let times = recording
            .time(from)
            .zip(recording.time(to))
            .filter(|(begin, end)| begin < end);
        let times = times.map(|(begin, end)| {
            let margin = (end - begin) / 10;
            (begin.saturating_sub(margin), end.saturating_add(margin))
        });
        Self {
            from: from.saturating_sub(margin),
            to: to.saturating_add(margin),
            times,
        }
    }

    fn holds(self, operation: &Operation) -> bool {
        operation.call <= self.to && operation.ret >= self.from
    }

    /// Ids of the operations to show: the ones that matter, then those of the same key near them.
    fn choose(self, recording: &Recording, ids: &[u32]) -> Vec<u32> {
        let mut shown = ids.to_vec();
        let key = ids.first().map(|id| recording.operations[*id as usize].key);
        let end = recording
            .operations
            .partition_point(|operation| operation.call <= self.to);
        for (id, operation) in recording.operations[..end].iter().enumerate().rev() {
            let id = id as u32;
            if shown.len() >= BARS_MAX {
                break;
            }
            if Some(operation.key) == key && self.holds(operation) && !ids.contains(&id) {
                shown.push(id);
            }
        }
        shown.sort_unstable();
        shown
    }

    /// Where an event is. Events have times, or else they are as far from each other as their numbers.
    fn x(self, recording: &Recording, event: u32) -> f64 {
        let share = match (self.times, recording.time(event)) {
            (Some((begin, end)), Some(time)) => {
                (time.clamp(begin, end) - begin) as f64 / (end - begin).max(1) as f64
            }
            (Some(_), None) => 1.0,
            (None, _) => {
                let event = event.clamp(self.from, self.to);
                f64::from(event - self.from) / f64::from((self.to - self.from).max(1))
            }
        };
        LEFT + share * (RIGHT - LEFT)
    }
}

/// Labels of one line, so that they do not lie on each other.
#[derive(Default)]
struct Lanes {
    /// Where each line is free again.
    free_from: Vec<f64>,
}

impl Lanes {
    /// The first line on which there is room from `left` on.
    fn place(&mut self, left: f64, width: f64) -> usize {
        let lane = self.free_from.iter().position(|free| *free <= left);
        let lane = lane.unwrap_or_else(|| {
            self.free_from.push(0.0);
            self.free_from.len() - 1
        });
        self.free_from[lane] = left + width;
        lane
    }
}

fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * CHAR
}

/// Where a label begins that would like to begin at `x`: never so far right that it is cut.
fn left_of(x: f64, text: &str) -> f64 {
    x.min(WIDTH - width_of(text) - 4.0).max(4.0)
}

/// The name of a bar.
struct Label {
    left: f64,
    text: String,
}

impl Label {
    /// Begins at `x`, or further left where it would be cut at the edge; is shortened to `room`.
    fn new(x: f64, text: &str, room: Option<f64>) -> Self {
        let most = room.map_or(usize::MAX, |room| (room / CHAR).max(2.0) as usize);
        let text: String = match text.chars().count() > most {
            true => text.chars().take(most).collect(),
            false => text.to_owned(),
        };
        Self {
            left: left_of(x, &text),
            text,
        }
    }

    fn right(&self) -> f64 {
        self.left + width_of(&self.text)
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
        let rows = self.rows();
        let (faults, lanes) = self.faults();
        let top = TITLE + lanes as f64 * LANE + 10.0;
        let others: Vec<u32> = self
            .shown
            .iter()
            .copied()
            .filter(|id| !rows.contains(&self.process(*id)))
            .collect();
        let count = rows.len() + usize::from(!others.is_empty());
        let bottom = top + count as f64 * ROW;
        let height = bottom + 40.0;
        let title = self.story.title();
        // A title is as long as the picture is wide, at most.
        let size = (WIDTH / (title.chars().count().max(1) as f64 * 0.56)).clamp(9.0, 16.0);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"24\" font-size=\"{size:.0}\">{}</text>\n",
            escape(&title)
        );
        for fault in &faults {
            fault.draw(bottom, &mut out);
        }
        for (row, process) in rows.iter().enumerate() {
            self.row(top + row as f64 * ROW, *process, &mut out);
        }
        self.others(top + rows.len() as f64 * ROW, &others, &mut out);
        self.axis(bottom + 8.0, &mut out);
        out.push_str("</svg>\n");
        out
    }

    fn process(&self, id: u32) -> u32 {
        self.recording.operations[id as usize].process
    }

    /// Processes that have a row of their own: those of the operations that matter.
    fn rows(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.story.ids().iter().map(|id| self.process(*id)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows.truncate(ROWS_MAX);
        rows
    }

    fn x(&self, event: u32) -> f64 {
        self.window.x(self.recording, event)
    }

    fn row(&self, y: f64, process: u32, out: &mut String) {
        let name = escape(&self.recording.process(process));
        let _ = writeln!(out, "<text x=\"10\" y=\"{:.1}\">{name}</text>", y + 16.0);
        let of_row = |id: &u32| self.process(*id) == process;
        let (bold, plain): (Vec<u32>, Vec<u32>) = self
            .shown
            .iter()
            .copied()
            .filter(of_row)
            .partition(|id| self.story.ids().contains(id));
        let begin = |id: u32| self.x(self.recording.operations[id as usize].call);
        // A label of an operation that matters may be longer than its bar, but ends where the next one begins.
        let labels: Vec<(u32, Label)> = bold
            .iter()
            .enumerate()
            .map(|(at, id)| {
                let text = format!("{}: {}", self.story.name(*id), self.story.describe(*id));
                let room = bold.get(at + 1).map(|next| begin(*next) - begin(*id) - 8.0);
                (*id, Label::new(begin(*id) + 4.0, &text, room))
            })
            .collect();
        for id in plain {
            let operation = &self.recording.operations[id as usize];
            let (from, to) = (self.x(operation.call), self.x(operation.ret));
            let is_free = labels
                .iter()
                .all(|(_, label)| label.right() < from || to < label.left);
            // What does not matter is named only as far as its bar goes.
            let label = is_free.then(|| {
                let text: String = self
                    .story
                    .describe(id)
                    .chars()
                    .take(((to - from) / CHAR) as usize)
                    .collect();
                Label::new(from + 4.0, &text, None)
            });
            self.bar(id, y, label, out);
        }
        for (id, label) in labels {
            self.bar(id, y, Some(label), out);
        }
    }

    /// Operations of processes that have nothing to do with the violation.
    fn others(&self, y: f64, ids: &[u32], out: &mut String) {
        if ids.is_empty() {
            return;
        }
        let mut processes: Vec<u32> = ids.iter().map(|id| self.process(*id)).collect();
        processes.sort_unstable();
        processes.dedup();
        let label = match processes.len() {
            1 => "1 other".to_owned(),
            count => format!("{count} others"),
        };
        let _ = writeln!(out, "<text x=\"10\" y=\"{:.1}\">{label}</text>", y + 16.0);
        let mut lanes = Lanes::default();
        for id in ids {
            let operation = &self.recording.operations[*id as usize];
            let (from, to) = (self.x(operation.call), self.x(operation.ret));
            let width = (to - from).max(2.0);
            let lane = lanes.place(from, width + 1.0) % OTHERS_LANES;
            let _ = writeln!(
                out,
                "<g><title>{}</title><rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"5\" \
                 fill=\"#dfe7ef\" stroke=\"#8a99a8\" stroke-width=\"0.5\"/></g>",
                escape(&self.hint(*id)),
                y + lane as f64 * 7.0
            );
        }
    }

    fn hint(&self, id: u32) -> String {
        let operation = &self.recording.operations[id as usize];
        format!(
            "{} event {}: {}",
            self.recording.process(operation.process),
            operation.call,
            self.story.describe(id)
        )
    }

    fn bar(&self, id: u32, y: f64, label: Option<Label>, out: &mut String) {
        let operation = &self.recording.operations[id as usize];
        let (from, to) = (self.x(operation.call), self.x(operation.ret));
        let width = (to - from).max(3.0);
        let matters = self.story.ids().contains(&id);
        let (fill, stroke, weight) = if matters {
            ("#f6b26b", "#a61c00", " font-weight=\"bold\"")
        } else {
            ("#dfe7ef", "#8a99a8", "")
        };
        // An operation whose return was never seen has no right edge.
        let dash = if operation.ret == NEVER {
            " stroke-dasharray=\"4 3\""
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<g><title>{}</title><rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"22\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{stroke}\"{dash}/>",
            escape(&self.hint(id))
        );
        if let Some(Label { left, text }) = label {
            let (text, y) = (escape(&text), y + 15.0);
            let _ = writeln!(out, "<text x=\"{left:.1}\" y=\"{y:.1}\"{weight}>{text}</text>");
        }
        out.push_str("</g>\n");
    }

    /// The faults in the window, with their places, and how many lines their labels take.
    fn faults(&self) -> (Vec<FaultMark>, usize) {
        let inside = |at: u32| (self.window.from..=self.window.to).contains(&at);
        let mut lanes = Lanes::default();
        let faults = self.recording.faults.iter().filter(|fault| inside(fault.at));
        let marks = faults.take(FAULTS_MAX).map(|fault| {
            let label = format!("{} {}", fault.name, fault.step).trim_end().to_owned();
            let x = self.x(fault.at);
            let left = left_of(x + 3.0, &label);
            let lane = lanes.place(left, width_of(&label) + 6.0);
            FaultMark { x, left, lane, label }
        });
        let marks: Vec<FaultMark> = marks.collect();
        (marks, lanes.free_from.len())
    }

    fn axis(&self, y: f64, out: &mut String) {
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" stroke=\"black\"/>"
        );
        let ticks = match self.window.times {
            Some((from, to)) => self.time_ticks(from, to),
            None => self.event_ticks(),
        };
        let mut free = 0.0;
        for (x, label) in ticks {
            let left = left_of(x - width_of(&label) / 2.0, &label);
            if left < free {
                continue;
            }
            free = left + width_of(&label) + 8.0;
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"black\"/>\
                 <text x=\"{left:.1}\" y=\"{:.1}\">{label}</text>",
                y + 5.0,
                y + 18.0
            );
        }
    }

    /// Round instants, five to ten of them.
    fn time_ticks(&self, from: u64, to: u64) -> Vec<(f64, String)> {
        let steps = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
        let step = steps
            .take(3 * 18)
            .find(|step| (to - from) / step <= TICKS_MAX)
            .unwrap_or(to - from);
        let first = from.div_ceil(step);
        (first..=to / step)
            .map(|tick| {
                let at = tick * step;
                let share = (at - from) as f64 / (to - from) as f64;
                (LEFT + share * (RIGHT - LEFT), time_label(at, step))
            })
            .collect()
    }

    fn event_ticks(&self) -> Vec<(f64, String)> {
        let step = ((self.window.to - self.window.from) / TICKS_MAX as u32).max(1);
        (self.window.from..=self.window.to)
            .step_by(step as usize)
            .map(|event| (self.x(event), format!("event {event}")))
            .collect()
    }
}

/// Milliseconds, with as many digits as neighbouring ticks need.
fn time_label(ns: u64, step: u64) -> String {
    let (whole, part) = (ns / 1_000_000, ns % 1_000_000);
    match step {
        0..1_000 => format!("{whole}.{part:06} ms"),
        1_000..1_000_000 => format!("{whole}.{:03} ms", part / 1_000),
        _ => format!("{whole} ms"),
    }
}

/// Where a fault began or ended.
struct FaultMark {
    x: f64,
    left: f64,
    lane: usize,
    label: String,
}

impl FaultMark {
    fn draw(&self, bottom: f64, out: &mut String) {
        let y = TITLE + self.lane as f64 * LANE;
        let _ = writeln!(
            out,
            "<g stroke=\"#cc0000\" fill=\"#cc0000\"><line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{bottom:.1}\" \
             stroke-dasharray=\"2 4\"/><text x=\"{:.1}\" y=\"{:.1}\" stroke=\"none\">{}</text></g>",
            self.x,
            self.x,
            self.left,
            y + 11.0,
            escape(&self.label)
        );
    }
}

/// Faults in a picture.
const FAULTS_MAX: usize = 20;
/// Ticks of the axis.
const TICKS_MAX: u64 = 8;
/// Lines of thin bars in the row that the others share.
const OTHERS_LANES: usize = 4;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_would_lie_on_each_other_take_lines_of_their_own() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.place(10.0, 50.0), 0);
        assert_eq!(lanes.place(30.0, 50.0), 1);
        assert_eq!(lanes.place(70.0, 50.0), 0);
    }

    #[test]
    fn a_label_at_the_right_edge_moves_left_until_it_is_whole() {
        let label = "partition-isolate-leader begin";
        let left = left_of(RIGHT, label);
        assert!(left + width_of(label) <= WIDTH);
        assert_eq!(left_of(100.0, label), 100.0);
    }

    #[test]
    fn ticks_have_as_many_digits_as_they_need() {
        assert_eq!(time_label(12_000_000, 1_000_000), "12 ms");
        assert_eq!(time_label(12_345_000, 5_000), "12.345 ms");
        assert_eq!(time_label(12_345_678, 1), "12.345678 ms");
    }
}
