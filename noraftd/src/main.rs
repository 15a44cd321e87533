//! The `noraftd` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    noraftd::cli::main()
}
