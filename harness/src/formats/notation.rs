//! One scanner for EDN and JSON values, straight into a [`Pool`].
//!
//! The two notations differ little enough for data: in JSON `:` and `,` separate, in EDN `:` begins a
//! keyword and `;`, `#_` and tags are understood. Invariant: never panics, whatever the bytes;
//! running off the end is [`Problem::Incomplete`], so a caller can read more and try again.
//! Source: github.com/edn-format/edn; RFC 8259.

use crate::checker::budget::Limit;
use crate::checker::datum::{Datum, Pool};

/// Which notation the text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Edn,
    Json,
}

/// Why a value could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The text ends inside a value.
    Incomplete,
    /// What was expected instead.
    Bad(String),
    /// The budget ran out.
    Budget(Limit),
}

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;

/// Bytes that end a token.
static EDN_TOKEN_ENDS: [bool; 256] = table(b" \t\n\r,[]{}()\";");
static JSON_TOKEN_ENDS: [bool; 256] = table(b" \t\n\r,[]{}()\";:");
/// Bytes that are skipped between values.
static EDN_BLANKS: [bool; 256] = table(b" \t\n\r,\x0c");
static JSON_BLANKS: [bool; 256] = table(b" \t\n\r,\x0c:");

const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

/// Reads values from a slice.
pub(crate) struct Scanner<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    notation: Notation,
    scratch: Vec<u8>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8], notation: Notation) -> Self {
        Self {
            bytes,
            at: 0,
            notation,
            scratch: Vec::new(),
        }
    }

    /// The next byte that is neither space nor comment, without taking it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let blanks: &[bool; 256] = match self.notation {
            Notation::Json => &JSON_BLANKS,
            Notation::Edn => &EDN_BLANKS,
        };
        loop {
            let byte = *self.bytes.get(self.at)?;
            if blanks[usize::from(byte)] {
                self.at += 1;
            } else if byte == b';' && self.notation == Notation::Edn {
                self.skip_line();
            } else {
                return Some(byte);
            }
        }
    }

    fn skip_line(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.at += 1;
        }
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` or explains what was there.
    pub(crate) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Problem> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.bad(what)),
            None => Err(Problem::Incomplete),
        }
    }

    /// "expected `what`, found ..." at the current place.
    pub(crate) fn bad(&self, what: &str) -> Problem {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
        Problem::Bad(format!("expected {what}, found {shown:?}"))
    }

    /// Takes the name of a field: a string or a keyword, without quotes and colon.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<&'a [u8], Problem> {
        match self.peek() {
            Some(b'"') => {
                let start = self.at + 1;
                let rest = self.bytes.get(start..).unwrap_or_default();
                let length = rest
                    .iter()
                    .position(|byte| *byte == b'"')
                    .ok_or(Problem::Incomplete)?;
                self.at = start + length + 1;
                Ok(&rest[..length])
            }
            Some(b':') => {
                self.at += 1;
                self.token()
            }
            Some(_) => Err(self.bad("a field name")),
            None => Err(Problem::Incomplete),
        }
    }

    /// Takes a run of bytes up to the next separator. A run that touches the end is incomplete.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<&'a [u8], Problem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ends: &[bool; 256] = match self.notation {
            Notation::Json => &JSON_TOKEN_ENDS,
            Notation::Edn => &EDN_TOKEN_ENDS,
        };
        if let Some(length) = rest.iter().position(|byte| ends[usize::from(*byte)]) {
            self.at += length;
            return Ok(&rest[..length]);
        }
        self.at = self.bytes.len();
        Err(Problem::Incomplete)
    }

    /// Takes a non-negative integer; `None` when something else comes.
    #[inline]
    pub(crate) fn unsigned(&mut self) -> Result<Option<u64>, Problem> {
        if !self.peek().ok_or(Problem::Incomplete)?.is_ascii_digit() {
            return Ok(None);
        }
        let token = self.token()?;
        Ok(parse_unsigned(token))
    }

    /// Takes a value.
    pub(crate) fn datum(&mut self, pool: &mut Pool) -> Result<Datum, Problem> {
        self.nested(pool, 0)
    }

    fn nested(&mut self, pool: &mut Pool, depth: usize) -> Result<Datum, Problem> {
        if depth > DEPTH_MAX {
            return Err(Problem::Bad(format!(
                "expected at most {DEPTH_MAX} levels of nesting"
            )));
        }
        match self.peek().ok_or(Problem::Incomplete)? {
            b'"' => {
                self.string()?;
                let text = std::str::from_utf8(&self.scratch);
                text.map(|text| pool.text(text))
                    .map_err(|_| self.bad("UTF-8 text"))
            }
            b'[' => self.run(pool, b']', depth).map(|elements| pool.list(&elements)),
            b'(' => self.run(pool, b')', depth).map(|elements| pool.list(&elements)),
            b'{' => {
                let pairs = self.run(pool, b'}', depth)?;
                if pairs.len() % 2 == 1 {
                    return Err(self.bad("a value for every key of the map"));
                }
                Ok(pool.map(&pairs))
            }
            b'#' if self.notation == Notation::Edn => self.dispatch(pool, depth),
            b']' | b')' | b'}' => Err(self.bad("a value")),
            _ => self.scalar(pool),
        }
    }

    fn run(&mut self, pool: &mut Pool, close: u8, depth: usize) -> Result<Vec<Datum>, Problem> {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            match self.peek().ok_or(Problem::Incomplete)? {
                byte if byte == close => {
                    self.at += 1;
                    return Ok(elements);
                }
                b'#' if self.bytes[self.at..].starts_with(b"#_") => self.discard_at(pool, depth)?,
                _ => elements.push(self.nested(pool, depth + 1)?),
            }
        }
    }

    /// Skips `#_` and the form behind it.
    pub(crate) fn discard(&mut self, pool: &mut Pool) -> Result<(), Problem> {
        self.discard_at(pool, 0)
    }

    fn discard_at(&mut self, pool: &mut Pool, depth: usize) -> Result<(), Problem> {
        self.at += 2;
        self.nested(pool, depth + 1).map(drop)
    }

    /// A set, a discarded form, or a tag before a value (the tag itself carries nothing for us).
    fn dispatch(&mut self, pool: &mut Pool, depth: usize) -> Result<Datum, Problem> {
        self.at += 1;
        match self.bytes.get(self.at) {
            None => Err(Problem::Incomplete),
            Some(b'{') => self.run(pool, b'}', depth).map(|elements| pool.list(&elements)),
            Some(b'_') => {
                self.at -= 1;
                self.discard_at(pool, depth)?;
                self.nested(pool, depth + 1)
            }
            Some(_) => {
                self.skip_tag()?;
                self.nested(pool, depth + 1)
            }
        }
    }

    /// Skips the name of a tag, the `#` already taken.
    pub(crate) fn skip_tag(&mut self) -> Result<(), Problem> {
        self.token().map(drop)
    }

    #[inline]
    fn scalar(&mut self, pool: &mut Pool) -> Result<Datum, Problem> {
        let token = self.token()?;
        if let Some(number) = parse_int(token) {
            return Ok(pool.int(number));
        }
        match token {
            b"nil" | b"null" => Ok(Datum::NIL),
            b"true" => Ok(Datum::bool(true)),
            b"false" => Ok(Datum::bool(false)),
            _ => {
                let text = std::str::from_utf8(token).map_err(|_| self.bad("UTF-8 text"))?;
                let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                if text.is_empty() || (self.notation == Notation::Json && !number) {
                    return Err(self.bad("a value"));
                }
                Ok(pool.text(text))
            }
        }
    }

    /// Reads a quoted string into the scratch buffer, escapes resolved.
    fn string(&mut self) -> Result<(), Problem> {
        self.at += 1;
        self.scratch.clear();
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Problem::Incomplete)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => self.scratch.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        let byte = *self.bytes.get(self.at).ok_or(Problem::Incomplete)?;
        self.at += 1;
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => byte,
            b'u' => return self.unicode_escape(),
            _ => return Err(self.bad("an escape sequence")),
        };
        self.scratch.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), Problem> {
        let mut code = self.hex4()?;
        if (0xd800..0xdc00).contains(&code) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex4()?;
            code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
        }
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.scratch
            .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, Problem> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Problem::Incomplete)?;
        let text = std::str::from_utf8(digits).map_err(|_| self.bad("four hex digits"))?;
        let code = u32::from_str_radix(text, 16).map_err(|_| self.bad("four hex digits"))?;
        self.at += 4;
        Ok(code)
    }
}

#[inline]
fn parse_unsigned(token: &[u8]) -> Option<u64> {
    if token.is_empty() || token.len() > 20 {
        return None;
    }
    token.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9)
            .then(|| value.checked_mul(10)?.checked_add(u64::from(digit)))
            .flatten()
    })
}

#[inline]
fn parse_int(token: &[u8]) -> Option<i64> {
    match token {
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(parse_unsigned(digits)?),
        [b'+', digits @ ..] => i64::try_from(parse_unsigned(digits)?).ok(),
        digits => i64::try_from(parse_unsigned(digits)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, notation: Notation) -> Result<String, Problem> {
        let mut pool = Pool::default();
        let datum = Scanner::new(text.as_bytes(), notation).datum(&mut pool)?;
        Ok(pool.show(datum))
    }

    #[test]
    fn edn_values_are_read() {
        let text = "{:a [1 -2 nil], :b #{\"x\\\"y\"} #_ skipped ; comment\n :c (true #inst \"2020\" 1.5)} ";
        let shown = read(text, Notation::Edn).unwrap();
        assert_eq!(
            shown,
            "{:a [1 -2 nil] :b [\"x\\\"y\"] :c [true \"2020\" \"1.5\"]}"
        );
    }

    #[test]
    fn json_values_are_read() {
        let text = r#"{"a":[1,-2,null],"b":"\u00e9\ud83d\ude00\n","c":true,"d":1e3} "#;
        assert_eq!(
            read(text, Notation::Json).unwrap(),
            "{\"a\" [1 -2 nil] \"b\" \"é😀\\n\" \"c\" true \"d\" \"1e3\"}"
        );
    }

    #[test]
    fn every_cut_of_a_value_is_incomplete_or_bad_and_never_panics() {
        let text = r#"{:a [1 "x\u00e9" #{2}] :b {:c nil}} "#;
        for cut in 0..text.len() - 2 {
            let bytes = &text.as_bytes()[..cut];
            let mut scanner = Scanner::new(bytes, Notation::Edn);
            assert!(scanner.datum(&mut Pool::default()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "[".repeat(100_000);
        assert!(matches!(read(&text, Notation::Json), Err(Problem::Bad(_))));
    }
}
