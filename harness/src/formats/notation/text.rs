//! Quoted strings.

use super::{Problem, Scanner};
use crate::recording::datum::{Datum, Kind, Pool};

impl Scanner<'_> {
    /// A quoted string; one that is not UTF-8 is its bytes.
    pub(super) fn text(&mut self, pool: &mut Pool) -> Result<Datum, Problem> {
        self.string()?;
        Ok(match std::str::from_utf8(&self.scratch) {
            Ok(text) => pool.text(text),
            Err(_) => pool.atom(Kind::Bytes, &escaped(&self.scratch)),
        })
    }

    /// Reads a quoted string into the scratch buffer, escapes resolved.
    pub(super) fn string(&mut self) -> Result<(), Problem> {
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

    pub(super) fn escape(&mut self) -> Result<(), Problem> {
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
            _ => {
                self.at -= 2;
                return Err(self.bad("an escape sequence"));
            }
        };
        self.scratch.push(plain);
        Ok(())
    }

    pub(super) fn unicode_escape(&mut self) -> Result<(), Problem> {
        let mut code = self.hex4()?;
        if (0xd800..0xdc00).contains(&code) && self.rest().starts_with(b"\\u") {
            let high = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else {
                self.at = high;
            }
        }
        match char::from_u32(code) {
            Some(character) => self
                .scratch
                .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            // Half of a pair: the bytes that UTF-8 would have for it, so that it equals only itself.
            None => self.scratch.extend_from_slice(&[
                0xe0 | (code >> 12) as u8,
                0x80 | ((code >> 6) & 0x3f) as u8,
                0x80 | (code & 0x3f) as u8,
            ]),
        }
        Ok(())
    }

    pub(super) fn hex4(&mut self) -> Result<u32, Problem> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Problem::Incomplete)?;
        let text = std::str::from_utf8(digits).map_err(|_| self.bad("four hex digits"))?;
        let code = u32::from_str_radix(text, 16).map_err(|_| self.bad("four hex digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// Bytes as text; those that are not UTF-8 as `\xFF`, and a backslash doubled, so that different bytes differ.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}
