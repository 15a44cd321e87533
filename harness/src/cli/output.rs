//! `println!` and `eprintln!` for the verbs. The ones of the standard library panic when the reader has gone, as with
//! `harness sim ... | head`; with these a verb goes on to its end, and its exit code is the usual one.
//!
//! Invariant: only a closed pipe is quiet. Output that is lost for another reason ends the program, as trouble of the harness.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::exit;

use harness::results::EXIT_HARNESS_FAILURE;

/// A line on standard output.
macro_rules! println {
    () => { $crate::cli::output::line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}

/// A line on standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::output::note(format_args!($($text)*)) };
}

pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = write_line(io::stdout(), text) {
        note(format_args!("harness: standard output: {error}"));
        exit(i32::from(EXIT_HARNESS_FAILURE));
    }
}

pub(crate) fn note(text: Arguments<'_>) {
    if write_line(io::stderr(), text).is_err() {
        // There is no other place to say so.
        exit(i32::from(EXIT_HARNESS_FAILURE));
    }
}

fn write_line(mut to: impl Write, text: Arguments<'_>) -> io::Result<()> {
    match to.write_fmt(format_args!("{text}\n")) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_closed_pipe_is_quiet() {
        let written = |kind| write_line(Closed(kind), format_args!("text")).map_err(|error| error.kind());
        assert_eq!(written(ErrorKind::BrokenPipe), Ok(()));
        assert_eq!(written(ErrorKind::StorageFull), Err(ErrorKind::StorageFull));
    }
}
