//! Seals on frames: what two nodes that know one secret say to each other cannot be forged, altered, repeated,
//! left out or moved to another connection.
//!
//! A sealed frame is a frame whose body ends with a tag of [`PROOF_BYTES`]: the keyed BLAKE3 hash, cut to that
//! length, of the frame's number on its connection (u64, from 0), bytes 0 to 16 of its header, and the body
//! before the tag. Each direction has a key of its own. The keys of a connection follow from the secret and
//! the bytes of hello and challenge, which hold a random nonce of either side (HKDF-SHA-256, RFC 5869).
//!
//! Why BLAKE3: the tag is on the path of every write, twice a peer. A keyed hash of a small frame takes about
//! 0.1 microseconds and of a large one a third of what HMAC-SHA-256 takes; it needs no nonce that could
//! be used twice, and its key may serve any number of frames, unlike Poly1305's.
//!
//! Invariant: frames are opened in the order in which they were sealed, each once; the first that does not fit ends
//! the connection.

use blake3::Hasher;
use bytes::BytesMut;
use constant_time_eq::constant_time_eq_16;
use sha2::{Digest, Sha256};

use super::frame::{self, Frame, FrameError};
use crate::secret::{PROOF_BYTES, Proof, Secret};

/// The keys of one connection, for one secret.
#[derive(Clone)]
pub struct SessionKeys {
    /// What the caller shows for the secret.
    pub proof: Proof,
    to_acceptor: Seal,
    to_caller: Seal,
}

impl SessionKeys {
    /// The keys that follow from the secret and the two frames that began the connection.
    pub fn derive(secret: &Secret, hello: &[u8], challenge: &[u8]) -> Self {
        // A frame says how long it is, so the two cannot be cut apart elsewhere.
        let begun = Sha256::new()
            .chain_update(hello)
            .chain_update(challenge)
            .finalize();
        let mut keys = [0; 2 * blake3::KEY_LEN + PROOF_BYTES];
        secret.derive(&begun, b"noraftd peer 1", &mut keys);
        let (to_acceptor, rest) = keys.split_at(blake3::KEY_LEN);
        let (to_caller, proof) = rest.split_at(blake3::KEY_LEN);
        Self {
            proof: proof.try_into().expect("the rest has that length"),
            to_acceptor: Seal::new(to_acceptor.try_into().expect("split there")),
            to_caller: Seal::new(to_caller.try_into().expect("split there")),
        }
    }

    /// True when `proof` is the caller's; takes as long as when it is not.
    pub fn is_proof(&self, proof: &Proof) -> bool {
        constant_time_eq_16(&self.proof, proof)
    }

    /// The direction from the caller to the acceptor.
    pub fn to_acceptor(&self) -> Seal {
        self.to_acceptor.clone()
    }

    /// The direction from the acceptor to the caller.
    pub fn to_caller(&self) -> Seal {
        self.to_caller.clone()
    }
}

/// One direction of a connection: at its end, or at its beginning.
#[derive(Clone)]
pub struct Seal {
    key: [u8; blake3::KEY_LEN],
    /// Frames so far.
    count: u64,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Seal {
    fn new(key: [u8; blake3::KEY_LEN]) -> Self {
        Self { key, count: 0 }
    }

    /// Appends the one frame that `write` appends, sealed.
    pub fn append(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        let start = out.len();
        write(out);
        out.extend_from_slice(&[0; PROOF_BYTES]);
        let (_, bytes) = out.split_at_mut(start);
        frame::enclose(bytes, |head, body| {
            let (body, place) = body.split_at_mut(body.len() - PROOF_BYTES);
            place.copy_from_slice(&self.tag(head, body));
        });
        self.count += 1;
    }

    /// Takes the seal off the next frame.
    ///
    /// # Errors
    ///
    /// When it is not the one that was sealed next.
    pub fn open(&mut self, frame: &mut Frame) -> Result<(), FrameError> {
        if !self.fits(frame) {
            return Err(FrameError::Seal);
        }
        frame.body.truncate(frame.body.len() - PROOF_BYTES);
        self.count += 1;
        Ok(())
    }

    /// True when the frame is the one that was sealed next.
    pub fn fits(&self, frame: &Frame) -> bool {
        let Some((body, tag)) = frame.body.split_last_chunk() else {
            return false;
        };
        constant_time_eq_16(&self.tag(&frame.head(), body), tag)
    }

    fn tag(&self, head: &[u8], body: &[u8]) -> Proof {
        let mut hasher = Hasher::new_keyed(&self.key);
        hasher.update(&self.count.to_le_bytes()).update(head).update(body);
        let hash = hasher.finalize();
        *hash
            .as_bytes()
            .first_chunk()
            .expect("a hash is longer than a tag")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secrets;

    fn keys(secret: &str, hello: &[u8]) -> SessionKeys {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        std::fs::write(&path, secret).expect("written");
        let secrets = Secrets::read(&path).expect("a secret");
        SessionKeys::derive(secrets.iter().next().expect("one"), hello, b"challenge")
    }

    fn ours() -> SessionKeys {
        keys("0123456789abcdef", b"hello")
    }

    /// Three frames, sealed one after the other.
    fn sealed() -> Vec<BytesMut> {
        let mut seal = ours().to_acceptor();
        let frame = |n: u8| {
            let mut out = BytesMut::new();
            seal.append(&mut out, |out| {
                frame::encode(16, 7, out, |out| {
                    out.extend_from_slice(&vec![n; 40 * usize::from(n)])
                });
            });
            out
        };
        (0..3).map(frame).collect()
    }

    fn open(seal: &mut Seal, mut bytes: BytesMut) -> Result<Vec<u8>, FrameError> {
        let mut frame = frame::decode(&mut bytes)?.expect("a whole frame");
        seal.open(&mut frame)?;
        Ok(frame.body.to_vec())
    }

    #[test]
    fn what_is_sealed_is_opened_in_order() {
        let mut seal = ours().to_acceptor();
        for (n, bytes) in (0..).zip(sealed()) {
            assert_eq!(open(&mut seal, bytes), Ok(vec![n; 40 * usize::from(n)]));
        }
    }

    #[test]
    fn a_frame_out_of_its_order_is_not_opened() {
        let frames = sealed();
        let mut seal = ours().to_acceptor();
        assert_eq!(
            open(&mut seal, frames[1].clone()),
            Err(FrameError::Seal),
            "one left out"
        );
        assert!(open(&mut seal, frames[0].clone()).is_ok());
        assert_eq!(
            open(&mut seal, frames[0].clone()),
            Err(FrameError::Seal),
            "repeated"
        );
        assert_eq!(open(&mut seal, frames[2].clone()), Err(FrameError::Seal), "moved");
    }

    #[test]
    fn a_frame_of_elsewhere_is_not_opened() {
        let first = sealed().remove(0);
        for (mut seal, what) in [
            (ours().to_caller(), "the other direction"),
            (
                keys("0123456789abcdef", b"hellO").to_acceptor(),
                "another connection",
            ),
            (keys("0123456789abcdeF", b"hello").to_acceptor(), "another secret"),
        ] {
            assert_eq!(open(&mut seal, first.clone()), Err(FrameError::Seal), "{what}");
        }
    }

    #[test]
    fn every_bit_of_a_frame_counts() {
        let frame = sealed().remove(1);
        let mut opener = ours().to_acceptor();
        opener.count = 1;
        for bit in 0..8 * frame.len() {
            let mut altered = frame.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            // An attacker who alters a frame makes its crc fit.
            let crc = frame::crc(&altered);
            altered[16..20].copy_from_slice(&crc.to_le_bytes());
            let is_same = altered == frame;
            if let Ok(Some(mut decoded)) = frame::decode(&mut altered) {
                assert_eq!(opener.clone().open(&mut decoded).is_ok(), is_same, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_frame_without_a_seal_is_not_opened() {
        for bytes in [0, 8, 15, 16, 40] {
            let mut out = BytesMut::new();
            frame::encode(16, 7, &mut out, |out| out.extend_from_slice(&vec![0; bytes]));
            assert_eq!(open(&mut ours().to_acceptor(), out), Err(FrameError::Seal));
        }
    }

    #[test]
    fn a_proof_is_that_of_the_connection() {
        let proof = ours().proof;
        assert!(ours().is_proof(&proof));
        assert!(!keys("0123456789abcdef", b"hellO").is_proof(&proof));
        assert!(!keys("0123456789abcdeF", b"hello").is_proof(&proof));
    }

    /// Changes here lock nodes of different versions out of one cluster.
    #[test]
    fn the_bytes_stay_the_same() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&ours().proof), GOLDEN_PROOF);
        assert_eq!(hex(&sealed()[0]), GOLDEN_FRAME);
    }

    const GOLDEN_PROOF: &str = "2b6a0585a9ce90c3f6b58caf3324af4e";
    const GOLDEN_FRAME: &str = "100000000110000007000000000000004644e885ae77eac47fdaa549d2f004896503ea2c";
}
