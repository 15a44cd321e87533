//! A copy of a history, compressed.
//!
//! Invariant: what the copy holds is what the original holds, byte for byte, and the copy has no time and no
//! file name in it, so that the same history gives the same file.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use super::{GoldenError, at};

/// The ending that says which kind of history the file at `path` is, compressed or not.
pub(super) fn ending(path: &Path) -> String {
    let ending = |path: &Path| {
        path.extension()
            .map(|ending| ending.to_string_lossy().into_owned())
    };
    match ending(path) {
        Some(last) if last == "gz" => ending(&path.with_extension("")),
        other => other,
    }
    .unwrap_or_else(|| "txt".to_owned())
}

/// Writes what the file at `from` holds, compressed, into the new file `to`; its SHA-256.
pub(super) fn compress(from: &Path, to: &Path) -> Result<String, GoldenError> {
    let mut input = open(from)?;
    let output = File::create_new(to).map_err(at(to))?;
    let mut packer = GzBuilder::new().write(BufWriter::new(output), Compression::best());
    let copied = copy(&mut input, &mut packer);
    let finished = copied.and_then(|sha256| {
        packer
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(sha256)
    });
    if finished.is_err() {
        // Half a copy would be taken for a history.
        let _ = fs::remove_file(to);
    }
    finished.map_err(at(from))
}

/// The SHA-256 of what the file at `path` holds.
pub(super) fn sha256(path: &Path) -> Result<String, GoldenError> {
    copy(&mut open(path)?, &mut io::sink()).map_err(at(path))
}

/// The file at `path`, decompressed if it has to be.
fn open(path: &Path) -> Result<Box<dyn Read>, GoldenError> {
    let mut file = BufReader::new(File::open(path).map_err(at(path))?);
    let start = io::BufRead::fill_buf(&mut file).map_err(at(path))?;
    Ok(match start.starts_with(&GZIP) {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}

fn copy(input: &mut dyn Read, output: &mut dyn Write) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = input.read(&mut chunk)?;
        if length == 0 {
            let digest = digest.finalize();
            return Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(&chunk[..length]);
        output.write_all(&chunk[..length])?;
    }
}

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How much is copied at a time.
const CHUNK_BYTES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_what_the_original_holds_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = "{\"history\":1}\n".repeat(10_000);
        fs::write(path("a.jsonl"), &text).unwrap();
        let first = compress(&path("a.jsonl"), &path("b.jsonl.gz")).unwrap();
        // A compressed original is not compressed twice.
        let second = compress(&path("b.jsonl.gz"), &path("c.jsonl.gz")).unwrap();
        assert_eq!(first, second);
        assert_eq!(
            sha256(&path("c.jsonl.gz")).unwrap(),
            sha256(&path("a.jsonl")).unwrap()
        );
        assert_eq!(
            fs::read(path("b.jsonl.gz")).unwrap(),
            fs::read(path("c.jsonl.gz")).unwrap()
        );
        let mut held = String::new();
        open(&path("c.jsonl.gz"))
            .unwrap()
            .read_to_string(&mut held)
            .unwrap();
        assert_eq!(held, text);
        assert!(
            compress(&path("a.jsonl"), &path("b.jsonl.gz")).is_err(),
            "it exists"
        );
    }

    #[test]
    fn the_ending_is_that_of_the_history() {
        let of = |path: &str| ending(Path::new(path));
        assert_eq!(
            (of("a/history.edn.gz"), of("b.log")),
            ("edn".to_owned(), "log".to_owned())
        );
        assert_eq!(
            (of("history"), of("history.gz")),
            ("txt".to_owned(), "txt".to_owned())
        );
    }

    #[test]
    fn an_archive_that_ends_too_soon_is_an_error_and_leaves_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "x".repeat(100_000)).unwrap();
        compress(&path("a"), &path("a.gz")).unwrap();
        let whole = fs::read(path("a.gz")).unwrap();
        fs::write(path("torn.gz"), &whole[..whole.len() - 4]).unwrap();
        assert!(compress(&path("torn.gz"), &path("b.gz")).is_err());
        assert!(!path("b.gz").exists());
    }
}
