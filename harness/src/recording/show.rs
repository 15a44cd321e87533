//! Values as a person reads them, in EDN.

use super::datum::{Datum, Kind, Pool, View};

impl Pool {
    /// The value as a person reads it, in EDN.
    pub fn show(&self, datum: Datum) -> String {
        let mut out = String::new();
        self.write(datum, &mut out);
        out
    }

    fn write(&self, datum: Datum, out: &mut String) {
        match self.view(datum) {
            View::Nil => out.push_str("nil"),
            View::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            View::Int(value) => out.push_str(&value.to_string()),
            View::Text(text) => out.push_str(&format!("{text:?}")),
            View::Atom(kind, text) => write_atom(kind, text, out),
            View::List(elements) => self.write_run(elements, ("[", "]"), out),
            View::Set(elements) => self.write_run(elements, ("#{", "}"), out),
            View::Map(pairs) => self.write_run(pairs, ("{", "}"), out),
            View::Tagged(tag, value) => {
                out.push('#');
                self.write(tag, out);
                out.push(' ');
                self.write(value, out);
            }
        }
    }

    fn write_run(&self, elements: &[Datum], (open, close): (&str, &str), out: &mut String) {
        out.push_str(open);
        for (i, element) in elements.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            self.write(*element, out);
        }
        out.push_str(close);
    }
}

fn write_atom(kind: Kind, text: &str, out: &mut String) {
    match kind {
        Kind::Text => out.push_str(&format!("{text:?}")),
        Kind::Keyword => {
            out.push(':');
            out.push_str(text);
        }
        Kind::Bytes => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        Kind::Character => {
            out.push('\\');
            out.push_str(match text {
                "\n" => "newline",
                " " => "space",
                "\t" => "tab",
                "\r" => "return",
                other => other,
            });
        }
        Kind::Decimal => {
            out.push_str(text);
            out.push('M');
        }
        Kind::Symbol | Kind::Integer | Kind::Float | Kind::Odd => out.push_str(text),
    }
}
