//! Which paths a source file names.
//!
//! Comments, texts and code that is compiled for tests only are left out.

/// A piece of source.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Separator,
    Sign(char),
}

/// What a file names.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Paths that begin with `crate`, `self`, `super`, or in a `use` with anything; the last part may be `*`.
    pub(super) paths: Vec<Vec<String>>,
    /// Names that a `use` brings into the file, and what they stand for.
    pub(super) names: Vec<(String, Vec<String>)>,
    /// Modules that exist in tests only.
    pub(super) test_modules: Vec<String>,
}

impl Source {
    /// Reads a file; `packages` are names that a path may begin with anywhere.
    pub(super) fn read(text: &str, packages: &[&str]) -> Self {
        let mut source = Self::default();
        let tokens = source.without_tests(&tokens(text));
        let mut at = 0;
        while at < tokens.len() {
            at = source.take(&tokens, at, packages);
        }
        source
    }

    /// Takes the path that begins at `at`, if one does; gives where to go on.
    fn take(&mut self, tokens: &[Token], at: usize, packages: &[&str]) -> usize {
        let Token::Word(word) = &tokens[at] else {
            return at + 1;
        };
        let follows = |offset: usize, token: &Token| tokens.get(at + offset) == Some(token);
        if word == "pub" && follows(1, &Token::Sign('(')) {
            let length = tokens[at..].iter().position(|token| *token == Token::Sign(')'));
            return at + length.expect("a parenthesis is closed");
        }
        if word == "use" {
            let mut found = Vec::new();
            let end = tree(tokens, at + 1, Vec::new(), &mut found);
            for (name, path) in found {
                self.paths.push(path.clone());
                self.names.push((name, path));
            }
            return end;
        }
        let is_root =
            matches!(word.as_str(), "crate" | "super" | "self") || packages.contains(&word.as_str());
        let is_inside = at > 0 && tokens[at - 1] == Token::Separator;
        if !is_root || is_inside || !follows(1, &Token::Separator) {
            return at + 1;
        }
        let mut found = Vec::new();
        let end = tree(tokens, at, Vec::new(), &mut found);
        self.paths.extend(found.into_iter().map(|(_, path)| path));
        end
    }

    /// Leaves out what follows `#[cfg(test)]`.
    fn without_tests(&mut self, tokens: &[Token]) -> Vec<Token> {
        let mark: Vec<Token> = self::tokens("#[cfg(test)]");
        let mut kept = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while at < tokens.len() {
            if !tokens[at..].starts_with(&mark) {
                kept.push(tokens[at].clone());
                at += 1;
                continue;
            }
            let end = end_of_item(tokens, at + mark.len());
            if let [Token::Word(word), Token::Word(name), Token::Sign(';')] = &tokens[at + mark.len()..end]
                && word == "mod"
            {
                self.test_modules.push(name.clone());
            }
            at = end;
        }
        kept
    }
}

/// Where the item that begins at `at` has ended: after its `;`, or its block.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}') if depth == 1 => return at,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            Token::Sign(';') if depth == 0 => return at,
            Token::Word(_) | Token::Separator | Token::Sign(_) => {}
        }
    }
    at
}

/// Adds every path of the tree at `at`, with the name that it gets; gives where the tree ends.
fn tree(
    tokens: &[Token],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<(String, Vec<String>)>,
) -> usize {
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => {
                // `{self}` is the path itself.
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                at += 1;
            }
            Some(Token::Sign('*')) => {
                path.push("*".to_owned());
                at += 1;
            }
            Some(Token::Sign('{')) => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != Token::Sign('}')) {
                    at = match tokens[at] {
                        Token::Sign(',') => at + 1,
                        Token::Word(_) | Token::Separator | Token::Sign(_) => {
                            tree(tokens, at, path.clone(), found)
                        }
                    };
                }
                return at + 1;
            }
            // `a::<T>` and the like: the path was all of it.
            Some(Token::Separator | Token::Sign(_)) | None => {
                found.push((path.last().cloned().unwrap_or_default(), path));
                return at.max(1);
            }
        }
        match tokens.get(at) {
            Some(Token::Separator) => at += 1,
            Some(Token::Word(word)) if word == "as" => {
                let name = match tokens.get(at + 1) {
                    Some(Token::Word(name)) => name.clone(),
                    Some(Token::Separator | Token::Sign(_)) | None => String::new(),
                };
                found.push((name, path));
                return at + 2;
            }
            Some(Token::Word(_) | Token::Sign(_)) | None => {
                found.push((path.last().cloned().unwrap_or_default(), path));
                return at;
            }
        }
    }
}

/// The words and signs of a text.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&sign) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match sign {
            '/' if next == Some('/') => at = after_line(&chars, at),
            '/' if next == Some('*') => at = after_comment(&chars, at),
            '"' => at = after_text(&chars, at),
            '\'' => at = after_quote(&chars, at),
            'r' if is_raw_text(&chars, at) => at = after_raw_text(&chars, at + 1),
            'b' if next == Some('r') && is_raw_text(&chars, at + 1) => at = after_raw_text(&chars, at + 2),
            ':' if next == Some(':') => {
                tokens.push(Token::Separator);
                at += 2;
            }
            _ if sign.is_alphanumeric() || sign == '_' => {
                let end = chars[at..]
                    .iter()
                    .position(|sign| !sign.is_alphanumeric() && *sign != '_');
                let end = end.map_or(chars.len(), |length| at + length);
                tokens.push(Token::Word(chars[at..end].iter().collect()));
                at = end;
            }
            _ => {
                if !sign.is_whitespace() {
                    tokens.push(Token::Sign(sign));
                }
                at += 1;
            }
        }
    }
    tokens
}

fn after_line(chars: &[char], at: usize) -> usize {
    let length = chars[at..].iter().position(|sign| *sign == '\n');
    length.map_or(chars.len(), |length| at + length)
}

fn after_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn after_text(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(sign) = chars.get(at) {
        match sign {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// A character, or the quote of a lifetime.
fn after_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let end = chars[at + 3..].iter().position(|sign| *sign == '\'');
            end.map_or(chars.len(), |length| at + 4 + length)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

fn is_raw_text(chars: &[char], at: usize) -> bool {
    let is_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let hashes = chars[at + 1..].iter().take_while(|sign| **sign == '#').count();
    (!is_word || chars[at - 1] == 'b') && chars.get(at + 1 + hashes) == Some(&'"')
}

/// `at` is the first hash, or the quote.
fn after_raw_text(chars: &[char], at: usize) -> usize {
    let hashes = chars[at..].iter().take_while(|sign| **sign == '#').count();
    let mut end = at + hashes + 1;
    while end < chars.len() {
        let is_end = chars[end] == '"'
            && chars[end + 1..]
                .iter()
                .take(hashes)
                .filter(|sign| **sign == '#')
                .count()
                == hashes;
        if is_end {
            return end + 1 + hashes;
        }
        end += 1;
    }
    end
}

#[test]
fn a_source_is_read_as_the_compiler_reads_it() {
    let text = r##"
        // use crate::comment;
        pub(in crate::hidden) use a::{self, b::{c as d, *}};
        /* use crate::comment; /* nested */ */
        const TEXT: &str = "use crate::text; \" ";
        const RAW: &str = r#"use crate::raw "#;
        fn f<'a>(x: &'a str) -> char { crate::there::now::<u8>(); super::up(); other::way(); '"' }
        #[cfg(test)]
        mod tests { use crate::test; fn g() { { } } }
        #[cfg(test)]
        mod apart;
        use crate::last;
    "##;
    let source = Source::read(text, &["noraft"]);
    let paths: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "a",
            "a::b::c",
            "a::b::*",
            "crate::there::now",
            "super::up",
            "crate::last"
        ]
    );
    assert_eq!(source.names[1].0, "d");
    assert_eq!(source.test_modules, ["apart"]);
}
