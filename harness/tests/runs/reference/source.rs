//! Reads the documented types out of a source file: enough of Rust for structs and enums that rustfmt has laid out.

/// A struct or an enum.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) doc: String,
    /// Whether it is read from a file: it derives `Deserialize`.
    pub(super) is_read: bool,
    /// The type that a file has in place of it.
    pub(super) read_from: Option<String>,
    pub(super) members: Vec<Member>,
}

/// A field, a variant, or a field of a variant.
pub(super) struct Member {
    /// As a file spells it.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) doc: String,
}

/// What precedes a line that names something.
#[derive(Default)]
struct Before {
    doc: String,
    attributes: String,
}

impl Before {
    /// Takes a line that belongs to what follows; false for any other.
    fn take(&mut self, line: &str) -> bool {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            if !self.doc.is_empty() && !doc.is_empty() {
                self.doc.push(' ');
            }
            self.doc.push_str(doc.trim());
        } else if line.starts_with("#[") || self.is_inside_attribute() {
            self.attributes.push_str(line);
        } else {
            return false;
        }
        true
    }

    /// Whether the last attribute goes on in the next line.
    fn is_inside_attribute(&self) -> bool {
        !self.attributes.is_empty() && !self.attributes.ends_with(']')
    }

    /// The type that a file has in place of this one.
    fn read_from(&self) -> Option<String> {
        let (_, rest) = self.attributes.split_once("from = \"")?;
        Some(rest.split_once('"')?.0.to_owned())
    }

    /// The name in a file: what serde was asked to call it, or in words with hyphens for a variant.
    fn spelled(&self, name: &str, is_variant: bool) -> String {
        let renamed = self.attributes.split_once("rename = \"");
        if let Some((name, _)) = renamed.and_then(|(_, rest)| rest.split_once('"')) {
            return name.to_owned();
        }
        if !is_variant {
            return name.to_owned();
        }
        let mut spelled = String::new();
        for char in name.chars() {
            if char.is_uppercase() && !spelled.is_empty() {
                spelled.push('-');
            }
            spelled.extend(char.to_lowercase());
        }
        spelled
    }

    /// The doc without what only rustdoc understands, fit for a table.
    fn text(&self) -> String {
        let text = self
            .doc
            .replace("[`", "`")
            .replace("`]", "`")
            .replace("Self::", "");
        text.replace('|', "\\|").replace('<', "&lt;")
    }
}

/// All documented structs and enums.
pub(super) fn items(text: &str) -> Vec<Item> {
    let (mut items, mut before) = (Vec::new(), Before::default());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if before.take(line) {
            continue;
        }
        let before = std::mem::take(&mut before);
        let line = without_visibility(line);
        let (is_enum, rest) = match (line.strip_prefix("struct "), line.strip_prefix("enum ")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => continue,
        };
        let Some(name) = rest.strip_suffix(" {") else {
            continue;
        };
        items.push(Item {
            name: name.to_owned(),
            doc: before.text(),
            is_read: before.attributes.contains("Deserialize"),
            read_from: before.read_from(),
            members: members(&mut lines, is_enum),
        });
    }
    items
}

/// The item or field behind `pub`, `pub(super)` or the like.
fn without_visibility(line: &str) -> &str {
    if let Some(rest) = line.strip_prefix("pub ") {
        return rest;
    }
    let restricted = line.strip_prefix("pub(").and_then(|rest| rest.split_once(") "));
    restricted.map_or(line, |(_, rest)| rest)
}

/// The members up to the end of the item.
fn members<'a>(lines: &mut impl Iterator<Item = &'a str>, is_enum: bool) -> Vec<Member> {
    let (mut members, mut before) = (Vec::new(), Before::default());
    let mut variant: Option<String> = None;
    for line in lines {
        if line == "}" {
            break;
        }
        if before.take(line) {
            continue;
        }
        let before = std::mem::take(&mut before);
        let line = line.trim();
        if line == "}," {
            variant = None;
        } else if let Some(name) = line.strip_suffix(" {") {
            let name = before.spelled(name, true);
            members.push(Member {
                name: name.clone(),
                kind: String::new(),
                doc: before.text(),
            });
            variant = Some(name);
        } else if let Some((name, kind)) = without_visibility(line).split_once(": ") {
            let name = before.spelled(name, false);
            members.push(Member {
                name: variant
                    .as_ref()
                    .map_or(name.clone(), |of| format!("{of}: {name}")),
                kind: kind.trim_end_matches(',').replace('<', "&lt;"),
                doc: before.text(),
            });
        } else if is_enum && !line.is_empty() {
            let name = line.trim_end_matches(',');
            let (name, kind) = name.split_once('(').unwrap_or((name, ""));
            members.push(Member {
                name: before.spelled(name, true),
                kind: kind.trim_end_matches(')').to_owned(),
                doc: before.text(),
            });
        }
    }
    members
}
