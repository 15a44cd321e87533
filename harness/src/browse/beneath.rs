//! Files below one folder, and no others.
//!
//! Invariant: what is read is a regular file inside the folder, whatever `..`, links or names say: the kernel resolves each name
//! with `RESOLVE_BENEATH` (openat2(2)), so that a link that leads out is refused even when it is made meanwhile. A pipe or a
//! device is refused, and never waited for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A folder, held open.
#[derive(Debug)]
pub struct Beneath {
    path: PathBuf,
    folder: File,
}

/// Why a file below the folder is not read.
#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    /// No such file.
    #[error("is not there")]
    Absent,
    /// A link or a name that leads out of the folder.
    #[error("leads out of the folder")]
    Outside,
    /// A folder, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// More than its reader will hold.
    #[error("has {bytes} bytes, and at most {most} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// The system.
    #[error("cannot be read: {0}")]
    Io(io::Error),
}

/// The name of a file in the folder `folder`; that of the file alone when the folder is the root.
pub fn inside(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// How often a name is resolved again when another process renames things meanwhile.
const ATTEMPTS: usize = 8;

impl Beneath {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    ///
    /// When it is no folder, or cannot be read.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let folder = File::open(&path)?;
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { path, folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file `name`, a path from the folder, to be read.
    ///
    /// # Errors
    ///
    /// When it is no regular file inside the folder.
    pub fn open(&self, name: &str) -> Result<File, BeneathError> {
        let file = File::from(self.resolve(name)?);
        let about = file.metadata().map_err(BeneathError::Io)?;
        if about.is_file() {
            Ok(file)
        } else {
            Err(BeneathError::NotAFile)
        }
    }

    /// The content of the file `name`, of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// When it is no regular file inside the folder, or larger.
    pub fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, BeneathError> {
        let file = self.open(name)?;
        let bytes = file.metadata().map_err(BeneathError::Io)?.len();
        let mut content = Vec::new();
        // One more: a file that grows meanwhile.
        file.take(most.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(BeneathError::Io)?;
        let bytes = bytes.max(content.len() as u64);
        if bytes > most {
            return Err(BeneathError::TooLarge { bytes, most });
        }
        Ok(content)
    }

    /// The text of the file `name`, of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and when it is not UTF-8.
    pub fn read_text(&self, name: &str, most: u64) -> Result<String, BeneathError> {
        let bytes = self.read(name, most)?;
        String::from_utf8(bytes)
            .map_err(|_| BeneathError::Io(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))
    }

    fn resolve(&self, name: &str) -> Result<OwnedFd, BeneathError> {
        // Without waiting: a pipe without a writer would wait without end.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let mut last = Errno::EAGAIN;
        for _ in 0..ATTEMPTS {
            let how = OpenHow::new().flags(flags).resolve(resolve);
            match openat2(&self.folder, name, how) {
                Ok(file) => return Ok(file),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        Err(match last {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::EINVAL => BeneathError::Absent,
            Errno::EXDEV | Errno::ELOOP => BeneathError::Outside,
            // A socket.
            Errno::ENXIO => BeneathError::NotAFile,
            other => BeneathError::Io(other.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Beneath) {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::fs::write(inside.join("deep/file"), "content").unwrap();
        let beneath = Beneath::new(&inside).unwrap();
        (root, beneath)
    }

    #[test]
    fn a_file_inside_is_read_and_links_that_stay_inside_are_followed() {
        let (_root, beneath) = folder();
        symlink("deep", beneath.path().join("link")).unwrap();
        assert_eq!(beneath.read("deep/file", 10).unwrap(), b"content");
        assert_eq!(beneath.read("link/../link/file", 10).unwrap(), b"content");
    }

    #[test]
    fn what_leads_out_is_refused() {
        let (root, beneath) = folder();
        let secret = root.path().join("secret");
        symlink(&secret, beneath.path().join("absolute")).unwrap();
        symlink("../secret", beneath.path().join("relative")).unwrap();
        symlink("..", beneath.path().join("parent")).unwrap();
        symlink("loop", beneath.path().join("loop")).unwrap();
        let names = [
            "absolute",
            "relative",
            "parent/secret",
            "../secret",
            "deep/../../secret",
            "loop",
            "/etc/passwd",
        ];
        for name in names {
            let refused = beneath.read(name, 10);
            assert!(
                matches!(refused, Err(BeneathError::Outside)),
                "{name}: {refused:?}"
            );
        }
        assert!(matches!(beneath.read("a\0b", 10), Err(BeneathError::Absent)));
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused_without_waiting() {
        let (_root, beneath) = folder();
        let pipe = beneath.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(beneath.path().join("socket")).unwrap();
        for name in ["pipe", "socket", "deep", "."] {
            let refused = beneath.read(name, 10);
            assert!(
                matches!(refused, Err(BeneathError::NotAFile)),
                "{name}: {refused:?}"
            );
        }
        assert!(matches!(
            beneath.read("deep/file", 6),
            Err(BeneathError::TooLarge { bytes: 7, most: 6 })
        ));
    }
}
