//! The `noraftd` command.

use std::process::ExitCode;

use noraftd::memory::OrExit;

#[global_allocator]
static ALLOCATOR: OrExit = OrExit;

fn main() -> ExitCode {
    noraftd::cli::main()
}
