//! Numbers: medians, percentiles, and how a person reads them.

use std::time::Duration;

use crate::load::Sample;

/// What a round of a workload comes down to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Operations a second.
    pub(crate) rate: f64,
    /// Half of all operations took at most this many microseconds.
    pub(crate) p50: f64,
    /// 99 of 100 operations took at most this many microseconds.
    pub(crate) p99: f64,
    /// CPU time of all servers per operation, in microseconds.
    pub(crate) cpu: f64,
}

impl Figures {
    /// The figures of a round; `None` when no operation succeeded.
    pub(crate) fn of(sample: &Sample) -> Option<Self> {
        let operations = sample.latencies.len() as f64;
        Some(Self {
            rate: operations / sample.elapsed.as_secs_f64(),
            p50: f64::from(quantile(&sample.latencies, 0.5)?),
            p99: f64::from(quantile(&sample.latencies, 0.99)?),
            cpu: sample.cpu.as_secs_f64() * 1e6 / operations,
        })
    }
}

/// The smallest value that at least this share of the sorted `values` does not exceed.
fn quantile(values: &[u32], share: f64) -> Option<u32> {
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// The middle one; the mean of the two middle ones when their number is even.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// A rate: `812`, `8.1k`, `1.25M`.
pub(crate) fn rate(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0}"),
        1e3..1e5 => format!("{:.1}k", value / 1e3),
        1e5..1e6 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.2}M", value / 1e6),
    }
}

/// Microseconds: `85 us`, `1.2 ms`, `1.05 s`.
pub(crate) fn micros(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0} us"),
        1e3..1e4 => format!("{:.1} ms", value / 1e3),
        1e4..1e6 => format!("{:.0} ms", value / 1e3),
        _ => format!("{:.2} s", value / 1e6),
    }
}

/// A factor: `0.83`, `4.2`, `31`.
pub(crate) fn factor(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.2}"),
        1.0..20.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Bytes in MB.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Median, least and greatest: `512 ms (430 ms - 640 ms)`.
pub(crate) fn spread(times: &[Duration]) -> String {
    let each = || times.iter().map(|time| time.as_secs_f64() * 1e6);
    let Some(middle) = median(each()) else {
        return "-".to_owned();
    };
    let (least, greatest) = (each().fold(f64::MAX, f64::min), each().fold(0.0, f64::max));
    if times.len() == 1 {
        return micros(middle);
    }
    format!("{} ({} - {})", micros(middle), micros(least), micros(greatest))
}
