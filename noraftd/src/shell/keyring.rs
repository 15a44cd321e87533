//! The secrets of this node: how it proves itself to the others, and what it demands of them.
//!
//! Invariant: a node that requires proof has a secret. What a file says counts only once it was read whole; until
//! then the secrets before it stay in force.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::config::PeerAuth;
use crate::protocol::seal::SessionKeys;
use crate::secret::{Nonce, Proof, Secret, Secrets, SecretsError};

use super::clock;

/// The secrets in force.
#[derive(Debug)]
pub(super) struct Keyring {
    mode: PeerAuth,
    path: Option<PathBuf>,
    secrets: RefCell<Option<Secrets>>,
}

impl Keyring {
    /// Reads the secrets for the first time.
    ///
    /// # Errors
    ///
    /// When the file cannot be used.
    pub(super) fn open(mode: PeerAuth, path: Option<PathBuf>) -> Result<Self, SecretsError> {
        let secrets = path.as_deref().map(Secrets::read).transpose()?;
        let has_what_it_needs = mode == PeerAuth::Off || secrets.is_some();
        assert!(has_what_it_needs, "the configuration was checked");
        Ok(Self {
            mode,
            path,
            secrets: RefCell::new(secrets),
        })
    }

    /// No secret, nothing demanded.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::open(PeerAuth::Off, None).expect("nothing is read")
    }

    /// Reads the file again; returns what is in force now, or `None` when there is no file.
    ///
    /// # Errors
    ///
    /// When it cannot be used: then nothing has changed.
    pub(super) fn reload(&self) -> Result<Option<usize>, SecretsError> {
        let Some(path) = &self.path else { return Ok(None) };
        let secrets = Secrets::read(path)?;
        let count = secrets.count();
        self.secrets.replace(Some(secrets));
        Ok(Some(count))
    }

    /// What is demanded of the other nodes.
    pub(super) fn mode(&self) -> PeerAuth {
        self.mode
    }

    /// A nonce to offer, when this node proves itself at all.
    pub(super) fn offer(&self) -> Option<Nonce> {
        (self.mode != PeerAuth::Off).then(clock::random_bytes)
    }

    /// True when a connection without proof is not to be used.
    pub(super) fn requires_proof(&self) -> bool {
        self.mode == PeerAuth::Require
    }

    /// True when this secret is in force.
    pub(super) fn contains(&self, secret: &Secret) -> bool {
        let secrets = self.secrets.borrow();
        secrets.as_ref().is_some_and(|secrets| secrets.contains(secret))
    }

    /// The keys of a connection that began with these frames, for each secret.
    pub(super) fn keys(&self, hello: &[u8], challenge: &[u8]) -> Vec<(Secret, SessionKeys)> {
        let secrets = self.secrets.borrow();
        let secrets = secrets.iter().flat_map(Secrets::iter);
        secrets
            .map(|secret| (secret.clone(), SessionKeys::derive(secret, hello, challenge)))
            .collect()
    }

    /// True when there is a secret: then tools have to prove that they know it.
    pub(super) fn has_secret(&self) -> bool {
        self.secrets.borrow().is_some()
    }

    /// The secret with which a tool answered the challenge.
    pub(super) fn admit_admin(&self, challenge: &Nonce, proof: &Proof) -> Option<Secret> {
        let secrets = self.secrets.borrow();
        secrets.as_ref()?.admit_admin(challenge, proof).cloned()
    }
}
