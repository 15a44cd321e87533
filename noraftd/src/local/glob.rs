//! Patterns as `CONFIG GET` takes them: `*`, `?` and literal bytes, in any case.
//!
//! Invariant: time is at most proportional to pattern times name: one place to go back to is enough,
//! because a later `*` makes every earlier one as good as settled.

/// True when `pattern` matches all of `name`.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut star = None;
    while let Some(byte) = name.get(at_name) {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                star = Some((at_pattern, at_name));
                continue;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at_pattern += 1;
                at_name += 1;
                continue;
            }
            Some(_) | None => {}
        }
        // The last star has to swallow one byte more.
        let Some((after_star, from)) = star else {
            return false;
        };
        (at_pattern, at_name) = (after_star, from + 1);
        star = Some((after_star, from + 1));
    }
    pattern.iter().skip(at_pattern).all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_names() {
        let yes = [
            ("save", "save"),
            ("SAVE", "save"),
            ("*", ""),
            ("max*", "maxmemory"),
            ("*-*", "a-b"),
            ("?", "x"),
        ];
        let no = [
            ("save", "saved"),
            ("sav", "save"),
            ("?", ""),
            ("", "x"),
            ("*a", "ab"),
            ("a*b*c", "acb"),
        ];
        for (pattern, name) in yes {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(!matches(&b"*a".repeat(500), &[b'a'; 400]));
    }
}
