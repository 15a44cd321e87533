//! The secret that the nodes of a cluster share, and what is derived from it.
//!
//! Invariant: a secret is never shown, neither by `Debug` nor in an error; keys come from it by HKDF-SHA-256
//! (RFC 5869) only, each with a label of its own, so that no use of one helps against another.

use std::fmt;
use std::path::{Path, PathBuf};

use constant_time_eq::constant_time_eq_16;
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes of a proof, and of the tag on a frame: infeasible to guess, and no longer than that takes.
pub const PROOF_BYTES: usize = 16;

/// Bytes of a random challenge: no two are ever the same.
pub const NONCE_BYTES: usize = 32;

/// A random challenge.
pub type Nonce = [u8; NONCE_BYTES];

/// What answers a challenge.
pub type Proof = [u8; PROOF_BYTES];

/// One secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Fills `out` with what follows from the secret, `salt` and `label`.
    ///
    /// # Panics
    ///
    /// When `out` has more than 8160 bytes, HKDF's limit.
    pub fn derive(&self, salt: &[u8], label: &[u8], out: &mut [u8]) {
        Hkdf::<Sha256>::new(Some(salt), self.0.as_bytes())
            .expand(label, out)
            .expect("the keys that are asked for are short");
    }

    /// What an operator's tool answers to a node's challenge.
    pub fn admin_proof(&self, challenge: &Nonce) -> Proof {
        let mut proof = [0; PROOF_BYTES];
        self.derive(challenge, b"noraftd admin 1", &mut proof);
        proof
    }
}

/// The secrets that are in force: one, or while they are exchanged two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds no secret that can be used.
    pub fn read(path: &Path) -> Result<Self, SecretsError> {
        let text = std::fs::read_to_string(path);
        let parsed = text
            .map_err(|error| error.to_string())
            .and_then(|text| Self::parse(&text));
        parsed.map_err(|reason| SecretsError {
            path: path.to_owned(),
            reason,
        })
    }

    /// One secret a line; blank lines and lines that begin with `#` do not count.
    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        if lines.is_empty() || lines.len() > SECRETS_MAX {
            let count = lines.len();
            return Err(format!(
                "it has {count} secrets; one is needed, two while they are exchanged, one a line"
            ));
        }
        if lines.iter().any(|line| !SECRET_BYTES.contains(&line.len())) {
            let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
            return Err(format!(
                "a secret has {least} to {most} bytes; `openssl rand -hex 32` makes a good one"
            ));
        }
        Ok(Self(
            lines.into_iter().map(|line| Secret(line.to_owned())).collect(),
        ))
    }

    /// The secrets, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// True when `secret` is in force.
    pub fn contains(&self, secret: &Secret) -> bool {
        self.0.contains(secret)
    }

    /// The secret that makes `proof` of `challenge`.
    pub fn admit_admin(&self, challenge: &Nonce, proof: &Proof) -> Option<&Secret> {
        // Each is compared, whatever the first one gave: the time reveals nothing.
        self.0.iter().fold(None, |found, secret| {
            let is_it = constant_time_eq_16(&secret.admin_proof(challenge), proof);
            found.or(is_it.then_some(secret))
        })
    }
}

/// Bytes as a person or a line of text can carry them.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of [`to_hex`]; `None` when they are not so many, or not that.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// Why a file of secrets cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secrets in {}: {reason}", path.display())]
pub struct SecretsError {
    path: PathBuf,
    reason: String,
}

/// The new one and the one before.
pub const SECRETS_MAX: usize = 2;
/// Shorter ones can be guessed; longer ones are another file by mistake.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_secret_or_two() {
        let one = Secrets::parse("# for the cluster\n\n 0123456789abcdef \n").expect("one");
        assert_eq!(one.count(), 1);
        let two = Secrets::parse("0123456789abcdef\nfedcba9876543210").expect("two");
        assert!(one.iter().all(|secret| two.contains(secret)));
        assert!(!two.iter().all(|secret| one.contains(secret)));
        for text in ["", "# nothing\n", "too short", &"x".repeat(1025)] {
            assert!(Secrets::parse(text).is_err(), "{text}");
        }
        assert!(Secrets::parse(&"0123456789abcdef\n".repeat(3)).is_err(), "three");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secrets = Secrets::parse("0123456789abcdef").expect("one");
        assert!(!format!("{secrets:?}").contains("0123"));
    }

    #[test]
    fn a_proof_fits_its_challenge_and_its_secret() {
        let ours = Secrets::parse("0123456789abcdef\nfedcba9876543210").expect("two");
        let other = Secrets::parse("0123456789abcdeF").expect("one");
        let challenge = [7; NONCE_BYTES];
        for secret in ours.iter() {
            let proof = secret.admin_proof(&challenge);
            assert_eq!(ours.admit_admin(&challenge, &proof), Some(secret));
            assert_eq!(
                ours.admit_admin(&[8; NONCE_BYTES], &proof),
                None,
                "another challenge"
            );
            assert_eq!(other.admit_admin(&challenge, &proof), None, "another secret");
        }
    }

    /// Changes here lock nodes of different versions out of one cluster.
    #[test]
    fn what_is_derived_stays_the_same() {
        let secrets = Secrets::parse("0123456789abcdef").expect("one");
        let proof = secrets.iter().next().expect("one").admin_proof(&[7; NONCE_BYTES]);
        assert_eq!(to_hex(&proof), GOLDEN);
        assert_eq!(from_hex(GOLDEN), Some(proof));
        for text in ["", "d", "zz", &GOLDEN[2..], "+1dee3303504c7b30fdc4ec26635b2e8"] {
            assert_eq!(from_hex::<PROOF_BYTES>(text), None, "{text}");
        }
    }

    const GOLDEN: &str = "dee3303504c7b30fdc4ec26635b2e8b4";
}
