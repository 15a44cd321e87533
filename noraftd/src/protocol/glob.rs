//! Patterns as Redis has them: `*`, `?`, `[...]`, and a backslash before what is meant literally.
//!
//! Invariant: time is at most proportional to pattern times name: one place to go back to is enough,
//! because a later `*` makes every earlier one as good as settled.

/// Whether letters have a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// `a` is not `A`.
    Matters,
    /// It is.
    Ignored,
}

/// True when `pattern` matches all of `name`.
pub(crate) fn matches(pattern: &[u8], name: &[u8], case: Case) -> bool {
    let (mut rest, mut at_name) = (pattern, 0);
    let mut star = None;
    while let Some(byte) = name.get(at_name) {
        if let [b'*', after @ ..] = rest {
            rest = after;
            star = Some((after, at_name));
            continue;
        }
        if let Some(after) = take(rest, *byte, case) {
            rest = after;
            at_name += 1;
            continue;
        }
        // The last star has to swallow one byte more.
        let Some((after_star, from)) = star else {
            return false;
        };
        (rest, at_name) = (after_star, from + 1);
        star = Some((after_star, from + 1));
    }
    rest.iter().all(|&byte| byte == b'*')
}

/// What is left of the pattern, if its next item, which is no star, stands for `byte`.
fn take(pattern: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', b'^', class @ ..] => take_class(class, byte, case, false),
        [b'[', class @ ..] => take_class(class, byte, case, true),
        [b'\\', wanted, rest @ ..] | [wanted, rest @ ..] => same(*wanted, byte, case).then_some(rest),
    }
}

/// As [`take`], behind the bracket. A class that does not end goes on to the end.
fn take_class(mut class: &[u8], byte: u8, case: Case, wanted: bool) -> Option<&[u8]> {
    let mut is_in = false;
    let after = loop {
        class = match class {
            [] => break class,
            [b']', rest @ ..] => break rest,
            [b'\\', one, rest @ ..] => {
                is_in |= same(*one, byte, case);
                rest
            }
            [from, b'-', to, rest @ ..] => {
                is_in |= is_between(*from, *to, byte, case);
                rest
            }
            [one, rest @ ..] => {
                is_in |= same(*one, byte, case);
                rest
            }
        };
    };
    (is_in == wanted).then_some(after)
}

fn same(one: u8, other: u8, case: Case) -> bool {
    folded(one, case) == folded(other, case)
}

fn is_between(from: u8, to: u8, byte: u8, case: Case) -> bool {
    let (from, to) = (folded(from, case), folded(to, case));
    (from.min(to)..=from.max(to)).contains(&folded(byte, case))
}

fn folded(byte: u8, case: Case) -> u8 {
    match case {
        Case::Matters => byte,
        Case::Ignored => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, matches};

    fn check(pattern: &str, name: &str, case: Case, expected: bool) {
        let found = matches(pattern.as_bytes(), name.as_bytes(), case);
        assert_eq!(found, expected, "{pattern} {name} {case:?}");
    }

    #[test]
    fn patterns_match_whole_names() {
        let yes = [
            ("save", "save"),
            ("*", ""),
            ("max*", "maxmemory"),
            ("*-*", "a-b"),
            ("?", "x"),
            ("[-+]sdown", "+sdown"),
            ("[a-c][c-a]", "bb"),
            ("[^a]", "b"),
            ("[\\]]", "]"),
            ("\\*", "*"),
            ("[ab", "a"),
            ("*[0-9]", "key-7"),
        ];
        let no = [
            ("save", "saved"),
            ("sav", "save"),
            ("?", ""),
            ("", "x"),
            ("*a", "ab"),
            ("a*b*c", "acb"),
            ("[-+]sdown", "sdown"),
            ("[^a]", "a"),
            ("\\*", "x"),
            ("[]", "x"),
        ];
        for case in [Case::Matters, Case::Ignored] {
            yes.iter()
                .for_each(|(pattern, name)| check(pattern, name, case, true));
            no.iter()
                .for_each(|(pattern, name)| check(pattern, name, case, false));
        }
        assert!(!matches(&b"*a".repeat(500), &[b'a'; 400], Case::Matters));
    }

    #[test]
    fn letters_have_a_case_where_it_matters() {
        for (pattern, name) in [("SAVE", "save"), ("[S-T]ave", "save"), ("[^s]ave", "Save")] {
            check(pattern, name, Case::Matters, pattern.starts_with("[^"));
            check(pattern, name, Case::Ignored, !pattern.starts_with("[^"));
        }
    }
}
