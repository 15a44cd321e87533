//! `noraftd completion`: what a shell needs to complete the verbs and flags.

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::say;
use crate::exit::Exit;

/// Prints a script that makes a shell complete the verbs and flags of noraftd.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completion {
    /// The shell.
    shell: Known,
}

/// The shells that a test runs, or at least reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// Prints what completes `program`.
    pub(super) fn run(self, mut program: Command) -> Exit {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut program, "noraftd", &mut script);
        say(String::from_utf8_lossy(&script).trim_end());
        Exit::Done
    }
}

const EXAMPLES: &str = "\
Examples:
  noraftd completion bash > /etc/bash_completion.d/noraftd
  noraftd completion zsh > /usr/share/zsh/site-functions/_noraftd
  noraftd completion fish > ~/.config/fish/completions/noraftd.fish";
