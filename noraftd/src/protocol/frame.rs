//! The frame around everything that nodes say to each other.
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |-|-|-|
//! | 0 | 4 | length of the body, at most [`FRAME_BODY_BYTES_MAX`] |
//! | 4 | 1 | version of frame and body, [`VERSION`] |
//! | 5 | 1 | kind of the body (see `peer/`) |
//! | 6 | 2 | zero |
//! | 8 | 8 | the sender's cluster id |
//! | 16 | 4 | CRC-32 (IEEE) of bytes 0 to 16 and the body |
//! | 20 | | the body |
//!
//! Invariant: a frame that is handed out has the right version and crc. Length, version and kind keep their
//! places in every later version, so that a mismatch is always recognized.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::read::Reader;

/// Most bytes of a frame's body: the largest payload or reply, and a third as much for what goes with it.
pub const FRAME_BODY_BYTES_MAX: usize = 32 << 20;

/// Bytes that a seal adds to a body (see `seal.rs`).
const SEAL_BYTES: usize = crate::secret::PROOF_BYTES;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 20;

/// The version of the frame and of every body in it.
pub const VERSION: u8 = 1;

/// One frame, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// The sender's cluster.
    pub cluster_id: u64,
    /// The body; shares the memory of the buffer it was read into.
    pub body: Bytes,
}

/// Bytes that are no frame for us. The connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The body would exceed [`FRAME_BODY_BYTES_MAX`].
    #[error("a frame of {bytes} bytes exceeds the limit of {FRAME_BODY_BYTES_MAX} bytes")]
    Oversize {
        /// The announced size.
        bytes: usize,
    },
    /// The sender speaks another version, or something else altogether.
    #[error("the frame has version {found}; this node speaks version {VERSION}")]
    Version {
        /// The frame's version.
        found: u8,
    },
    /// The frame was damaged on its way.
    #[error("the frame's crc is {found:08x} but its bytes have {expected:08x}")]
    Crc {
        /// What the header says.
        found: u32,
        /// What the bytes have.
        expected: u32,
    },
    /// Bytes that have to be zero are not.
    #[error("reserved bytes of the frame are not zero")]
    Reserved,
    /// The seal does not fit.
    #[error("the frame's seal does not fit: it was not sent here, now, by a node that knows the secret")]
    Seal,
}

impl Frame {
    /// The header up to the crc.
    pub(super) fn head(&self) -> [u8; CRC_START] {
        let length = u32::try_from(self.body.len()).expect("the limit is below 4 GiB");
        let mut head = [0; CRC_START];
        head[..LENGTH_END].copy_from_slice(&length.to_le_bytes());
        head[LENGTH_END] = VERSION;
        head[LENGTH_END + 1] = self.kind;
        head[CRC_START - 8..].copy_from_slice(&self.cluster_id.to_le_bytes());
        head
    }
}

/// A header whose length and version are acceptable.
struct Header {
    body_bytes: usize,
    kind: u8,
    reserved: u16,
    cluster_id: u64,
    crc: u32,
}

/// Takes the next whole frame from the front of `buffer`; `None` when more bytes are needed.
///
/// Length and version are judged as soon as the header is there, before the body is waited for.
///
/// # Errors
///
/// When the bytes are not a frame of this version.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(header) = read_header(buffer) else {
        return Ok(None);
    };
    let header = header?;
    let Some(bytes) = buffer.get(..HEADER_BYTES + header.body_bytes) else {
        return Ok(None);
    };
    let expected = crc(bytes);
    if header.crc != expected {
        return Err(FrameError::Crc {
            found: header.crc,
            expected,
        });
    }
    if header.reserved != 0 {
        return Err(FrameError::Reserved);
    }
    let mut body = buffer.split_to(HEADER_BYTES + header.body_bytes).freeze();
    body.advance(HEADER_BYTES);
    Ok(Some(Frame {
        kind: header.kind,
        cluster_id: header.cluster_id,
        body,
    }))
}

/// Bytes of the frame at the front of `buffer`, header included, whether they are all there or not; zero while that is
/// not known.
///
/// # Errors
///
/// When the bytes are not a frame of this version.
pub fn whole_bytes(buffer: &BytesMut) -> Result<usize, FrameError> {
    match read_header(buffer) {
        None => Ok(0),
        Some(header) => Ok(HEADER_BYTES + header?.body_bytes),
    }
}

/// Bytes to wait for before the next [`decode`] can give a frame; zero when it can, or will fail.
pub fn missing_bytes(buffer: &BytesMut) -> usize {
    match read_header(buffer) {
        None => HEADER_BYTES.saturating_sub(buffer.len()),
        Some(Ok(header)) => (HEADER_BYTES + header.body_bytes).saturating_sub(buffer.len()),
        Some(Err(_)) => 0,
    }
}

/// Appends a frame to `out`; `write_body` appends its body.
///
/// # Panics
///
/// When the body exceeds [`FRAME_BODY_BYTES_MAX`]: the sender limits what goes into a message.
pub fn encode(kind: u8, cluster_id: u64, out: &mut BytesMut, write_body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, VERSION, kind, 0, 0]);
    out.put_u64_le(cluster_id);
    out.put_u32_le(0);
    write_body(out);
    let (_, frame) = out.split_at_mut(start);
    let body_bytes = frame.len() - HEADER_BYTES;
    assert!(
        body_bytes <= FRAME_BODY_BYTES_MAX,
        "a body of {body_bytes} bytes is within the limit"
    );
    enclose(frame, |_, _| {});
}

/// Makes header and body fit: writes the length, lets `finish` have the header up to the crc and the body, and
/// writes the crc.
pub(super) fn enclose(frame: &mut [u8], finish: impl FnOnce(&[u8], &mut [u8])) {
    let length = u32::try_from(frame.len() - HEADER_BYTES).expect("the limit is below 4 GiB");
    frame[..LENGTH_END].copy_from_slice(&length.to_le_bytes());
    let (head, body) = frame.split_at_mut(HEADER_BYTES);
    finish(&head[..CRC_START], body);
    let crc = crc(frame);
    frame[CRC_START..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The header; `None` while it is incomplete.
fn read_header(buffer: &[u8]) -> Option<Result<Header, FrameError>> {
    let mut reader = Reader::new(buffer.get(..HEADER_BYTES)?);
    let body_bytes = reader.u32()? as usize;
    let (version, kind) = (reader.u8()?, reader.u8()?);
    let reserved = u16::from_le_bytes([reader.u8()?, reader.u8()?]);
    let (cluster_id, crc) = (reader.u64()?, reader.u32()?);
    if version != VERSION {
        return Some(Err(FrameError::Version { found: version }));
    }
    if body_bytes > FRAME_BODY_BYTES_MAX + SEAL_BYTES {
        return Some(Err(FrameError::Oversize { bytes: body_bytes }));
    }
    Some(Ok(Header {
        body_bytes,
        kind,
        reserved,
        cluster_id,
        crc,
    }))
}

/// The crc of a whole frame: all of it but the crc's own place.
pub(super) fn crc(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(frame.get(..CRC_START).unwrap_or_default());
    hasher.update(frame.get(HEADER_BYTES..).unwrap_or_default());
    hasher.finalize()
}

const LENGTH_END: usize = 4;
const CRC_START: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> BytesMut {
        let mut out = BytesMut::new();
        encode(7, 0x1122_3344_5566_7788, &mut out, |out| {
            out.extend_from_slice(b"body")
        });
        out
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let expected = [
            &[4, 0, 0, 0, 1, 7, 0, 0][..],
            &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11],
            &[0x46, 0x7d, 0xeb, 0xf8],
            b"body",
        ]
        .concat();
        assert_eq!(frame(), expected);
    }

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let bytes = frame();
        for end in 0..bytes.len() {
            let mut part = BytesMut::from(&bytes[..end]);
            assert_eq!(decode(&mut part), Ok(None), "cut at {end}");
            assert_eq!(part.len(), end);
            assert!(missing_bytes(&part) > 0);
        }
        let mut two = BytesMut::from(&[&bytes[..], &bytes[..]].concat()[..]);
        for _ in 0..2 {
            assert_eq!(missing_bytes(&two), 0);
            let taken = decode(&mut two).unwrap().unwrap();
            assert_eq!((taken.kind, &taken.body[..]), (7, &b"body"[..]));
        }
        assert_eq!(decode(&mut two), Ok(None));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for at in 0..frame().len() {
            let mut bytes = frame();
            bytes[at] ^= 0x10;
            match decode(&mut bytes) {
                Err(FrameError::Version { .. }) => assert_eq!(at, 4),
                Err(FrameError::Oversize { .. }) => assert_eq!(at, 3),
                Err(FrameError::Crc { .. }) => {}
                Ok(None) => assert!(at < 3, "a longer length waits for more"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}
