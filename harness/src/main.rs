//! The `harness` program: dispatches to one file a verb under `cli/`.

mod cli;

use std::process::ExitCode;

/// The simulation allocates for every message and for every start of a node: a tenth faster than with the system's.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
