//! Metrics as Prometheus reads them: the text format, version 0.0.4.
//!
//! Invariant: a name is described once and all its samples follow; every line ends; no label breaks out of its quotes.

use std::fmt::{Display, Write};

use crate::histogram::Histogram;

/// A page of metrics that grows.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// A name whose samples are being written.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// What can go up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// What only goes up while the process lives.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// How often something took how long.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        put(
            &mut self.text,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Family {
            text: &mut self.text,
            name,
        }
    }
}

impl Family<'_> {
    /// The only sample.
    pub(super) fn is(self, value: impl Display) {
        put(self.text, format_args!("{} {value}\n", self.name));
    }

    /// A sample with labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A sample of a histogram.
    pub(super) fn observed(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let count = histogram.count();
        for (bound, below) in histogram.cumulative() {
            let bound = bound.as_secs_f64().to_string();
            self.line("_bucket", labels, Some(&bound), below.min(count));
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        put(self.text, format_args!("{}{suffix}", self.name));
        let mut mark = '{';
        for (label, said) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            put(self.text, format_args!("{mark}{label}=\"{}\"", escaped(said)));
            mark = ',';
        }
        let end = if mark == ',' { "}" } else { "" };
        put(self.text, format_args!("{end} {value}\n"));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes whatever is written");
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_is_what_the_format_says() {
        let mut page = Exposition::default();
        page.gauge("a_bytes", "What a is.").is(5);
        let mut family = page.counter("b_total", "What b is.");
        family.sample(&[("x", "1"), ("y", "say \"\\\n\"")], 2);
        family.sample(&[("x", "2"), ("y", "")], 0.5);
        assert_eq!(
            page.into_text(),
            "# HELP a_bytes What a is.\n# TYPE a_bytes gauge\na_bytes 5\n# HELP b_total What b is.\n# TYPE b_total counter\n\
             b_total{x=\"1\",y=\"say \\\"\\\\\\n\\\"\"} 2\nb_total{x=\"2\",y=\"\"} 0.5\n"
        );
    }

    #[test]
    fn a_histogram_has_rising_buckets_a_sum_and_a_count() {
        let histogram = Histogram::default();
        for micros in [3, 40_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = Exposition::default();
        page.histogram("t_seconds", "How long.")
            .observed(&[("c", "get")], &histogram);
        let text = page.into_text();
        for line in [
            "t_seconds_bucket{c=\"get\",le=\"0.000016\"} 1",
            "t_seconds_bucket{c=\"get\",le=\"16.777216\"} 1",
            "t_seconds_bucket{c=\"get\",le=\"+Inf\"} 2",
            "t_seconds_sum{c=\"get\"} 40.000003",
            "t_seconds_count{c=\"get\"} 2",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
