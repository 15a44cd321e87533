//! Splits an inline command into words, as a person types them into a telnet session.
//!
//! Words are separated by blanks. In double quotes `\n \r \t \b \a \xHH` and `\` before any other byte are
//! escapes; in single quotes only `\'` is. A closing quote ends its word.

use bytes::{Bytes, BytesMut};

/// The words of `line`, or `None` when quotes do not balance.
pub(super) fn split_words(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = BytesMut::new();
        rest = take_word(rest, &mut word)?.trim_ascii_start();
        words.push(word.freeze());
    }
    Some(words)
}

/// Moves the first word of `rest` into `word`; gives what follows it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        match rest.split_first() {
            None => return Some(rest),
            Some((b'"', after)) => return end_of_quoted(take_double_quoted(after, word)?),
            Some((b'\'', after)) => return end_of_quoted(take_single_quoted(after, word)?),
            Some((byte, _)) if byte.is_ascii_whitespace() => return Some(rest),
            Some((&byte, after)) => {
                word.extend_from_slice(&[byte]);
                rest = after;
            }
        }
    }
}

fn end_of_quoted(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(u8::is_ascii_whitespace).then_some(rest)
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.extend_from_slice(&[byte]);
        rest = after;
    }
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut BytesMut) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [b'"', after @ ..] => return Some(after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.extend_from_slice(&[byte]);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_lowercase().saturating_sub(b'a') + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_typed() {
        let words = |line: &str| split_words(line.as_bytes());
        let owned =
            |words: &[&'static str]| Some(words.iter().map(|w| Bytes::from_static(w.as_bytes())).collect());
        assert_eq!(words(""), Some(vec![]));
        assert_eq!(words("  set  a\tb "), owned(&["set", "a", "b"]));
        assert_eq!(
            words(r#"set "a b" '' "\x41\n\"""#),
            owned(&["set", "a b", "", "A\n\""])
        );
        assert_eq!(words(r"'it\'s' \n"), owned(&["it's", r"\n"]));
        assert_eq!(words(r#"a"b""#), owned(&["ab"]));
        assert_eq!(
            split_words(br#""\xFf\xg""#),
            Some(vec![Bytes::from_static(b"\xffxg")])
        );
        for open in [r#"""#, "'", r#"a "b"#, r#""a"b"#, r#""\"#, r"'\'"] {
            assert_eq!(words(open), None, "{open}");
        }
    }
}
