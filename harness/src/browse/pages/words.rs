//! Pieces of pages that many have.

use std::path::Path;

use maud::{Markup, html};

use crate::browse::beneath::inside;
use crate::browse::catalogue::{Run, When};
use crate::campaign::{Place, Verdict};
use crate::report::page::quoted;
pub(super) use crate::report::page::words::{count, counted, duration};

/// What a run is called.
pub(super) fn name(run: &Run) -> String {
    match run.about.seed {
        Some(seed) => format!("{}, seed {seed}", run.about.plan),
        None => run.about.plan.clone(),
    }
}

/// A verdict, as a word with its colour.
pub(super) fn verdict(verdict: Verdict) -> Markup {
    html! { b .(class(verdict)) { (verdict.name()) } }
}

/// The class that colours it.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Unknown | Verdict::Failed => "unknown",
        Verdict::Invalid => "invalid",
    }
}

/// Where something ran.
pub(super) fn place(place: Option<Place>) -> &'static str {
    place.map_or("not recorded", Place::name)
}

/// When it began.
pub(super) fn when(when: &When) -> Markup {
    html! {
        time { (when) }
        @if when.is_of_file() { " " span .dim title="The folder does not say when it began: this is when its result was written." { "(written)" } }
    }
}

/// A rate, with as many digits as say something.
pub(super) fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 || value.fract() == 0.0 => count(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// How long something took: `2 h 5 min`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The command that repeats a run, from any directory.
pub(super) fn repeat(root: &str, run: &Run) -> String {
    let script = Path::new(root).join(inside(&run.path, "repro.sh"));
    let plan = Path::new(root).join(inside(&run.path, "plan.toml"));
    match (run.has("repro.sh"), run.about.place) {
        (true, _) => quoted(&script),
        (false, Some(Place::Simulation)) => format!("harness sim {}", quoted(&plan)),
        (false, Some(Place::Processes) | None) => format!("harness run {}", quoted(&plan)),
    }
}

/// A command that can be copied.
pub(super) fn command(line: &str) -> Markup {
    html! {
        div .command { pre tabindex="0" { code { (line) } } button .copy type="button" { "Copy" } }
    }
}

/// A table that scrolls by itself where the screen is narrow, with the mouse and with the keyboard.
pub(super) fn scrolled(label: &str, table: &Markup) -> Markup {
    html! { div .wide role="region" aria-label=(label) tabindex="0" { (table) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_as_many_digits_as_say_something() {
        assert_eq!(
            [0.456, 4.0, 12.34, 1234.6].map(figure),
            ["0.46", "4", "12.3", "1,235"]
        );
        assert_eq!(span(1234), "1.2 s");
        assert_eq!(span(125_000), "2 min 5 s");
        assert_eq!(span(7_500_000), "2 h 5 min");
        assert_eq!([12, 2048, 3 << 20].map(bytes), ["12 B", "2.0 KiB", "3.0 MiB"]);
    }
}
