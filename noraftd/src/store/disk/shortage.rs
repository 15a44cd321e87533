//! What the system lacks for a moment: file descriptors, memory, room on the disk.
//!
//! Invariant: a shortage says nothing about the disk. It passes when something is given back, so whatever
//! met it is tried again; it is neither a failure nor a full disk.

use std::io;

use nix::errno::Errno;

/// True when the system had no file descriptor or no memory to give (open(2), mmap(2)).
pub fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS)
    )
}

/// True when there is no room: the disk is full, or a limit of the owner's files or of a file's size is reached.
pub(in crate::store) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_distinguished_from_what_the_disk_says() {
        let of = |errno: Errno| is_shortage(&io::Error::from(errno));
        assert!(of(Errno::EMFILE) && of(Errno::ENFILE) && of(Errno::ENOMEM));
        assert!(!of(Errno::EIO) && !of(Errno::ENOSPC) && !of(Errno::EROFS));
        assert!(!is_shortage(&io::ErrorKind::StorageFull.into()));
    }

    #[test]
    fn a_full_disk_is_distinguished_from_one_that_fails() {
        let of = |errno: Errno| is_full(&io::Error::from(errno));
        assert!(of(Errno::ENOSPC) && of(Errno::EDQUOT) && of(Errno::EFBIG));
        assert!(!of(Errno::EIO) && !of(Errno::EROFS) && !of(Errno::EMFILE));
    }
}
