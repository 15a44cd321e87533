//! The `harness` program: dispatches to one file a verb under `cli/`.

mod cli;

use std::process::ExitCode;

/// A simulation allocates in small pieces all the time: a fifth of its time was spent in the allocator of libc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
