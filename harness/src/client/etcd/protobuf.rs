//! Protocol Buffers' wire format (protobuf.dev, "Encoding"), as far as the messages of a key-value store need it.

/// Appends a field of bytes.
pub fn append_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    append_varint(out, u64::from(number) << 3 | WIRE_BYTES);
    append_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field of an integer.
pub fn append_number(out: &mut Vec<u8>, number: u32, value: u64) {
    append_varint(out, u64::from(number) << 3 | WIRE_VARINT);
    append_varint(out, value);
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// An integer.
    Varint(u64),
    /// A string, or a message in a message.
    Bytes(&'a [u8]),
}

/// The last field of a message with this number; `None` when there is none, or the message is malformed.
pub fn find(message: &[u8], number: u64) -> Option<Field<'_>> {
    find_all(message, number)?.pop()
}

/// Every field of a message with this number, in order; `None` when the message is malformed.
pub fn find_all(mut message: &[u8], number: u64) -> Option<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        let field = take_field(&mut message, tag & 0b111)?;
        if tag >> 3 == number {
            found.push(field);
        }
    }
    Some(found)
}

/// The integer with this number; 0, as the format has it, when it is absent.
pub fn find_varint(message: &[u8], number: u64) -> u64 {
    match find(message, number) {
        Some(Field::Varint(value)) => value,
        Some(Field::Bytes(_)) | None => 0,
    }
}

/// The bytes with this number; none, as the format has it, when they are absent.
pub fn find_bytes(message: &[u8], number: u64) -> &[u8] {
    match find(message, number) {
        Some(Field::Bytes(bytes)) => bytes,
        Some(Field::Varint(_)) | None => &[],
    }
}

fn append_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_field<'a>(message: &mut &'a [u8], wire: u64) -> Option<Field<'a>> {
    match wire {
        WIRE_VARINT => take_varint(message).map(Field::Varint),
        WIRE_BYTES => {
            let length = usize::try_from(take_varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Some(Field::Bytes(bytes))
        }
        _ => None,
    }
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

const WIRE_VARINT: u64 = 0;
const WIRE_BYTES: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_again_and_a_cut_message_is_malformed() {
        let mut message = Vec::new();
        append_bytes(&mut message, 1, b"key");
        append_number(&mut message, 2, 300);
        append_bytes(&mut message, 1, b"");
        assert_eq!(find_varint(&message, 2), 300);
        assert_eq!(
            find_all(&message, 1),
            Some(vec![Field::Bytes(b"key"), Field::Bytes(b"")])
        );
        assert_eq!(find(&message, 3), None);
        assert!(find_all(&message[..3], 1).is_none());
    }
}
