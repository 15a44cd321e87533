//! Patterns of texts (Lua 5.1 reference manual, 5.4.1).
//!
//! Invariant: each part of a pattern that is tried at a place of the text takes a step, so a pattern that goes back and forth without end
//! ends the script; parts inside each other have a limit.

use std::ops::Range;

/// A pattern, a text, and what was found so far.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: usize,
    /// Steps that may still be taken.
    pub(super) steps_left: u64,
}

/// A part of the text that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Open(usize),
    /// From, and how long.
    Closed(usize, usize),
    /// `()`: only where it was.
    Place(usize),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Malformed(&'static str),
    Spent,
}

type Found = Result<Option<usize>, Trouble>;

impl<'a> Matcher<'a> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], steps_left: u64) -> Self {
        Self {
            text,
            pattern,
            captures: Vec::new(),
            depth: 0,
            steps_left,
        }
    }

    /// Where the first match from `start` on is.
    pub(super) fn find(&mut self, start: usize) -> Result<Option<Range<usize>>, Trouble> {
        let is_anchored = self.pattern.first() == Some(&b'^');
        let mut at = start;
        loop {
            if let Some(end) = self.match_here(at, usize::from(is_anchored))? {
                return Ok(Some(at..end));
            }
            at += 1;
            if is_anchored || at > self.text.len() {
                return Ok(None);
            }
        }
    }

    /// Where the match that begins at `at` ends, with the pattern from `from` on.
    pub(super) fn match_here(&mut self, at: usize, from: usize) -> Found {
        self.captures.clear();
        self.depth = 0;
        self.step(at, from)
    }

    pub(super) fn captures(&self) -> &[Capture] {
        &self.captures
    }

    fn at(&self, place: usize) -> Option<u8> {
        self.text.get(place).copied()
    }

    fn part(&self, place: usize) -> Option<u8> {
        self.pattern.get(place).copied()
    }

    fn take(&mut self, count: u64) -> Result<(), Trouble> {
        self.steps_left = self.steps_left.checked_sub(count).ok_or(Trouble::Spent)?;
        Ok(())
    }

    /// Matches the text at `at` with the pattern from `part` on.
    fn step(&mut self, at: usize, part: usize) -> Found {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Trouble::Malformed("pattern too complex"));
        }
        let found = self.walk(at, part);
        self.depth -= 1;
        found
    }

    fn walk(&mut self, mut at: usize, mut part: usize) -> Found {
        loop {
            self.take(1)?;
            match self.part(part) {
                None => return Ok(Some(at)),
                Some(b'(') if self.part(part + 1) == Some(b')') => {
                    return self.begin(at, part + 2, Capture::Place(at));
                }
                Some(b'(') => return self.begin(at, part + 1, Capture::Open(at)),
                Some(b')') => return self.end(at, part + 1),
                Some(b'%') if self.part(part + 1) == Some(b'b') => match self.balanced(at, part + 2)? {
                    Some(end) => (at, part) = (end, part + 4),
                    None => return Ok(None),
                },
                Some(b'%') if self.part(part + 1) == Some(b'f') => {
                    if !self.is_frontier(at, part + 2)? {
                        return Ok(None);
                    }
                    let end = self.class_end(part + 2)?;
                    self.take((end - part) as u64 / 8)?;
                    part = end;
                }
                Some(b'%') if self.part(part + 1).is_some_and(|next| next.is_ascii_digit()) => {
                    match self.repeated(at, part + 1)? {
                        Some(end) => (at, part) = (end, part + 2),
                        None => return Ok(None),
                    }
                }
                Some(b'$') if part + 1 == self.pattern.len() => {
                    return Ok((at == self.text.len()).then_some(at));
                }
                Some(_) => {
                    let end = self.class_end(part)?;
                    self.take((end - part) as u64 / 8)?;
                    match self.part(end) {
                        Some(b'?') => {
                            if self.is_single(at, part, end)?
                                && let Some(found) = self.step(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            part = end + 1;
                        }
                        Some(b'*') => return self.most(at, part, end, 0),
                        Some(b'+') => return self.most(at, part, end, 1),
                        Some(b'-') => return self.least(at, part, end),
                        _ if self.is_single(at, part, end)? => (at, part) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn begin(&mut self, at: usize, part: usize, capture: Capture) -> Found {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(Trouble::Malformed("too many captures"));
        }
        self.captures.push(capture);
        let found = self.step(at, part)?;
        if found.is_none() {
            self.captures.pop();
        }
        Ok(found)
    }

    fn end(&mut self, at: usize, part: usize) -> Found {
        let mut captures = self.captures.iter_mut().rev();
        let open = captures.find_map(|capture| match *capture {
            Capture::Open(from) => Some((from, capture)),
            Capture::Closed(..) | Capture::Place(_) => None,
        });
        let Some((from, capture)) = open else {
            return Err(Trouble::Malformed("invalid pattern capture"));
        };
        *capture = Capture::Closed(from, at - from);
        let found = self.step(at, part)?;
        if found.is_none() {
            let mut captures = self.captures.iter_mut().rev();
            let closed = captures.find(|capture| {
                matches!(capture, Capture::Closed(start, length)
                if *start == from && start + length == at)
            });
            if let Some(closed) = closed {
                *closed = Capture::Open(from);
            }
        }
        Ok(found)
    }

    fn most(&mut self, at: usize, part: usize, end: usize, least: usize) -> Found {
        let mut count = 0;
        while self.is_single(at + count, part, end)? {
            self.take(1)?;
            count += 1;
        }
        while count >= least {
            if let Some(found) = self.step(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                break;
            }
            count -= 1;
        }
        Ok(None)
    }

    fn least(&mut self, mut at: usize, part: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.step(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.is_single(at, part, end)? {
                return Ok(None);
            }
            at += 1;
        }
    }

    /// `%bxy`
    fn balanced(&mut self, at: usize, part: usize) -> Found {
        let (Some(open), Some(close)) = (self.part(part), self.part(part + 1)) else {
            return Err(Trouble::Malformed("unbalanced pattern"));
        };
        if self.at(at) != Some(open) {
            return Ok(None);
        }
        let mut depth = 1_u64;
        for (place, byte) in self.text.iter().enumerate().skip(at + 1) {
            self.steps_left = self.steps_left.checked_sub(1).ok_or(Trouble::Spent)?;
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(place + 1));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`
    fn is_frontier(&self, at: usize, part: usize) -> Result<bool, Trouble> {
        if self.part(part) != Some(b'[') {
            return Err(Trouble::Malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(part)?;
        let before = at.checked_sub(1).and_then(|at| self.at(at)).unwrap_or(0);
        let here = self.at(at).unwrap_or(0);
        Ok(!self.is_in_set(before, part, end - 1) && self.is_in_set(here, part, end - 1))
    }

    /// `%1`: the same text again.
    fn repeated(&mut self, at: usize, part: usize) -> Found {
        let number = self.part(part).map_or(0, |digit| usize::from(digit - b'0'));
        let captured = number.checked_sub(1).and_then(|number| self.captures.get(number));
        let Some(Capture::Closed(from, length)) = captured.copied() else {
            return Err(Trouble::Malformed("invalid capture index"));
        };
        self.take(length as u64 / 64)?;
        let captured = self.text.get(from..from + length).unwrap_or_default();
        let here = self.text.get(at..).unwrap_or_default();
        Ok(here.starts_with(captured).then_some(at + length))
    }

    /// The place behind the class of characters that begins at `part`.
    fn class_end(&self, part: usize) -> Result<usize, Trouble> {
        match self.part(part) {
            Some(b'%') if part + 1 >= self.pattern.len() => {
                Err(Trouble::Malformed("malformed pattern (ends with '%')"))
            }
            Some(b'%') => Ok(part + 2),
            Some(b'[') => {
                let mut at = part + 1;
                if self.part(at) == Some(b'^') {
                    at += 1;
                }
                loop {
                    // The first one may be the bracket that ends a set.
                    let byte = self.part(at);
                    at += 1;
                    match byte {
                        None => return Err(Trouble::Malformed("malformed pattern (missing ']')")),
                        Some(b'%') => at += 1,
                        Some(_) => {}
                    }
                    if self.part(at) == Some(b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(part + 1),
        }
    }

    /// The byte at `at` is one of the class from `part` to `end`, which costs as much as it is long.
    fn is_single(&mut self, at: usize, part: usize, end: usize) -> Result<bool, Trouble> {
        self.take((end - part) as u64 / 8)?;
        let Some(byte) = self.at(at) else {
            return Ok(false);
        };
        Ok(match self.part(part) {
            Some(b'.') => true,
            Some(b'%') => self.part(part + 1).is_some_and(|class| is_in_class(byte, class)),
            Some(b'[') => self.is_in_set(byte, part, end - 1),
            other => other == Some(byte),
        })
    }

    /// In the set from the bracket at `part` to the one at `end`.
    fn is_in_set(&self, byte: u8, part: usize, end: usize) -> bool {
        let mut at = part + 1;
        let is_inverted = self.part(at) == Some(b'^');
        if is_inverted {
            at += 1;
        }
        while at < end {
            let here = self.part(at).unwrap_or(0);
            if here == b'%' {
                if self.part(at + 1).is_some_and(|class| is_in_class(byte, class)) {
                    return !is_inverted;
                }
                at += 2;
            } else if self.part(at + 1) == Some(b'-') && at + 2 < end {
                let last = self.part(at + 2).unwrap_or(0);
                if (here..=last).contains(&byte) {
                    return !is_inverted;
                }
                at += 3;
            } else {
                if here == byte {
                    return !is_inverted;
                }
                at += 1;
            }
        }
        is_inverted
    }
}

fn is_in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 9..=13),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

/// As in Lua.
const CAPTURES_MAX: usize = 32;
/// Parts of a pattern inside each other, as in Lua since 5.2 (`MAXCCALLS`).
const DEPTH_MAX: usize = 200;
