//! Times and numbers as the page writes them.

use std::collections::BTreeMap;

/// Nanoseconds as seconds: `12.3 s`.
pub(super) fn seconds(nanos: u64) -> String {
    format!("{:.1} s", nanos as f64 / 1e9)
}

/// A moment of a violation: seconds to the microsecond.
pub(super) fn moment(nanos: u64) -> String {
    format!("{:.6} s", nanos as f64 / 1e9)
}

/// How long something took: `340 ms`, `2.31 s`.
pub(crate) fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} µs", nanos / 1000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}

/// `12,034`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 fault`, `2,000 faults`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", count(number))
}

/// The nodes that a fault with its targets is about, such as `kill-one(n1)`, in order. Of links (`n1>n3`) those that most of the
/// cut links belong to: the node that is isolated, the smaller half.
pub(super) fn nodes_of(fault: &str) -> Vec<u64> {
    let words = fault.split(|char: char| !char.is_ascii_alphanumeric());
    let mut nodes: BTreeMap<u64, usize> = BTreeMap::new();
    for node in words.filter_map(|word| word.strip_prefix('n')?.parse().ok()) {
        *nodes.entry(node).or_default() += 1;
    }
    let least = match fault.contains('>') {
        true => nodes.values().max().copied().unwrap_or(0),
        false => 0,
    };
    nodes.retain(|_, count| *count >= least);
    nodes.into_keys().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_times_units() {
        assert_eq!(
            [count(7), count(1234), count(1_234_567)],
            ["7", "1,234", "1,234,567"]
        );
        assert_eq!(duration(340_900_000), "340 ms");
        assert_eq!(duration(2_310_000_000), "2.31 s");
        assert_eq!(counted(1, "fault"), "1 fault");
    }

    #[test]
    fn nodes_are_found_in_targets() {
        assert_eq!(nodes_of("kill-minority(n3 n1)"), [1, 3]);
        assert_eq!(
            nodes_of("partition-isolate-one-drop(n1>n3 n2>n3 n3>n1 n3>n2)"),
            [3]
        );
        assert_eq!(nodes_of("partition-one-way(n1>n2)"), [1, 2]);
        assert_eq!(nodes_of("kill-one(n12)"), [12]);
        assert_eq!(nodes_of("noise"), [0; 0]);
    }
}
