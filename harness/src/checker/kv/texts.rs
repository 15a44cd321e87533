//! Takes texts apart into what was put and appended.
//!
//! Where no two operations write the same text, and a text can be taken apart in one way only, a get says which put
//! it goes back to and in which order which appends followed.

use crate::recording::hash::FastMap;

/// A text that some operation wrote, by the number of its call.
#[derive(Clone, Copy)]
struct Token {
    call: u32,
    is_put: bool,
}

/// Everything that was written to a key.
pub(super) struct Tokens<'a> {
    of_text: FastMap<&'a str, Token>,
    /// Lengths that occur, in bytes, ascending.
    lengths: Vec<usize>,
}

/// What a text consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parts {
    /// The put it begins with, if any, and the appends behind it: numbers of calls.
    One(Option<u32>, Vec<u32>),
    /// More than one order of operations makes it.
    Several,
    /// None does: what was written explains so many bytes at most, from the beginning on.
    None { explained: usize },
}

impl<'a> Tokens<'a> {
    /// Collects what was written: text, call, and whether it was a put. `None` when a text occurs twice or is empty.
    pub(super) fn collect(written: impl Iterator<Item = (&'a str, u32, bool)>) -> Option<Self> {
        let mut tokens = Self {
            of_text: FastMap::default(),
            lengths: Vec::new(),
        };
        for (text, call, is_put) in written {
            let token = Token { call, is_put };
            if text.is_empty() || tokens.of_text.insert(text, token).is_some() {
                return None;
            }
            tokens.lengths.push(text.len());
        }
        tokens.lengths.sort_unstable();
        tokens.lengths.dedup();
        Some(tokens)
    }

    /// How many different lengths there are: what one byte of a text costs to take apart.
    pub(super) fn lengths(&self) -> usize {
        self.lengths.len()
    }

    /// Takes `text` apart.
    pub(super) fn take_apart(&self, text: &str) -> Parts {
        // How many ways lead to a place, up to two, and the last token on one of them.
        let mut ways: Vec<(u8, Option<Token>, u32)> = vec![(0, None, 0); text.len() + 1];
        ways[0].0 = 1;
        let mut explained = 0;
        for at in 0..text.len() {
            let before = ways[at].0;
            if before == 0 {
                continue;
            }
            for length in &self.lengths {
                let Some(piece) = text.get(at..at + length) else {
                    continue;
                };
                let token = self.of_text.get(piece).filter(|token| at == 0 || !token.is_put);
                if let Some(token) = token {
                    let end = &mut ways[at + length];
                    *end = ((end.0 + before).min(2), Some(*token), *length as u32);
                    explained = explained.max(at + length);
                }
            }
        }
        match ways[text.len()].0 {
            0 => Parts::None { explained },
            1 => Self::trace(&ways, text.len()),
            _ => Parts::Several,
        }
    }

    fn trace(ways: &[(u8, Option<Token>, u32)], mut at: usize) -> Parts {
        let (mut put, mut appends) = (None, Vec::new());
        while let (_, Some(token), length) = ways[at] {
            match token.is_put {
                true => put = Some(token.call),
                false => appends.push(token.call),
            }
            at -= length as usize;
        }
        appends.reverse();
        Parts::One(put, appends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens<'a>(written: &[(&'a str, bool)]) -> Tokens<'a> {
        let numbered = (0..)
            .zip(written)
            .map(|(call, (text, is_put))| (*text, call, *is_put));
        Tokens::collect(numbered).unwrap()
    }

    #[test]
    fn a_text_is_taken_apart_into_its_put_and_its_appends() {
        let tokens = tokens(&[("base", true), ("x 1 y", false), ("x 2 y", false)]);
        assert_eq!(
            tokens.take_apart("basex 2 yx 1 y"),
            Parts::One(Some(0), vec![2, 1])
        );
        assert_eq!(tokens.take_apart("x 1 y"), Parts::One(None, vec![1]));
        assert_eq!(tokens.take_apart(""), Parts::One(None, vec![]));
    }

    #[test]
    fn a_put_is_at_the_beginning_only_and_what_no_operation_wrote_is_explained_up_to_there() {
        let tokens = tokens(&[("base", true), ("x 1 y", false)]);
        assert_eq!(tokens.take_apart("x 1 ybase"), Parts::None { explained: 5 });
        assert_eq!(tokens.take_apart("x 1 yz"), Parts::None { explained: 5 });
    }

    #[test]
    fn a_text_that_several_orders_make_is_not_guessed() {
        let tokens = tokens(&[("a", false), ("aa", false)]);
        assert_eq!(tokens.take_apart("aaa"), Parts::Several);
    }

    #[test]
    fn a_text_that_is_written_twice_says_nothing() {
        assert!(Tokens::collect([("a", 0, false), ("a", 1, false)].into_iter()).is_none());
    }
}
