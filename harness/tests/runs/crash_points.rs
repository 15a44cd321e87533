//! Crashes between the writes of the kernel: the daemon survives them, and would be caught if it did not.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::path::Path;
use std::process::{Command, Output};

use crate::site::{HARNESS, Site, said};
use crate::skip::skip;

/// A few crashes; `None`, with a message, where the machine does not let us.
fn crash(folder: &Path, more: &[&str]) -> Option<Output> {
    Site::new()?;
    let mut command = Command::new(HARNESS);
    command.args(["crash-points", "--points", "12", "--time", "1s", "--out"]);
    let output = command.arg(folder).args(more).output().unwrap();
    if said(&output).contains("not possible here") {
        skip(said(&output).lines().last().unwrap_or_default());
        return None;
    }
    Some(output)
}

#[test]
fn what_was_acknowledged_is_there_whatever_of_the_rest_a_crash_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = crash(folder.path(), &[]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("verdict: valid"), "{}", said(&output));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "a run that found nothing leaves nothing");
}

#[test]
fn a_disk_that_forgets_what_it_flushed_is_found_with_an_image_that_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = crash(folder.path(), &["--forgets"]) else {
        return;
    };
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("was acknowledged"), "{text}");
    let mut images = text
        .lines()
        .filter_map(|line| line.strip_prefix("  to look at it: mount -o loop "));
    let image = images.next().unwrap().trim_end_matches(" /mnt");
    // The magic number of ext4, little-endian, at byte 56 of the superblock, which begins at 1024.
    let bytes = std::fs::read(image).unwrap();
    assert_eq!(bytes[1024 + 56..1024 + 58], [0x53, 0xef], "{image}");
}
