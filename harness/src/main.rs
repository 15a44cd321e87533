//! The `harness` program: dispatches to one file a verb under `cli/`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
