//! Values of JSON, written in EDN.

use std::fmt::Write;

use serde_json::Value;

/// What the names in an object become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Texts, so that they equal what they were.
    Texts,
    /// Keywords, as people write maps.
    Keywords,
}

pub(super) fn write(value: &Value, names: Names, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(value) => text(value, out),
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(element, names, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                match names {
                    Names::Texts => text(name, out),
                    Names::Keywords => name_of(name, out),
                }
                out.push(' ');
                write(value, names, out);
            }
            out.push('}');
        }
    }
}

/// A name as a keyword, or as a text if it is none.
pub(super) fn name_of(name: &str, out: &mut String) {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.?!*+".contains(char);
    let begins = name.chars().next().is_some_and(|char| char.is_ascii_alphabetic());
    if begins && name.chars().all(is_plain) {
        out.push(':');
        out.push_str(name);
    } else {
        text(name, out);
    }
}

/// EDN knows these escapes, and all other characters as they are.
pub(super) fn text(value: &str, out: &mut String) {
    out.push('"');
    for char in value.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char.is_control() && u32::from(char) <= 0xffff => {
                // Infallible: it is written into memory.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value, names: Names) -> String {
        let mut out = String::new();
        write(value, names, &mut out);
        out
    }

    #[test]
    fn values_are_those_of_edn() {
        let value = json!({"a b": [1, null, true, "q\"\\\n\u{1}"], "cas": {}});
        assert_eq!(
            shown(&value, Names::Texts),
            r#"{"a b" [1 nil true "q\"\\\n\u0001"], "cas" {}}"#
        );
        assert_eq!(
            shown(&json!({"cas": 1, "9": 2}), Names::Keywords),
            "{\"9\" 2, :cas 1}"
        );
    }
}
