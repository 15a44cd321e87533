//! The run over its time, as an SVG picture: operations a second, phases, and every fault as a bar.
//!
//! Invariant: bounded whatever the run's length: [`COLUMNS_MAX`] columns, [`ROWS_MAX`] rows of faults. Faults that
//! find no free row are counted, not drawn.

use std::fmt::Write;

use super::markup::escaped;
use crate::results::{FaultResult, Results};
use crate::tally::{STRETCH_NS, Tally};

/// Columns of the operations.
const COLUMNS_MAX: usize = 240;
/// Rows of faults.
const ROWS_MAX: usize = 12;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 70.0;
const PLOT: f64 = 140.0;
const TOP: f64 = 24.0;
const ROW: f64 = 18.0;

/// What ended in one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Column {
    ok: u64,
    other: u64,
}

/// Draws the picture; empty when nothing is known over time.
pub(super) fn draw(results: &Results, tally: &Tally) -> String {
    let ends = results.phases.iter().map(|phase| phase.to_ns);
    let faults_end = results.faults.iter().filter_map(|fault| fault.to_ns);
    let Some(end) = ends
        .chain(faults_end)
        .chain([tally.stretches.len() as u64 * STRETCH_NS])
        .max()
        .filter(|end| *end > 0)
    else {
        return String::new();
    };
    let scale = Scale { end };
    let (rows, hidden) = rows(&results.faults, end);
    let height = TOP + PLOT + 30.0 + ROW * (rows.len() as f64 + 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui,sans-serif\" \
         font-size=\"11\">\n"
    );
    phases(&mut svg, results, scale, height);
    operations(&mut svg, tally, scale);
    axis(&mut svg, scale);
    for (row, faults) in rows.iter().enumerate() {
        let top = TOP + PLOT + 30.0 + ROW * row as f64;
        faults.iter().for_each(|fault| bar(&mut svg, fault, scale, top));
    }
    if hidden > 0 {
        let y = height - 4.0;
        put(
            &mut svg,
            format_args!(
                "<text x=\"{LEFT}\" y=\"{y}\" fill=\"#656d76\">and {hidden} more faults at the same times</text>"
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// From time to place.
#[derive(Debug, Clone, Copy)]
struct Scale {
    end: u64,
}

impl Scale {
    fn x(self, nanos: u64) -> f64 {
        LEFT + (WIDTH - LEFT) * nanos.min(self.end) as f64 / self.end as f64
    }
}

fn phases(svg: &mut String, results: &Results, scale: Scale, height: f64) {
    for (at, phase) in results.phases.iter().enumerate() {
        let (from, to) = (scale.x(phase.from_ns), scale.x(phase.to_ns));
        let fill = ["#f6f8fa", "#ffffff"][at % 2];
        put(
            svg,
            format_args!(
                "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"14\" fill=\"#656d76\">{}</text>",
                to - from,
                from + 3.0,
                escaped(&phase.name)
            ),
        );
    }
}

/// Stretches, joined so that they fit.
fn columns(tally: &Tally) -> (Vec<Column>, usize) {
    let joined = tally.stretches.len().div_ceil(COLUMNS_MAX).max(1);
    let column = |counts: &[crate::results::Counts]| Column {
        ok: counts.iter().map(|counts| counts.ok).sum(),
        other: counts.iter().map(|counts| counts.fail + counts.info).sum(),
    };
    (tally.stretches.chunks(joined).map(column).collect(), joined)
}

fn operations(svg: &mut String, tally: &Tally, scale: Scale) {
    let (columns, joined) = columns(tally);
    let most = columns.iter().map(|column| column.ok + column.other).max();
    let Some(most) = most.filter(|most| *most > 0) else {
        return;
    };
    let nanos = joined as u64 * STRETCH_NS;
    for (at, column) in columns.iter().enumerate() {
        let from = at as u64 * nanos;
        let (x, width) = (scale.x(from), scale.x(from + nanos) - scale.x(from));
        let tall = |count: u64| PLOT * count as f64 / most as f64;
        let (ok, other) = (tall(column.ok), tall(column.other));
        let base = TOP + PLOT;
        put(
            svg,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{ok:.1}\" fill=\"#54aeff\"/>\
                 <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{other:.1}\" fill=\"#d4a72c\"/>",
                base - ok,
                base - ok - other,
            ),
        );
    }
    let rate = most as f64 / (nanos as f64 / 1e9);
    let (top, below) = (TOP + 10.0, TOP + 24.0);
    put(
        svg,
        format_args!(
            "<text x=\"2\" y=\"{top}\">{rate:.0}/s</text><text x=\"2\" y=\"{below}\" fill=\"#0969da\">ok</text>\
             <text x=\"20\" y=\"{below}\" fill=\"#9a6700\">not ok</text>"
        ),
    );
}

fn axis(svg: &mut String, scale: Scale) {
    let seconds = scale.end as f64 / 1e9;
    let steps = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0];
    let step = steps
        .into_iter()
        .find(|step| seconds / step <= 14.0)
        .unwrap_or(seconds);
    let base = TOP + PLOT;
    put(
        svg,
        format_args!("<line x1=\"{LEFT}\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\" stroke=\"#8c959f\"/>"),
    );
    for tick in 0..=(seconds / step) as u64 {
        let at = tick as f64 * step;
        let x = scale.x((at * 1e9) as u64);
        put(
            svg,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{}\" fill=\"#656d76\">{at} s</text>",
                base + 14.0
            ),
        );
    }
}

/// Faults in rows in which none overlaps another, and how many found no row.
fn rows(faults: &[FaultResult], end: u64) -> (Vec<Vec<&FaultResult>>, usize) {
    let mut rows: Vec<Vec<&FaultResult>> = Vec::new();
    let mut hidden = 0;
    for fault in faults {
        let is_free = |row: &&mut Vec<&FaultResult>| {
            row.last()
                .is_none_or(|last| last.to_ns.unwrap_or(end) <= fault.from_ns)
        };
        if let Some(row) = rows.iter_mut().find(is_free) {
            row.push(fault);
        } else if rows.len() < ROWS_MAX {
            rows.push(vec![fault]);
        } else {
            hidden += 1;
        }
    }
    (rows, hidden)
}

fn bar(svg: &mut String, fault: &FaultResult, scale: Scale, top: f64) {
    let (from, to) = (scale.x(fault.from_ns), scale.x(fault.to_ns.unwrap_or(scale.end)));
    let (width, name) = ((to - from).max(2.0), escaped(&fault.fault));
    let fill = if fault.evidence.is_some() {
        "#ffaba8"
    } else {
        "#d0d7de"
    };
    // A name that does not fit its bar, even without its targets, is shown when it is pointed at.
    let short = name.split('(').next().unwrap_or_default();
    let fits = |label: &&str| label.chars().count() as f64 * 6.0 < width;
    let label = [name.as_str(), short].into_iter().find(fits).unwrap_or_default();
    put(
        svg,
        format_args!(
            "<g><title>{name}: {}</title><rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\" \
             fill=\"{fill}\"/><text x=\"{:.1}\" y=\"{:.1}\">{label}</text></g>",
            escaped(&fault.effect()),
            ROW - 3.0,
            from + 3.0,
            top + 11.0
        ),
    );
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a string takes whatever is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::results::Counts;

    #[test]
    fn a_long_run_is_drawn_in_few_columns_that_lose_nothing() {
        let mut tally = samples::tally();
        tally.stretches = vec![
            Counts {
                ok: 3,
                info: 1,
                ..Counts::default()
            };
            100_000
        ];
        let (columns, _) = columns(&tally);
        assert!(columns.len() <= COLUMNS_MAX);
        assert_eq!(columns.iter().map(|column| column.ok).sum::<u64>(), 300_000);
        assert_eq!(columns.iter().map(|column| column.other).sum::<u64>(), 100_000);
    }

    #[test]
    fn faults_at_the_same_time_stand_in_different_rows() {
        let fault = |from_ns, to_ns| FaultResult {
            from_ns,
            to_ns,
            ..samples::results().faults[0].clone()
        };
        let faults = [
            fault(0, Some(10)),
            fault(5, None),
            fault(10, Some(20)),
            fault(30, Some(40)),
        ];
        let (drawn, hidden) = rows(&faults, 100);
        let times: Vec<Vec<u64>> = drawn
            .iter()
            .map(|row| row.iter().map(|fault| fault.from_ns).collect())
            .collect();
        assert_eq!((times, hidden), (vec![vec![0, 10, 30], vec![5]], 0));
        let faults = vec![fault(0, None); 20];
        let (drawn, hidden) = rows(&faults, 100);
        assert_eq!((drawn.len(), hidden), (ROWS_MAX, 20 - ROWS_MAX));
    }
}
