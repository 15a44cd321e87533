//! The settings of TLS, checked: which of them need which.

use super::ConfigError;
use super::check::invalid;
use super::settings::Settings;
use crate::tls::{IdentityFiles, TlsConfig, TlsMode};

impl Settings {
    /// What these settings say of TLS.
    ///
    /// # Errors
    ///
    /// Names the first field that is missing or wrong.
    pub(super) fn check_tls(&self) -> Result<TlsConfig, ConfigError> {
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(IdentityFiles {
                cert: cert.clone(),
                key: key.clone(),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::Missing("tls_key")),
            (None, Some(_)) => return Err(ConfigError::Missing("tls_cert")),
        };
        let clients = check_mode("tls_mode", self.tls_mode.as_deref(), identity.is_some())?;
        let peers = check_mode(
            "peer_tls_mode",
            self.peer_tls_mode.as_deref(),
            self.peer_ca.is_some(),
        )?;
        let is_used = clients != TlsMode::Off || peers != TlsMode::Off;
        if is_used && identity.is_none() {
            return Err(ConfigError::Missing("tls_cert"));
        }
        if peers != TlsMode::Off && self.peer_ca.is_none() {
            return Err(ConfigError::Missing("peer_ca"));
        }
        if self.peer_ca.is_some() && self.peer_allowed.is_empty() {
            // Or any certificate of the CA would be that of a node.
            return Err(ConfigError::Missing("peer_allowed"));
        }
        if self.peer_ca.is_none() && !self.peer_allowed.is_empty() {
            return Err(ConfigError::Missing("peer_ca"));
        }
        if clients == TlsMode::Off && self.client_ca.is_some() {
            let reason =
                "without TLS clients show no certificate: give tls_cert and tls_key, or set tls_mode";
            return Err(invalid("client_ca", reason));
        }
        if self.peer_allowed.iter().any(String::is_empty) {
            return Err(invalid("peer_allowed", "a name is empty"));
        }
        Ok(TlsConfig {
            clients,
            peers,
            identity,
            client_ca: self.client_ca.clone(),
            peer_ca: self.peer_ca.clone(),
            peer_allowed: self.peer_allowed.clone(),
        })
    }
}

fn check_mode(field: &'static str, text: Option<&str>, is_there: bool) -> Result<TlsMode, ConfigError> {
    match text {
        None if is_there => Ok(TlsMode::Require),
        None | Some("off") => Ok(TlsMode::Off),
        Some("accept") => Ok(TlsMode::Accept),
        Some("require") => Ok(TlsMode::Require),
        Some(text) => Err(invalid(
            field,
            format!("'{text}' is none of off, accept, require"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> Result<TlsConfig, String> {
        let mut settings = Settings::minimal();
        change(&mut settings);
        settings.check_tls().map_err(|error| error.to_string())
    }

    fn with_cert(settings: &mut Settings) {
        settings.tls_cert = Some("/c".into());
        settings.tls_key = Some("/k".into());
    }

    #[test]
    fn what_is_given_requires_tls_unless_the_mode_says_otherwise() {
        assert_eq!(settings(|_| {}), Ok(TlsConfig::default()));
        let clients = settings(with_cert).expect("good");
        assert_eq!((clients.clients, clients.peers), (TlsMode::Require, TlsMode::Off));
        let both = settings(|settings| {
            with_cert(settings);
            settings.tls_mode = Some("off".to_owned());
            settings.peer_ca = Some("/a".into());
            settings.peer_allowed = vec!["node".to_owned()];
        });
        let both = both.expect("good");
        assert_eq!((both.clients, both.peers), (TlsMode::Off, TlsMode::Require));
    }

    #[test]
    fn what_is_missing_is_named() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 8] = [
            (|s| s.tls_cert = Some("/c".into()), "tls_key is missing"),
            (|s| s.tls_key = Some("/k".into()), "tls_cert is missing"),
            (|s| s.tls_mode = Some("accept".to_owned()), "tls_cert is missing"),
            (
                |s| s.tls_mode = Some("on".to_owned()),
                "tls_mode: 'on' is none of",
            ),
            (|s| s.client_ca = Some("/a".into()), "client_ca: without TLS"),
            (|s| s.peer_allowed = vec!["n".to_owned()], "peer_ca is missing"),
            (
                |s| {
                    with_cert(s);
                    s.peer_ca = Some("/a".into());
                },
                "peer_allowed is missing",
            ),
            (
                |s| {
                    with_cert(s);
                    s.peer_tls_mode = Some("accept".to_owned());
                },
                "peer_ca is missing",
            ),
        ];
        for (change, text) in cases {
            let error = settings(change).expect_err(text);
            assert!(error.starts_with(text), "{error}");
        }
    }
}
