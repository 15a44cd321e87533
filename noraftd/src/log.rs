//! The log on stderr: one line an event, as text for people or as JSON for programs, at a level that may change while the
//! process runs.
//!
//! A line of our own is a sentence that names everything. What programs look for is in fields beside it (`term`, `index`, `peer`,
//! `reason`), which only JSON shows: the sentence has them already.
//!
//! Invariant: a line of JSON is one object, with `timestamp`, `level` and `message` first; whatever is in a field never breaks the line.

use std::fmt::{self, Debug};
use std::io;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, registry, reload};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Time, level and a sentence.
    #[default]
    Text,
    /// An object of JSON.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// What is less urgent is left out.
    pub level: LevelFilter,
    /// How a line is written.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: LogFormat::Text,
        }
    }
}

/// The way to the level: the filter of this process's log.
type LevelHandle = reload::Handle<LevelFilter, Registry>;
type Filtered = Layered<reload::Layer<LevelFilter, Registry>, Registry>;

/// Logs to stderr from now on. A second call changes nothing: a process has one log.
pub fn start(config: LogConfig) {
    let (filter, handle) = reload::Layer::new(config.level);
    let lines: Box<dyn Layer<Filtered> + Send + Sync> = match config.format {
        LogFormat::Text => layer()
            .with_writer(io::stderr)
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(debug_fn(write_words))
            .boxed(),
        LogFormat::Json => layer()
            .with_writer(io::stderr)
            .with_ansi(false)
            .event_format(JsonLines)
            .boxed(),
    };
    if registry().with(filter).with(lines).try_init().is_ok() {
        LEVEL.get_or_init(|| handle);
    }
}

/// This process is node `id` of `cluster`: each line of JSON says so from now on.
pub fn identify(id: u64, cluster: &str) {
    ORIGIN.get_or_init(|| (id, cluster.to_owned()));
}

/// What is logged now.
pub fn level() -> LevelFilter {
    let level = LEVEL.get().and_then(reload::Handle::clone_current);
    level.unwrap_or(LevelFilter::OFF)
}

/// Logs from now on what is as urgent as `level`, or more.
///
/// # Errors
///
/// When this process has no log.
pub fn set_level(level: LevelFilter) -> Result<(), NoLog> {
    let handle = LEVEL.get().ok_or(NoLog)?;
    handle.reload(level).map_err(|_| NoLog)
}

/// There is no log whose level could change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this process has no log")]
pub struct NoLog;

static LEVEL: OnceLock<LevelHandle> = OnceLock::new();
static ORIGIN: OnceLock<(u64, String)> = OnceLock::new();

/// The sentence of a line; and fields, where another crate wrote it.
fn write_words(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() == MESSAGE {
        return write!(writer, "{value:?}");
    }
    match field.callsite().0.metadata().target().starts_with(OURS) {
        true => Ok(()),
        false => write!(writer, " {}={value:?}", field.name()),
    }
}

/// Each line as an object of JSON.
#[derive(Debug)]
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level().as_str();
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "{}", json_line(&time, level, fields, ORIGIN.get()))
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() == MESSAGE {
            true => self.message = format!("{value:?}"),
            false => self.set(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
}

/// Written by hand, so that what a reader looks for first comes first; each value is encoded as JSON.
fn json_line(time: &str, level: &str, fields: Fields, origin: Option<&(u64, String)>) -> String {
    let mut first: Vec<(&str, Value)> = vec![
        ("timestamp", time.into()),
        ("level", level.to_ascii_lowercase().into()),
        ("message", fields.message.into()),
    ];
    if let Some((id, cluster)) = origin {
        first.push(("node", (*id).into()));
        first.push(("cluster", cluster.as_str().into()));
    }
    let is_free = |name: &str| !first.iter().any(|(taken, _)| *taken == name);
    let others = fields.others.iter().filter(|(name, _)| is_free(name));
    let all = first.iter().map(|(name, value)| (*name, value));
    let all = all.chain(others.map(|(name, value)| (name.as_str(), value)));
    let pairs: Vec<String> = all
        .map(|(name, value)| format!("{}:{value}", Value::from(name)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

const MESSAGE: &str = "message";
/// The target of this crate's own lines begins like this.
const OURS: &str = "noraftd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_an_object_whatever_its_fields_hold() {
        let fields = Fields {
            message: "two\nlines \"quoted\"".to_owned(),
            others: [("term".to_owned(), 3.into()), ("node".to_owned(), 9.into())]
                .into_iter()
                .collect(),
        };
        let origin = (1, "a \"name\"".to_owned());
        let line = json_line("2026-01-01T00:00:00Z", "WARN", fields, Some(&origin));
        assert_eq!(
            line,
            r#"{"timestamp":"2026-01-01T00:00:00Z","level":"warn","message":"two\nlines \"quoted\"","#
                .to_owned()
                + r#""node":1,"cluster":"a \"name\"","term":3}"#
        );
        let read: Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(read["message"], "two\nlines \"quoted\"");
    }
}
