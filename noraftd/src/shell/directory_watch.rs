//! Whether the data directory is still where it was.
//!
//! A process can go on writing into files that no one will find again: the directory was removed, moved away,
//! or another file system was mounted over it. What is promised then is gone with the process.
//!
//! Invariant: nothing of this changes anything.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::is_shortage;

/// A directory, as it was when the node started.
#[derive(Debug)]
pub(super) struct DirectoryWatch {
    path: PathBuf,
    identity: (u64, u64),
}

/// The directory is not the same any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data directory {path} is gone: {why}; the node ends, because what it writes could not be found again"
)]
pub(super) struct DirectoryGone {
    path: String,
    why: String,
}

impl DirectoryWatch {
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    pub(super) fn check(&self) -> Result<(), DirectoryGone> {
        let why = match identity(&self.path) {
            Ok(identity) if identity == self.identity => return Ok(()),
            // The look failed, so nothing was seen.
            Err(error) if is_shortage(&error) => return Ok(()),
            Ok(_) => "another one is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(DirectoryGone {
            path: self.path.display().to_string(),
            why,
        })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_replaced_is_not_the_same() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        fs::create_dir(&path).unwrap();
        let watch = DirectoryWatch::begin(&path).unwrap();
        watch.check().unwrap();
        fs::rename(&path, place.path().join("elsewhere")).unwrap();
        assert!(watch.check().unwrap_err().to_string().contains("No such file"));
        fs::create_dir(&path).unwrap();
        assert!(watch.check().unwrap_err().to_string().contains("another one"));
    }
}
