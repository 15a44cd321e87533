//! `noraftd check-disk`: what the syncs of a disk really take, written as a node writes its log.

use std::fmt::Write;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;

use super::{complain, say};
use crate::exit::Exit;
use crate::shell::clock;
use crate::store::disk::{Disk, DiskFile, RealDisk};
use crate::units::parse_time;

/// Measures how long the disk of a directory takes to make writes durable.
///
/// It writes into a file of its own below DIR as a node writes its log: a batch after the other into room that was allocated before, small ones
/// with a write and a sync, large ones with one direct write. Then it says whether the election timeout is long enough for such a disk. What else
/// writes to the disk meanwhile is measured with it: run it while the machine does what it usually does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct CheckDisk {
    /// A directory on the disk: the data directory, or where it is to be.
    dir: PathBuf,
    /// How long to measure each size.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse)]
    time: Duration,
    /// The election timeout to compare with.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse)]
    election_timeout: Duration,
    /// Print the result as one line of JSON.
    #[arg(long)]
    json: bool,
}

fn parse(text: &str) -> Result<Duration, String> {
    let time = parse_time(text).filter(|time| !time.is_zero());
    time.ok_or_else(|| "expected a time, as in 500ms or 30s".to_owned())
}

/// How batches of one size fared.
#[derive(Debug)]
struct Measured {
    bytes: usize,
    is_direct: bool,
    /// How long each took, in order of length.
    took: Vec<Duration>,
}

impl CheckDisk {
    /// Measures and prints.
    pub(super) fn run(self) -> Exit {
        let all = match measure_all(&self.dir, self.time) {
            Ok(all) => all,
            Err((exit, error)) => {
                complain(format_args!("cannot measure in {}: {error}", self.dir.display()));
                return exit;
            }
        };
        let (least, is_enough) = verdict(&all, self.election_timeout);
        say(match self.json {
            true => as_json(&all, least, is_enough),
            false => as_text(&all, least, self.election_timeout),
        });
        if is_enough { Exit::Done } else { Exit::Failed }
    }
}

/// The election timeout that such a disk needs, and whether `timeout` is as long.
fn verdict(all: &[Measured], timeout: Duration) -> (Duration, bool) {
    let slow = all.iter().map(|measured| percentile(&measured.took, 990)).max();
    let least = slow.unwrap_or_default() * SYNCS_PER_TIMEOUT;
    (least, least <= timeout)
}

fn measure_all(dir: &Path, time: Duration) -> Result<Vec<Measured>, (Exit, io::Error)> {
    let (_own, file) = prepare(dir).map_err(|error| (Exit::CannotCreate, error))?;
    let all = SIZES.map(|bytes| measure(&file, bytes, time));
    let all: io::Result<_> = all.into_iter().collect();
    all.map_err(|error| (Exit::Disk, error))
}

/// A file as a segment is before it is written to, in a directory that goes when it is dropped.
fn prepare(dir: &Path) -> io::Result<(TempDir, Arc<dyn DiskFile>)> {
    let own = tempfile::Builder::new().prefix(".check-disk-").tempdir_in(dir)?;
    let disk = RealDisk::open(own.path())?;
    let file = disk.create("batches")?;
    file.allocate(FILE_BYTES)?;
    // What is written first is zeros, so that later syncs write no attributes.
    let zeros = vec![0; CHUNK_BYTES];
    for at in (0..FILE_BYTES).step_by(CHUNK_BYTES) {
        file.write_at(at, &[IoSlice::new(&zeros)])?;
    }
    file.sync_all()?;
    disk.sync_dir()?;
    Ok((own, file))
}

fn measure(file: &Arc<dyn DiskFile>, bytes: usize, time: Duration) -> io::Result<Measured> {
    let (mut took, mut at, mut is_direct) = (Vec::new(), 0, false);
    let batch = Aligned::new(bytes);
    let pieces = [IoSlice::new(batch.bytes())];
    let end = clock::now() + time;
    while took.is_empty() || (clock::now() < end && took.len() < BATCHES_MAX) {
        let begun = clock::now();
        is_direct = bytes >= DIRECT_BYTES && file.write_durably(at, &pieces)?;
        if !is_direct {
            file.write_at(at, &pieces)?;
            file.sync_data()?;
        }
        took.push(clock::now() - begun);
        at = (at + bytes as u64) % (FILE_BYTES - bytes as u64);
        at -= at % PAGE_BYTES as u64;
    }
    took.sort_unstable();
    Ok(Measured {
        bytes,
        is_direct,
        took,
    })
}

/// Bytes that begin at a page in memory, as direct writes want them.
struct Aligned {
    bytes: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let bytes: Vec<u8> = (0..length + PAGE_BYTES).map(|n| (n % 251) as u8).collect();
        let begin = bytes.as_ptr().align_offset(PAGE_BYTES);
        Self { bytes, begin, length }
    }

    fn bytes(&self) -> &[u8] {
        let end = self.begin + self.length;
        self.bytes
            .get(self.begin..end)
            .expect("a page more was taken than is needed")
    }
}

/// The value that so many of a thousand do not exceed; zero of nothing.
fn percentile(sorted: &[Duration], permille: usize) -> Duration {
    let at = (sorted.len() * permille).div_ceil(1000).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

fn as_text(all: &[Measured], least: Duration, timeout: Duration) -> String {
    let mut text = format!(
        "{:>8}  {:<16}{:>8}{:>10}{:>10}{:>10}{:>10}\n",
        "BATCH", "HOW", "COUNT", "P50", "P99", "P99.9", "SLOWEST"
    );
    for measured in all {
        let how = if measured.is_direct {
            "one direct write"
        } else {
            "write, then sync"
        };
        let [p50, p99, p999, slowest] =
            PERMILLES.map(|permille| millis(percentile(&measured.took, permille)));
        let (size, count) = (format!("{} KiB", measured.bytes >> 10), measured.took.len());
        writeln!(
            text,
            "{size:>8}  {how:<16}{count:>8}{p50:>10}{p99:>10}{p999:>10}{slowest:>10}"
        )
        .expect("a string takes every line");
    }
    let (is, least) = (
        if least <= timeout {
            "long enough"
        } else {
            "TOO SHORT"
        },
        millis(least),
    );
    write!(
        text,
        "An election takes several syncs: such a disk needs an election timeout of {least}; {} is {is}.",
        millis(timeout)
    )
    .expect("a string takes every line");
    text
}

fn as_json(all: &[Measured], least: Duration, is_enough: bool) -> String {
    let sizes: Vec<_> = all
        .iter()
        .map(|measured| {
            let [p50, p99, p999, slowest] =
                PERMILLES.map(|permille| percentile(&measured.took, permille).as_micros() as u64);
            serde_json::json!({
                "bytes": measured.bytes, "direct": measured.is_direct, "count": measured.took.len(),
                "p50_us": p50, "p99_us": p99, "p999_us": p999, "slowest_us": slowest,
            })
        })
        .collect();
    let least = least.as_millis() as u64;
    serde_json::json!({ "batches": sizes, "election_timeout_min_ms": least, "is_enough": is_enough })
        .to_string()
}

fn millis(time: Duration) -> String {
    format!("{:.2}ms", time.as_secs_f64() * 1000.0)
}

const PERMILLES: [usize; 4] = [500, 990, 999, 1000];
/// A write alone, a batch of many, and one that is written directly.
const SIZES: [usize; 3] = [4 << 10, 12 << 10, 64 << 10];
/// From so many bytes on, a batch is one direct write.
const DIRECT_BYTES: usize = 16 << 10;
const PAGE_BYTES: usize = 4096;
/// As a segment is by default.
const FILE_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;
/// More say nothing new.
const BATCHES_MAX: usize = 100_000;
/// Four for an election; and twice that, for the next one may be among the slowest.
pub(super) const SYNCS_PER_TIMEOUT: u32 = 8;

const EXAMPLES: &str = "\
Examples:
  noraftd check-disk /var/lib
  noraftd check-disk /var/lib/noraft --time 30s --election-timeout 1s
  noraftd check-disk /var/lib --json | jq .election_timeout_min_ms";

static LONG_EXAMPLES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{EXAMPLES}\n\nExit codes:\n  0   the election timeout is long enough for this disk\n  1   it is too short\n  \
         64  the command line is wrong\n  73  the directory cannot be written\n  74  the disk failed"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(took: &[u64]) -> Measured {
        Measured {
            bytes: 4096,
            is_direct: false,
            took: took.iter().map(|millis| Duration::from_millis(*millis)).collect(),
        }
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let hundred: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let found = [0, 1, 500, 990, 999, 1000].map(|permille| percentile(&hundred, permille).as_millis());
        assert_eq!(found, [1, 1, 50, 99, 100, 100]);
        assert_eq!(percentile(&[], 500), Duration::ZERO);
        assert_eq!(percentile(&hundred[..1], 990), Duration::from_millis(1));
    }

    #[test]
    fn the_slowest_size_decides_whether_the_timeout_is_long_enough() {
        let all = [measured(&[1, 2, 3]), measured(&[5, 60])];
        assert_eq!(
            verdict(&all, Duration::from_millis(500)),
            (Duration::from_millis(480), true)
        );
        assert_eq!(
            verdict(&all, Duration::from_millis(479)),
            (Duration::from_millis(480), false)
        );
        assert!(
            as_text(&all, Duration::from_millis(480), Duration::from_millis(479))
                .ends_with("479.00ms is TOO SHORT.")
        );
    }

    #[test]
    fn a_directory_is_measured_and_left_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let all = measure_all(dir.path(), Duration::from_millis(1)).expect("it can be written");
        assert_eq!(
            all.iter().map(|measured| measured.bytes).collect::<Vec<_>>(),
            SIZES
        );
        assert!(
            all.iter()
                .all(|measured| !measured.took.is_empty() && measured.took.is_sorted())
        );
        assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0);
        assert!(measure_all(&dir.path().join("gone"), Duration::from_millis(1)).is_err());
    }
}
