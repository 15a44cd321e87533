//! Small drawings over days, as SVG in the page: they draw what a table beside them says.
//!
//! Invariant: bounded by the number of days, and without a script; colours are those of the theme.

use maud::{Markup, html};

/// What is drawn over which days.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) days: Vec<&'a str>,
    pub(super) write: fn(f64) -> String,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 150.0;
/// Room for the figures on the left, for the days below, and on the other sides.
const LEFT: f64 = 64.0;
const BELOW: f64 = 22.0;
const ABOVE: f64 = 10.0;
const RIGHT: f64 = 12.0;
/// The widest bar of a day.
const BAR_MAX: f64 = 28.0;

impl Plot<'_> {
    fn step(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.days.len().max(1) as f64
    }

    /// The middle of a day.
    fn x(&self, at: usize) -> f64 {
        LEFT + self.step() * (at as f64 + 0.5)
    }

    fn frame(&self, what: &str, top: &str, inside: &Markup) -> Markup {
        let (first, last) = (self.days.first(), self.days.last());
        let base = HEIGHT - BELOW;
        html! {
            svg .plot viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{}: {what}", self.title)) {
                line .axis x1=(LEFT) y1=(base) x2=(WIDTH - RIGHT) y2=(base) {}
                line .grid x1=(LEFT) y1=(ABOVE) x2=(WIDTH - RIGHT) y2=(ABOVE) {}
                text x=(LEFT - 6.0) y=(ABOVE + 4.0) text-anchor="end" { (top) }
                text x=(LEFT - 6.0) y=(base + 4.0) text-anchor="end" { "0" }
                @if let Some(first) = first { text x=(LEFT) y=(HEIGHT - 5.0) { (first) } }
                @if self.days.len() > 1 && let Some(last) = last {
                    text x=(WIDTH - RIGHT) y=(HEIGHT - 5.0) text-anchor="end" { (last) }
                }
                (inside)
            }
        }
    }
}

/// A line through the values of the days that have one; it is broken where a day has none.
pub(super) fn line(plot: &Plot<'_>, values: &[Option<f64>]) -> Markup {
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let scale = if most > 0.0 { most } else { 1.0 };
    let y = |value: f64| HEIGHT - BELOW - value / scale * (HEIGHT - BELOW - ABOVE);
    let points: Vec<Option<(f64, f64)>> = values
        .iter()
        .enumerate()
        .map(|(at, value)| value.map(|value| (plot.x(at), y(value))))
        .collect();
    let inside = html! {
        @for run in points.split(Option::is_none).filter(|run| run.len() > 1) {
            polyline points=(joined(run)) {}
        }
        @for (at, value) in values.iter().enumerate() {
            @if let Some(value) = value {
                circle cx=(tenth(plot.x(at))) cy=(tenth(y(*value))) r="3.5" { title { (plot.days[at]) ": " ((plot.write)(*value)) } }
            }
        }
    };
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let last = known.last().copied().unwrap_or(0.0);
    let what = format!(
        "{} days, the last {}, the highest {}",
        known.len(),
        (plot.write)(last),
        (plot.write)(most)
    );
    plot.frame(&what, &(plot.write)(scale), &inside)
}

/// A bar for each day, with a part for each of four counts.
pub(super) fn bars(plot: &Plot<'_>, values: &[[u64; 4]]) -> Markup {
    let room = HEIGHT - BELOW - ABOVE;
    let width = (plot.step() * 0.8).min(BAR_MAX);
    let part = |counts: &[u64; 4], at: usize| {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let before = counts[..at].iter().sum::<u64>() as f64 / all;
        // What is there is seen, however small its part is.
        let own = (counts[at] as f64 / all * room).max(if counts[at] > 0 { 2.0 } else { 0.0 });
        let top = (HEIGHT - BELOW - before * room - own).max(ABOVE);
        (top, own)
    };
    let inside = html! {
        @for (day, counts) in values.iter().enumerate() {
            @for at in 0..4 {
                @let (top, height) = part(counts, at);
                @if height > 0.0 {
                    rect .(format!("part{at}")) x=(tenth(plot.x(day) - width / 2.0)) y=(tenth(top)) width=(tenth(width)) height=(tenth(height)) {
                        title { (plot.days[day]) ": " (counts[at]) " of " (counts.iter().sum::<u64>()) " " (crate::campaign::Verdict::ALL[at].name()) }
                    }
                }
            }
        }
    };
    let what = format!("{} days", values.len());
    plot.frame(&what, "all", &inside)
}

fn joined(points: &[Option<(f64, f64)>]) -> String {
    let points = points.iter().flatten();
    let points: Vec<String> = points
        .map(|(x, y)| format!("{},{}", tenth(*x), tenth(*y)))
        .collect();
    points.join(" ")
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot<'static> {
        Plot {
            title: "Speed",
            days: vec!["2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30"],
            write: |value| format!("{value} a second"),
        }
    }

    #[test]
    fn a_day_without_a_value_breaks_the_line() {
        let drawn = line(&plot(), &[Some(1.0), Some(2.0), None, Some(4.0)]).into_string();
        assert_eq!(drawn.matches("<circle").count(), 3, "{drawn}");
        assert_eq!(drawn.matches("<polyline").count(), 1, "{drawn}");
        assert!(drawn.contains("2026-11-30: 4 a second"), "{drawn}");
        assert!(
            drawn.contains("Speed: 3 days, the last 4 a second, the highest 4 a second"),
            "{drawn}"
        );
    }

    #[test]
    fn nothing_but_zeros_is_drawn_on_the_axis() {
        let drawn = line(&plot(), &[Some(0.0); 4]).into_string();
        assert_eq!(drawn.matches("cy=\"128\"").count(), 4, "{drawn}");
    }

    #[test]
    fn one_of_a_million_is_seen() {
        let mut values = [[0; 4]; 4];
        values[0] = [1_000_000, 0, 0, 1];
        let drawn = bars(&plot(), &values).into_string();
        assert!(drawn.contains("2026-11-27: 1 of 1000001 invalid"), "{drawn}");
        assert_eq!(drawn.matches("<rect").count(), 2, "{drawn}");
    }
}
