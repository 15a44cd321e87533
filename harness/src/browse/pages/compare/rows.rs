//! Facts of two things, with what differs marked: by a word as well as by a colour.

use maud::{Markup, html};

use super::super::words::{count, figure, scrolled};

/// A fact of both.
pub(super) struct Row {
    name: String,
    one: Option<String>,
    two: Option<String>,
    change: Change,
}

/// How a fact of the second differs from that of the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    Same,
    Differs,
    /// The second is so many times the first.
    Times(f64),
}

impl Row {
    pub(super) fn text(name: &str, one: Option<String>, two: Option<String>) -> Self {
        let change = if one == two { Change::Same } else { Change::Differs };
        Self {
            name: name.to_owned(),
            one,
            two,
            change,
        }
    }

    /// Figures, written by `write`. Those that differ by less than a tenth are the same: runs are never alike to the last operation.
    pub(super) fn measured(name: &str, one: Option<f64>, two: Option<f64>, write: fn(f64) -> String) -> Self {
        let change = match (one, two) {
            (Some(one), Some(two)) if one > 0.0 && two > 0.0 => match two / one {
                times if (0.9..=1.1).contains(&times) => Change::Same,
                times => Change::Times(times),
            },
            (one, two) if one == two => Change::Same,
            (_, _) => Change::Differs,
        };
        Self {
            name: name.to_owned(),
            one: one.map(write),
            two: two.map(write),
            change,
        }
    }

    pub(super) fn counted(name: &str, one: u64, two: u64) -> Self {
        Self::measured(name, Some(one as f64), Some(two as f64), |number| {
            count(number as u64)
        })
    }
}

pub(super) fn part(title: &str, rows: &[Row]) -> Markup {
    html! { section { h2 { (title) } (table(title, rows)) } }
}

pub(super) fn table(title: &str, rows: &[Row]) -> Markup {
    let table = html! {
        table .compared {
            thead { tr { th { "Fact" } th { "First" } th { "Second" } th { "Difference" } } }
            tbody { @for row in rows {
                tr .differs[row.change != Change::Same] {
                    th scope="row" { (row.name) }
                    td data-label="First" { (row.one.as_deref().unwrap_or("none")) }
                    td data-label="Second" { (row.two.as_deref().unwrap_or("none")) }
                    td data-label="Difference" { (difference(row.change)) }
                }
            } }
        }
    };
    html! { @if rows.is_empty() { p .dim { "Nothing." } } @else { (scrolled(title, &table)) } }
}

fn difference(change: Change) -> Markup {
    match change {
        Change::Same => html! { span .dim { "same" } },
        Change::Differs => html! { b { "differs" } },
        Change::Times(times) => html! { b { "× " (figure(times)) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_no_difference_and_more_says_how_much() {
        let change = |one, two| Row::measured("p99", one, two, figure).change;
        assert_eq!(change(Some(100.0), Some(109.0)), Change::Same);
        assert_eq!(change(Some(100.0), Some(250.0)), Change::Times(2.5));
        assert_eq!(change(Some(0.0), Some(0.0)), Change::Same);
        assert_eq!(change(Some(0.0), Some(1.0)), Change::Differs);
        assert_eq!(change(None, Some(1.0)), Change::Differs);
        assert_eq!(change(None, None), Change::Same);
    }
}
