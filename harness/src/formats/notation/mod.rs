//! One scanner for EDN and JSON values, straight into a [`Pool`].
//!
//! The two notations differ little enough for data: in JSON `:` and `,` separate, in EDN `:` begins a
//! keyword and `;`, `#_` and tags are understood. Invariant: never panics, whatever the bytes;
//! running off the end is [`Problem::Incomplete`], so a caller can read more and try again. What has a
//! beginning and an end but no known meaning becomes an odd value, which says nothing.
//! Source: github.com/edn-format/edn; RFC 8259.

mod skip;
mod text;

use self::text::escaped;
use super::number;
use crate::recording::budget::Limit;
use crate::recording::datum::{Datum, Kind, Pool};

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

/// Deepest nesting that is read; what is deeper is odd.
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
                let start = self.at;
                self.at += 1;
                let name = self.token()?;
                if name.is_empty() {
                    self.at = start;
                    return Err(self.bad("a name"));
                }
                Ok(name)
            }
            Some(_) => Err(self.bad("a name")),
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
        let first = self.peek().ok_or(Problem::Incomplete)?;
        if depth > DEPTH_MAX && matches!(first, b'[' | b'(' | b'{' | b'#') {
            self.skip()?;
            return Ok(pool.atom(Kind::Odd, "(nested too deeply)"));
        }
        match first {
            b'"' => self.text(pool),
            b'[' => self.run(pool, b']', depth).map(|elements| pool.list(&elements)),
            b'(' if self.notation == Notation::Edn => {
                self.run(pool, b')', depth).map(|elements| pool.list(&elements))
            }
            b'{' => {
                let pairs = self.run(pool, b'}', depth)?;
                if pairs.len() % 2 == 1 {
                    return Err(self.bad("a value for every key of the map"));
                }
                Ok(pool.map(&pairs))
            }
            b'#' if self.notation == Notation::Edn => self.dispatch(pool, depth),
            b'\\' if self.notation == Notation::Edn => self.character(pool),
            b']' | b')' | b'}' | b'(' => Err(self.bad("a value")),
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
                b'#' if self.at_discard() => self.discard()?,
                _ => elements.push(self.nested(pool, depth + 1)?),
            }
        }
    }

    /// A set, a symbolic number, a discarded form, or a tag before a value.
    fn dispatch(&mut self, pool: &mut Pool, depth: usize) -> Result<Datum, Problem> {
        self.at += 1;
        match self.bytes.get(self.at) {
            None => Err(Problem::Incomplete),
            Some(b'{') => self.run(pool, b'}', depth).map(|elements| pool.set(&elements)),
            Some(b'_') => {
                self.at += 1;
                self.skip()?;
                self.nested(pool, depth + 1)
            }
            Some(b'#') => {
                self.at += 1;
                let token = self.token()?;
                Ok(symbolic(token, pool))
            }
            Some(_) => {
                let tag = String::from_utf8_lossy(self.token()?).into_owned();
                let value = self.nested(pool, depth + 1)?;
                Ok(pool.tagged(&tag, value))
            }
        }
    }

    fn character(&mut self, pool: &mut Pool) -> Result<Datum, Problem> {
        let start = self.at + 1;
        self.skip_character()?;
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        let one = match &*text {
            "newline" => Some('\n'),
            "return" => Some('\r'),
            "space" => Some(' '),
            "tab" => Some('\t'),
            other => match other.strip_prefix('u').filter(|digits| digits.len() == 4) {
                Some(digits) => u32::from_str_radix(digits, 16).ok().and_then(char::from_u32),
                None => Some(other)
                    .filter(|other| other.chars().count() == 1)
                    .and_then(|other| other.chars().next()),
            },
        };
        Ok(match one {
            Some(one) => pool.atom(Kind::Character, one.encode_utf8(&mut [0; 4])),
            None => pool.atom(Kind::Odd, &format!("\\{text}")),
        })
    }

    #[inline]
    fn scalar(&mut self, pool: &mut Pool) -> Result<Datum, Problem> {
        let token = self.token()?;
        if let Some(number) = parse_int(token) {
            return Ok(pool.int(number));
        }
        match token {
            b"nil" if self.notation == Notation::Edn => Ok(Datum::NIL),
            b"null" if self.notation == Notation::Json => Ok(Datum::NIL),
            b"true" => Ok(Datum::bool(true)),
            b"false" => Ok(Datum::bool(false)),
            // Not JSON, but what several languages write.
            b"NaN" | b"Infinity" if self.notation == Notation::Json => Ok(symbolic(token, pool)),
            b"-Infinity" if self.notation == Notation::Json => Ok(symbolic(token, pool)),
            _ => self.word(token, pool),
        }
    }

    fn word(&mut self, token: &[u8], pool: &mut Pool) -> Result<Datum, Problem> {
        let Ok(text) = std::str::from_utf8(token) else {
            return Ok(pool.atom(Kind::Odd, &escaped(token)));
        };
        if number::begins(token) {
            return Ok(number::read(text, pool));
        }
        match (text, self.notation) {
            ("" | ":", _) | (_, Notation::Json) => {
                self.at -= token.len();
                Err(self.bad("a value"))
            }
            (_, Notation::Edn) => Ok(match text.strip_prefix(':') {
                Some(name) => pool.atom(Kind::Keyword, name),
                None => pool.atom(Kind::Symbol, text),
            }),
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

/// `##NaN`, which equals nothing, not even itself, or an infinity.
fn symbolic(token: &[u8], pool: &mut Pool) -> Datum {
    match token {
        b"Inf" | b"Infinity" => pool.atom(Kind::Float, "##Inf"),
        b"-Inf" | b"-Infinity" => pool.atom(Kind::Float, "##-Inf"),
        _ => pool.atom(Kind::Odd, &format!("##{}", escaped(token))),
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
    let digits = token
        .strip_prefix(b"-")
        .or_else(|| token.strip_prefix(b"+"))
        .unwrap_or(token);
    // Octal, in some languages.
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    match token.first() {
        Some(b'-') => 0_i64.checked_sub_unsigned(parse_unsigned(digits)?),
        Some(_) | None => i64::try_from(parse_unsigned(digits)?).ok(),
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
        let text = "{:b #{\"x\\\"y\"}, :a [1 -2 nil] #_ skipped ; comment\n :c (true #inst \"2020\" 1.50 sym \\, \\a)} ";
        let shown = read(text, Notation::Edn).unwrap();
        assert_eq!(
            shown,
            "{:b #{\"x\\\"y\"} :a [1 -2 nil] :c [true #inst \"2020\" 1.5 sym \\, \\a]}"
        );
    }

    #[test]
    fn json_values_are_read() {
        let text = r#"{"a":[1,-2,null],"b":"\u00e9\ud83d\ude00\n","c":true,"d":1e3} "#;
        assert_eq!(
            read(text, Notation::Json).unwrap(),
            "{\"a\" [1 -2 nil] \"b\" \"é😀\\n\" \"c\" true \"d\" 1000.0}"
        );
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [": ", "] ", "{:a} ", "\"\\q\" "] {
            assert!(
                matches!(read(text, Notation::Edn), Err(Problem::Bad(_))),
                "{text}"
            );
        }
        for text in ["nil ", "abc ", "(1) ", "- "] {
            assert!(
                matches!(read(text, Notation::Json), Err(Problem::Bad(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_that_is_skipped_ends_where_it_ends() {
        let forms = [
            "1",
            "\"a\\\"]\"",
            ":a",
            "\\)",
            "\\newline",
            "[1 [2] {:a #{}}]",
            "#{\\} 1}",
            "##NaN",
            "#inst \"x\"",
            "#_ [1] 2",
            "#_ #_ 1 2 3",
            "[#_ 1 2 #_ ]]",
            "#foo.Bar{:a [1]}",
            "\"\u{e9}\"",
            "#\"a[\"",
            "#_ #tag 1 2",
        ];
        for form in forms {
            // The one that closes a vector early is skipped up to there.
            let length = if form.contains("#_ ]") {
                form.len() - 1
            } else {
                form.len()
            };
            let text = format!("{form} :next ");
            let mut scanner = Scanner::new(text.as_bytes(), Notation::Edn);
            assert_eq!(scanner.skip(), Ok(()), "{form}");
            assert_eq!(scanner.at, length, "{form}");
        }
    }

    #[test]
    fn every_cut_of_a_value_is_incomplete_or_bad_and_never_panics() {
        let text = r#"{:a [1 "x\u00e9" #{2 \a}] :b {:c ##NaN}} "#;
        for cut in 0..text.len() - 2 {
            let bytes = &text.as_bytes()[..cut];
            let mut scanner = Scanner::new(bytes, Notation::Edn);
            assert!(scanner.datum(&mut Pool::default()).is_err(), "cut at {cut}");
            let mut scanner = Scanner::new(bytes, Notation::Edn);
            assert!(scanner.skip().is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn deep_nesting_is_odd_and_needs_no_stack() {
        let depth = 1_000_000;
        let text = format!("{}{} ", "[".repeat(depth), "]".repeat(depth));
        let mut pool = Pool::default();
        let datum = Scanner::new(text.as_bytes(), Notation::Json)
            .datum(&mut pool)
            .unwrap();
        assert!(pool.is_odd(datum));
        let discards = "#_ ".repeat(depth);
        assert_eq!(read(&discards, Notation::Edn), Err(Problem::Incomplete));
        let tags = "#a ".repeat(depth);
        assert_eq!(read(&tags, Notation::Edn), Err(Problem::Incomplete));
    }
}
