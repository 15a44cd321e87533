//! What the disk under the servers can do: the limit that all of them share.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::clock::now;
use crate::figures::median;

/// The median time, in microseconds, to write and sync 4 KiB in a file whose blocks exist.
pub(crate) fn sync_micros(dir: &Path) -> io::Result<f64> {
    let path = dir.join("sync-probe");
    let file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let block = [1u8; BLOCK_BYTES];
    for at in 0..BLOCKS {
        file.write_all_at(&block, at * BLOCK_BYTES as u64)?;
    }
    file.sync_all()?;
    let mut times: Vec<Duration> = Vec::new();
    for at in 0..BLOCKS {
        let start = now();
        file.write_all_at(&block, at * BLOCK_BYTES as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    let micros = times.iter().map(|time| time.as_secs_f64() * 1e6);
    Ok(median(micros).expect("there are blocks"))
}

const BLOCK_BYTES: usize = 4096;
const BLOCKS: u64 = 500;
