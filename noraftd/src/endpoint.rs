//! Addresses: where a node listens, or can be reached.
//!
//! Invariant: an [`Endpoint`] that was parsed is well formed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::protocol::peer::is_client_address;

/// Where a node listens or can be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `HOST:PORT` or `tcp:HOST:PORT`.
    Tcp(String),
    /// `/path` or `unix:path`.
    Unix(PathBuf),
}

impl Endpoint {
    /// The address as others may be given it, HOST:PORT; `None` for one that only this machine understands.
    pub fn reachable_from_elsewhere(&self) -> Option<String> {
        let Self::Tcp(address) = self else { return None };
        let (host, _) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_any = host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_unspecified());
        (!is_any && is_client_address(address)).then(|| address.clone())
    }

    /// True when only processes of this machine reach it. Not for a host name: ask again with the address
    /// that it is bound to.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address
                .parse::<SocketAddr>()
                .is_ok_and(|at| at.ip().to_canonical().is_loopback()),
        }
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an address: {reason} (expected HOST:PORT, tcp:HOST:PORT, /path or unix:/path)")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).map_err(|reason| EndpointError {
            text: text.to_owned(),
            reason,
        })
    }
}

fn parse(text: &str) -> Result<Endpoint, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_path(path);
    }
    if text.starts_with('/') {
        return parse_path(text);
    }
    let address = text.strip_prefix("tcp:").unwrap_or(text);
    let (host, port) = address.rsplit_once(':').ok_or("the port is missing")?;
    if host.is_empty() {
        return Err("the host is missing");
    }
    port.parse::<u16>()
        .map_err(|_| "the port is not a number from 0 to 65535")?;
    Ok(Endpoint::Tcp(address.to_owned()))
}

fn parse_path(path: &str) -> Result<Endpoint, &'static str> {
    match path.len() {
        0 => Err("the path is missing"),
        UNIX_PATH_BYTES_END.. => Err("a Unix socket's path has at most 107 bytes"),
        _ => Ok(Endpoint::Unix(path.into())),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `sun_path` holds 108 bytes with its terminating zero (unix(7)).
const UNIX_PATH_BYTES_END: usize = UNIX_PATH_BYTES_MAX + 1;
/// The longest path of a socket.
pub(crate) const UNIX_PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().expect("a good address")
    }

    #[test]
    fn every_spelling_names_its_kind() {
        assert_eq!(endpoint("tcp:localhost:80"), Endpoint::Tcp("localhost:80".into()));
        assert_eq!(endpoint("[::1]:80"), Endpoint::Tcp("[::1]:80".into()));
        assert_eq!(endpoint("/tmp/a"), Endpoint::Unix("/tmp/a".into()));
        assert_eq!(endpoint("unix:a.sock"), Endpoint::Unix("a.sock".into()));
        for text in ["tcp:h:80", "h:0", "/a/b", "unix:c"] {
            assert_eq!(endpoint(&endpoint(text).to_string()), endpoint(text));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        let long = format!("/{}", "x".repeat(UNIX_PATH_BYTES_END));
        for text in [
            "",
            "localhost",
            ":80",
            "h:port",
            "h:65536",
            "unix:",
            long.as_str(),
        ] {
            let error = text.parse::<Endpoint>().expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("'{text}' is not an address")),
                "{error}"
            );
        }
    }
}
