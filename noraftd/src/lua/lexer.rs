//! Text to tokens (Lua 5.1 reference manual, 2.1).
//!
//! Invariant: each call goes on in the text or is at its end; no bytes panic.

use bytes::Bytes;

use super::number;

/// What a text is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(Bytes),
    Text(Bytes),
    Number(f64),
    /// A keyword or a symbol.
    Mark(&'static str),
    End,
}

/// Cuts a text into tokens.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    line: u32,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: u32,
    pub(crate) text: String,
}

type Lexed<T> = Result<T, SyntaxError>;

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a [u8]) -> Self {
        let mut lexer = Self {
            source,
            at: 0,
            line: 1,
        };
        if source.first() == Some(&b'#') {
            lexer.skip_line();
        }
        lexer
    }

    /// The line of what comes next.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    pub(super) fn error<T>(&self, text: impl Into<String>) -> Lexed<T> {
        Err(SyntaxError {
            line: self.line,
            text: text.into(),
        })
    }

    pub(super) fn next(&mut self) -> Lexed<Token> {
        self.skip_blanks()?;
        let Some(byte) = self.peek(0) else {
            return Ok(Token::End);
        };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(self.name()),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'"' | b'\'' => self.text(byte),
            b'[' if self.long_level().is_some() => {
                let text = self.long_text("string")?;
                Ok(Token::Text(text))
            }
            _ => self.symbol(),
        }
    }

    /// True when the next token is a sign of assignment.
    pub(super) fn is_before_assignment(&self) -> bool {
        let mut ahead = Self {
            source: self.source,
            at: self.at,
            line: self.line,
        };
        ahead.next() == Ok(Token::Mark("="))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek(0)?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) -> Lexed<()> {
        loop {
            match self.peek(0) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c) => {
                    self.take();
                }
                Some(b'-') if self.peek(1) == Some(b'-') => {
                    self.at += 2;
                    if self.peek(0) == Some(b'[') && self.long_level().is_some() {
                        self.long_text("comment")?;
                    } else {
                        self.skip_line();
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            self.at += 1;
        }
        let name = self.source.get(start..self.at).unwrap_or_default();
        let keyword = KEYWORDS.iter().find(|keyword| keyword.as_bytes() == name);
        keyword.map_or_else(
            || Token::Name(Bytes::copy_from_slice(name)),
            |keyword| Token::Mark(keyword),
        )
    }

    fn number(&mut self) -> Lexed<Token> {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            let is_exponent = matches!(byte, b'e' | b'E');
            if !byte.is_ascii_alphanumeric() && byte != b'.' && byte != b'_' {
                break;
            }
            self.at += 1;
            if is_exponent && matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
        }
        let text = self.source.get(start..self.at).unwrap_or_default();
        match number::parse(text) {
            Some(number) => Ok(Token::Number(number)),
            None => self.error(format!("malformed number near '{}'", shown(text))),
        }
    }

    fn text(&mut self, quote: u8) -> Lexed<Token> {
        let start = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.take() {
                Some(byte) if byte == quote => return Ok(Token::Text(Bytes::from(text))),
                Some(b'\\') => self.escape(&mut text)?,
                None => return self.error("unfinished string near '<eof>'"),
                Some(b'\n') => {
                    let seen = self.source.get(start..self.at).unwrap_or_default();
                    return self.error(format!(
                        "unfinished string near '{}'",
                        shown(seen.trim_ascii_end())
                    ));
                }
                Some(byte) => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Lexed<()> {
        let byte = match self.take() {
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(digit @ b'0'..=b'9') => {
                let mut code = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'9') = self.peek(0) else {
                        break;
                    };
                    code = code * 10 + u32::from(digit - b'0');
                    self.at += 1;
                }
                match u8::try_from(code) {
                    Ok(byte) => byte,
                    Err(_) => return self.error("escape sequence too large"),
                }
            }
            Some(other) => other,
            None => return Ok(()),
        };
        text.push(byte);
        Ok(())
    }

    /// At a bracket: the number of signs of equality before the second one, if this begins a long text.
    fn long_level(&self) -> Option<usize> {
        let signs = self.source.get(self.at + 1..).unwrap_or_default();
        let level = signs.iter().take_while(|byte| **byte == b'=').count();
        (signs.get(level) == Some(&b'[')).then_some(level)
    }

    fn long_text(&mut self, what: &str) -> Lexed<Bytes> {
        let level = self.long_level().unwrap_or(0);
        self.at += level + 2;
        if self.peek(0) == Some(b'\r') {
            self.take();
        }
        if self.peek(0) == Some(b'\n') {
            self.take();
        }
        let end: Vec<u8> = [&b"]"[..], &b"=".repeat(level), b"]"].concat();
        let start = self.at;
        loop {
            let rest = self.source.get(self.at..).unwrap_or_default();
            if rest.starts_with(&end) {
                let text = self.source.get(start..self.at).unwrap_or_default();
                self.at += end.len();
                return Ok(Bytes::copy_from_slice(text));
            }
            if self.take().is_none() {
                return self.error(format!("unfinished long {what} near '<eof>'"));
            }
        }
    }

    fn symbol(&mut self) -> Lexed<Token> {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let known = SYMBOLS.iter().find(|symbol| rest.starts_with(symbol.as_bytes()));
        match known {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Mark(symbol))
            }
            None => {
                let byte = rest.get(..1).unwrap_or_default();
                self.error(format!("unexpected symbol near '{}'", shown(byte)))
            }
        }
    }
}

/// As errors repeat it.
pub(super) fn shown(text: &[u8]) -> String {
    let cut = text.get(..EXCERPT_BYTES_MAX).unwrap_or(text);
    String::from_utf8_lossy(cut).into_owned()
}

/// As much of a token as an error repeats.
const EXCERPT_BYTES_MAX: usize = 64;

const KEYWORDS: [&str; 21] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// Longer ones come before those that they begin with.
const SYMBOLS: [&str; 26] = [
    "...", "..", "==", "~=", "<=", ">=", "+", "-", "*", "/", "%", "^", "#", "<", ">", "=", "(", ")", "{",
    "}", "[", "]", ";", ":", ",", ".",
];
