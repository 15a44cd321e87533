//! A plan, setting by setting, as `plan.toml` in a run's folder has it.
//!
//! Invariant: read as TOML, not as a plan, so that the plans of other versions can be compared too.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::super::beneath::{Beneath, inside};

/// Settings by their names, such as `cluster.nodes` or `workload[1].kind`, as TOML writes their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn read(beneath: &Beneath, path: &str) -> Result<Self, String> {
        let text = beneath.read_text(&inside(path, "plan.toml"), ABOUT_BYTES_MAX);
        let text = text.map_err(|error| format!("plan.toml {error}"))?;
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| format!("plan.toml is damaged: {}", error.message()))?;
        let mut settings = Self::default();
        settings.add("", &Value::Table(table));
        Ok(settings)
    }

    fn add(&mut self, name: &str, value: &Value) {
        if self.0.len() >= SETTINGS_MAX {
            return;
        }
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    let dot = if name.is_empty() { "" } else { "." };
                    self.add(&format!("{name}{dot}{key}"), value);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_table) => {
                for (at, item) in items.iter().enumerate() {
                    self.add(&format!("{name}[{}]", at + 1), item);
                }
            }
            other => {
                self.0.insert(name.to_owned(), other.to_string());
            }
        }
    }

    /// The text that the setting is.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.0.get(name)?;
        Some(value.trim_matches('"').to_owned())
    }

    /// The number that the setting is.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.parse().ok()
    }

    /// What is set, as TOML writes it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The settings in which two plans differ, by name: that of the first, that of the second.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let mut names: Vec<&str> = self.0.keys().chain(other.0.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let both = names
            .into_iter()
            .map(|name| (name, self.get(name), other.get(name)));
        both.filter(|(_, one, two)| one != two).collect()
    }
}

/// A plan has some hundred.
const SETTINGS_MAX: usize = 5000;
/// Of `run.json` and `plan.toml`.
pub(super) const ABOUT_BYTES_MAX: u64 = 1 << 20;
