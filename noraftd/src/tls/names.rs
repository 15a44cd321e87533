//! The names that a certificate gives its owner, and the list of those that nodes have.
//!
//! Invariant: only what a CA has signed as a subject alternative name counts, and only as a whole: a DNS name whatever its
//! case, a URI byte by byte. The common name does not count (RFC 9525).

use std::collections::BTreeSet;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The names that nodes have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(BTreeSet<String>);

impl Allowed {
    /// DNS names, and URIs: what has `://` in it.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| normal(name)).collect())
    }

    /// Looks for one of the certificate's names.
    ///
    /// # Errors
    ///
    /// When it has none of them; the text names those that it has.
    pub(super) fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), NotAllowed> {
        let names = names_of(certificate).map_err(|_| NotAllowed("no name that can be read".to_owned()))?;
        if names.iter().any(|name| self.0.contains(&normal(name))) {
            return Ok(());
        }
        let shown: Vec<String> = names
            .iter()
            .take(NAMES_SHOWN)
            .map(|name| name.escape_debug().to_string())
            .collect();
        Err(NotAllowed(match shown.is_empty() {
            true => "no name".to_owned(),
            false => format!("'{}'", shown.join("', '")),
        }))
    }
}

/// The certificate is that of something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its certificate has {0}, and none of the names in --peer-allowed")]
pub(super) struct NotAllowed(String);

fn normal(name: &str) -> String {
    match name.contains("://") {
        true => name.to_owned(),
        false => name.to_ascii_lowercase(),
    }
}

/// Its DNS names and its URIs.
fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let Some(extension) = parsed
        .subject_alternative_name()
        .map_err(|error| error.to_string())?
    else {
        return Ok(Vec::new());
    };
    let names = extension.value.general_names.iter();
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) if !name.contains("://") => Some((*name).to_owned()),
            GeneralName::URI(uri) if uri.contains("://") => Some((*uri).to_owned()),
            _ => None,
        })
        .collect())
}

/// Reads it as far as it is needed later.
pub(super) fn check(certificate: &CertificateDer<'_>) -> Result<(), String> {
    names_of(certificate).map(drop)
}

/// A line of the log has an end.
const NAMES_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[rcgen::SanType]) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    fn dns(name: &str) -> rcgen::SanType {
        rcgen::SanType::DnsName(name.try_into().expect("a name"))
    }

    fn uri(name: &str) -> rcgen::SanType {
        rcgen::SanType::URI(name.try_into().expect("a name"))
    }

    #[test]
    fn one_of_the_names_has_to_be_allowed_as_a_whole() {
        let allowed = Allowed::new(&["Node1.example".to_owned(), "spiffe://a/Node".to_owned()]);
        for (names, is_allowed) in [
            (vec![dns("node1.example")], true),
            (vec![dns("other"), dns("NODE1.example")], true),
            (vec![uri("spiffe://a/Node")], true),
            (vec![uri("spiffe://a/node")], false),
            (vec![dns("node1.example.org")], false),
            (vec![dns("*.example")], false),
            (vec![dns("spiffe://a/Node")], false),
            (vec![uri("node1.example")], false),
            (vec![], false),
        ] {
            let checked = allowed.check(&certificate(&names));
            assert_eq!(checked.is_ok(), is_allowed, "{names:?}: {checked:?}");
        }
    }

    #[test]
    fn a_refusal_names_what_the_certificate_has() {
        let error = Allowed::default().check(&certificate(&[dns("a"), uri("b://c")]));
        let text = error.expect_err("nothing is allowed").to_string();
        assert!(text.contains("'a', 'b://c'"), "{text}");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        let good = certificate(&[dns("node1")]);
        let allowed = Allowed::new(&["node1".to_owned()]);
        for end in 0..good.len() {
            let cut = CertificateDer::from(good[..end].to_vec());
            assert!(allowed.check(&cut).is_err(), "{end} bytes");
            assert!(check(&cut).is_err(), "{end} bytes");
        }
    }
}
