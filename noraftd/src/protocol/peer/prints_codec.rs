//! Messages by which nodes compare what they hold; the formats are tabled in `mod.rs`.
//!
//! A print is a position, flags (u8: bit 0 a chain, bit 1 a digest), the chain (u64) and the digest (u64), each zero
//! where it is not known.

use bytes::{BufMut, BytesMut};

use super::position_codec::{read_position, write_position};
use super::record_codec::CUT;
use super::{PRINTS_MAX, PeerMessage, Print};
use crate::protocol::read::Reader;

/// Appends the prints.
///
/// # Panics
///
/// When there are more than the limit: the code that builds the message ensures it.
pub(super) fn write_prints(prints: &[Print], out: &mut BytesMut) {
    assert!(
        prints.len() <= PRINTS_MAX,
        "{} prints are within the limit",
        prints.len()
    );
    out.put_u32_le(u32::try_from(prints.len()).expect("the limit is below 2^32"));
    for print in prints {
        write_position(print.position, out);
        out.put_u8(u8::from(print.chain.is_some()) | u8::from(print.digest.is_some()) << 1);
        out.put_u64_le(print.chain.unwrap_or(0));
        out.put_u64_le(print.digest.unwrap_or(0));
    }
}

pub(super) fn read_compare(reader: &mut Reader<'_>) -> Result<PeerMessage, &'static str> {
    let asks = reader.bool().ok_or(CUT)?;
    read_prints(reader).map(|prints| PeerMessage::Compare { asks, prints })
}

pub(super) fn read_compared(reader: &mut Reader<'_>) -> Result<PeerMessage, &'static str> {
    read_prints(reader).map(|prints| PeerMessage::Compared { prints })
}

fn read_prints(reader: &mut Reader<'_>) -> Result<Vec<Print>, &'static str> {
    let count = reader.u32().ok_or(CUT)? as usize;
    if count > PRINTS_MAX {
        return Err("too many prints");
    }
    let mut prints = Vec::with_capacity(count);
    for _ in 0..count {
        let position = read_position(reader).ok_or(CUT)?;
        let flags = reader
            .u8()
            .filter(|flags| *flags < 4)
            .ok_or("unknown flags of a print")?;
        let (chain, digest) = (reader.u64().ok_or(CUT)?, reader.u64().ok_or(CUT)?);
        let is_blank = (flags & 1 == 0 && chain != 0) || (flags & 2 == 0 && digest != 0);
        if is_blank {
            return Err("a number of a print that is not known");
        }
        prints.push(Print {
            position,
            chain: (flags & 1 != 0).then_some(chain),
            digest: (flags & 2 != 0).then_some(digest),
        });
    }
    Ok(prints)
}
