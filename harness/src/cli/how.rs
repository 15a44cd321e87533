//! How a history is checked, where that is not guessed: the same options for every verb that checks one.

use harness::checker::{ModelName, NilReads, Options};
use harness::formats;
use harness::golden::How;

/// What the history does not say itself.
#[derive(clap::Args)]
pub(crate) struct HowArgs {
    /// Model of the system; when absent, guessed from the functions in the history
    #[arg(long, value_parser = parse_model)]
    pub(crate) model: Option<ModelName>,
    /// The state before the first operation, in EDN or JSON: the value of every register or key,
    /// the elements of sets and lists, the number of a counter, the balances or total of accounts, the
    /// token of a lock's holder [default: nothing; 0 for counters]
    #[arg(long, value_parser = parse_initial)]
    pub(crate) initial: Option<String>,
    /// Values are [key value] pairs, and each key is checked by itself [default: yes if each operation,
    /// reads included, is invoked with a pair]
    #[arg(long, value_name = "yes|no", value_parser = parse_yes_or_no)]
    pub(crate) independent: Option<bool>,
    /// What a read of nil means: the value was nil, or the result is unknown [default: value, but unknown
    /// for a register that is never nil]
    #[arg(long, value_name = "value|unknown", value_parser = parse_nil_reads)]
    pub(crate) nil_reads: Option<NilReads>,
    /// A failed compare-and-set found a value other than the expected one (always so in Jepsen log lines)
    #[arg(long)]
    pub(crate) failed_cas_differs: bool,
}

impl HowArgs {
    /// For a check with `threads` threads.
    pub(crate) fn options(&self, threads: usize) -> Options {
        Options {
            model: self.model,
            initial: self.initial.clone(),
            independent: self.independent,
            nil_reads: self.nil_reads,
            threads,
        }
    }

    /// For a history that is kept.
    pub(crate) fn kept(&self) -> How {
        How {
            model: self.model.map(|model| model.name().to_owned()),
            initial: self.initial.clone(),
            independent: self.independent,
            nil_reads: self.nil_reads.map(|reads| reads.name().to_owned()),
            failed_cas_differs: self.failed_cas_differs,
        }
    }
}

fn parse_model(text: &str) -> Result<ModelName, String> {
    ModelName::parse(text).ok_or_else(|| {
        let names: Vec<_> = ModelName::ALL.iter().map(|model| model.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn parse_initial(text: &str) -> Result<String, String> {
    if formats::is_value(text) {
        Ok(text.to_owned())
    } else {
        Err("expected one value in EDN or JSON".to_owned())
    }
}

fn parse_yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

fn parse_nil_reads(text: &str) -> Result<NilReads, String> {
    NilReads::parse(text).ok_or_else(|| "expected value or unknown".to_owned())
}
