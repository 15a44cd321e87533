//! The two system calls of the ext4 tier that have no safe form.

#![expect(
    unsafe_code,
    reason = "an ioctl and cachestat(2), which nix does not wrap; see SAFETY below"
)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

/// Ends all writing of the file system that `directory` is on, at once: neither data nor journal is written any more.
pub(super) fn shut_down(directory: &File) -> Result<(), Errno> {
    let mut how = GOING_FLAGS_NOLOGFLUSH;
    // SAFETY: the request reads one u32 through the pointer, which is valid for the call; the descriptor is open.
    unsafe { fs_ioc_shutdown(directory.as_raw_fd(), &raw mut how) }.map(drop)
}

/// Bytes of `file` in the page cache that were not written. `None` where the kernel does not say (before 6.5).
pub(super) fn dirty_bytes(file: &File) -> Option<u64> {
    let whole = [0_u64; 2];
    let mut answer = [0_u64; 5];
    // SAFETY: cachestat(2) reads two u64 through the first pointer and writes five through the second; both
    // arrays are that long and live for the call. The descriptor is open.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            whole.as_ptr(),
            answer.as_mut_ptr(),
            0_u32,
        )
    };
    let [_, dirty_pages, ..] = answer;
    (result == 0).then_some(dirty_pages * PAGE_BYTES)
}

nix::ioctl_read!(
    /// `_IOR('X', 125, __u32)` of linux/fs.h; the argument goes in, whatever its name says.
    fs_ioc_shutdown,
    b'X',
    125,
    u32
);

/// The number that every architecture gives to cachestat(2).
const SYS_CACHESTAT: libc::c_long = 451;
/// Do not write the journal either.
const GOING_FLAGS_NOLOGFLUSH: u32 = 2;
const PAGE_BYTES: u64 = 4096;
