//! Numbers in requests and values.

/// A signed number as Redis takes one: only the form in which it would be written.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|n: &i64| n.to_string() == text)
}

/// A part of an id: digits, with any number of zeros before them.
pub(super) fn id_part(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}
