//! Orders to a running cluster: the secret is proven, the order is given, and a refusal comes with what to do about it.
//!
//! Invariant: no order is given when the secret cannot be read.

use std::path::Path;

use super::complain;
use super::query::{QueryError, ask_status, know_secrets};
use super::tls_flags::TlsFlags;
use crate::endpoint::Endpoint;
use crate::exit::Exit;

/// Gives an order to the node at `address`. `advice` says what to do about a refusal, as the end of a line.
///
/// # Errors
///
/// When it was not carried out; that is said by then.
pub(super) fn give<T>(
    address: &Endpoint,
    secret_file: Option<&Path>,
    tls: &TlsFlags,
    order: impl FnOnce(&Endpoint) -> Result<T, QueryError>,
    advice: impl FnOnce(&str) -> String,
) -> Result<T, Exit> {
    if let Err(error) = know_secrets(secret_file) {
        complain(error);
        return Err(Exit::Config);
    }
    if let Err(error) = tls.use_them() {
        complain(error);
        return Err(Exit::Config);
    }
    order(address).map_err(|error| {
        let advice = match &error {
            QueryError::Refused(_, text) => advice(text),
            QueryError::Unreachable(..) | QueryError::Strange(..) | QueryError::Tls(..) => String::new(),
        };
        complain(format_args!("{error}{advice}"));
        error.exit()
    })
}

/// Advice about an order that only the leader takes; `shown` is what the status shows of it.
pub(super) fn advice_of_follower(address: &Endpoint, refusal: &str, shown: &str) -> String {
    if refusal.starts_with("INDEFINITE") {
        return format!("; `noraftd status` shows {shown}, and it does no harm to ask again");
    }
    if !refusal.starts_with("NOTLEADER") {
        return String::new();
    }
    let leader = ask_status(address)
        .ok()
        .and_then(|(report, _)| report.view.leader);
    leader.map_or_else(String::new, |leader| format!("; node {leader} leads"))
}
