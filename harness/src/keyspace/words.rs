//! How words of a request are compared.

/// True when a word of a request is `wanted`, in any case.
pub(super) fn is(word: &[u8], wanted: &str) -> bool {
    word.eq_ignore_ascii_case(wanted.as_bytes())
}
