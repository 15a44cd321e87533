//! System calls that have no safe form: those of power cuts on ext4, and of tracing.

#![expect(
    unsafe_code,
    reason = "an ioctl, cachestat(2) and a request of ptrace(2) that nix does not wrap; see SAFETY below"
)]

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

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

/// The number of the system call that a traced thread is stopped at the entry of; `None` when it is stopped elsewhere.
pub(super) fn call_entered(tid: Pid) -> Result<Option<u64>, Errno> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    // SAFETY: ptrace(2) writes at most as many bytes as it is given, which is the size of what the pointer points to; all of them are
    // zero before, which is a value of every field.
    let info = unsafe {
        let result = libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            tid.as_raw(),
            size_of::<libc::ptrace_syscall_info>(),
            info.as_mut_ptr(),
        );
        Errno::result(result)?;
        info.assume_init()
    };
    let is_entry = info.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
    // SAFETY: all bytes were zero before, so the field has a value; the kernel has written it where this is the entry of a call.
    Ok(is_entry.then_some(unsafe { info.u.entry.nr }))
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
