//! One history has one verdict, however it is written down: as EDN, as JSON or as Jepsen's text, with maps in any
//! order and numbers, texts and lists spelled in any way; and it is that of the same history of small numbers.
//!
//! `SPELLINGS_FROM` and `SPELLINGS_COUNT` choose other seeds.

use std::io::Cursor;
use std::path::Path;

use harness::checker::{self, Budget, ModelName, Options};
use harness::formats;
use harness::generator::random::Random;
use harness::results::Outcome;

/// A value that both notations can say.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Nil,
    Bool(bool),
    Integer(i128),
    /// Tenths, so that there is always a point.
    Tenths(i64),
    Text(&'static str),
    List(Vec<Value>),
    /// Sorted by key.
    Map(Vec<(&'static str, Value)>),
}

const TEXTS: [&str; 7] = ["", "a", ":a", "1", "é\n", "[1]", "nil"];
const KEYS: [&str; 3] = ["k", "l", "m n"];
const INTEGERS: [i128; 6] = [
    0,
    1,
    -1,
    i64::MAX as i128 + 1,
    1 << 100,
    1_152_921_504_606_846_976,
];

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Nil,
        1 => Value::Bool(random.chance(0.5)),
        2 => Value::Integer(INTEGERS[random.below(INTEGERS.len())]),
        3 => Value::Tenths(random.below(40) as i64 - 20),
        4 => Value::Text(TEXTS[random.below(TEXTS.len())]),
        5 => Value::List((0..random.below(4)).map(|_| value(random, depth - 1)).collect()),
        _ => {
            let keys = KEYS.iter().filter(|_| random.chance(0.6)).collect::<Vec<_>>();
            Value::Map(
                keys.into_iter()
                    .map(|key| (*key, value(random, depth - 1)))
                    .collect(),
            )
        }
    }
}

/// A few different values; nil is what a register is before the first write, so it is none of them.
fn values(random: &mut Random) -> Vec<Value> {
    let mut values = Vec::new();
    while values.len() < 4 {
        let one = value(random, 2);
        if one != Value::Nil && !values.contains(&one) {
            values.push(one);
        }
    }
    values
}

#[derive(Clone, Copy)]
enum Op {
    Write(usize),
    Cas(usize, usize),
    /// `None`: nil.
    Read(Option<usize>),
}

struct Event {
    process: usize,
    kind: &'static str,
    op: Op,
}

/// Three processes on one register; now and then a read is wrong.
fn history(random: &mut Random) -> Vec<Event> {
    let mut events = Vec::new();
    let mut state = None;
    let mut busy: [Option<Op>; 3] = [None; 3];
    for _ in 0..10 + random.below(20) {
        let process = random.below(3);
        let Some(op) = busy[process].take() else {
            let op = match random.below(3) {
                0 => Op::Write(random.below(4)),
                1 => Op::Cas(random.below(4), random.below(4)),
                _ => Op::Read(None),
            };
            let kind = "invoke";
            events.push(Event { process, kind, op });
            busy[process] = Some(op);
            continue;
        };
        let (kind, op) = match op {
            _ if random.chance(0.1) => ("info", op),
            Op::Write(new) => {
                state = Some(new);
                ("ok", op)
            }
            Op::Cas(old, _) if state != Some(old) => ("fail", op),
            Op::Cas(_, new) => {
                state = Some(new);
                ("ok", op)
            }
            Op::Read(_) if random.chance(0.1) => ("ok", Op::Read(Some(random.below(4)))),
            Op::Read(_) => ("ok", Op::Read(state)),
        };
        events.push(Event { process, kind, op });
    }
    events
}

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Notation {
    Edn,
    EdnVector,
    Json,
    JsonVector,
    Text,
}

impl Notation {
    fn is_edn(self) -> bool {
        match self {
            Self::Edn | Self::EdnVector | Self::Text => true,
            Self::Json | Self::JsonVector => false,
        }
    }
}

struct Writer<'a> {
    random: &'a mut Random,
    notation: Notation,
    /// In place of each value its number.
    plain: bool,
    values: &'a [Value],
}

impl Writer<'_> {
    fn history(&mut self, events: &[Event]) -> String {
        let mut lines: Vec<String> = events.iter().map(|event| self.event(event)).collect();
        match self.notation {
            Notation::JsonVector => format!("[\n{}\n]\n", lines.join(",\n")),
            Notation::EdnVector => format!("({}) ; the end\n", lines.join("\n")),
            Notation::Edn | Notation::Json | Notation::Text => {
                lines.push(String::new());
                lines.join("\n")
            }
        }
    }

    fn event(&mut self, event: &Event) -> String {
        let (f, value) = match event.op {
            Op::Write(new) => ("write", self.value(new)),
            Op::Cas(old, new) => {
                let separator = if self.notation.is_edn() { " " } else { "," };
                (
                    "cas",
                    format!("[{}{separator}{}]", self.value(old), self.value(new)),
                )
            }
            Op::Read(None) => ("read", self.spell(&Value::Nil)),
            Op::Read(Some(seen)) => ("read", self.value(seen)),
        };
        let Event { process, kind, .. } = event;
        match self.notation {
            Notation::Text => format!("{process}\t:{kind}\t:{f}\t{value}"),
            Notation::Edn | Notation::EdnVector => {
                let mut fields = [
                    format!(":process {process}"),
                    format!(":type :{kind}"),
                    format!(":f :{f}"),
                    format!(":value {value}"),
                    ":error [\\\" ##NaN #_ 1]".to_owned(),
                ];
                self.shuffle(&mut fields);
                format!("#jepsen.history.Op{{{}}}", fields.join(", "))
            }
            Notation::Json | Notation::JsonVector => {
                let mut fields = [
                    format!("\"process\":{process}"),
                    format!("\"type\": \"{kind}\""),
                    format!("\"f\" :\"{f}\""),
                    format!("\"value\":{value}"),
                ];
                self.shuffle(&mut fields);
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    fn value(&mut self, at: usize) -> String {
        match self.plain {
            true => at.to_string(),
            false => {
                let value = self.values[at].clone();
                self.spell(&value)
            }
        }
    }

    fn spell(&mut self, value: &Value) -> String {
        let is_edn = self.notation.is_edn();
        match value {
            Value::Nil => if is_edn { "nil" } else { "null" }.to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(number) => {
                let suffix = if is_edn && self.random.chance(0.5) {
                    "N"
                } else {
                    ""
                };
                format!("{number}{suffix}")
            }
            Value::Tenths(tenths) => {
                let (sign, digits) = (if *tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
                match self.random.below(3) {
                    0 => format!("{sign}{}.{}", digits / 10, digits % 10),
                    1 => format!("{sign}{}.{}00", digits / 10, digits % 10),
                    _ => format!("{sign}{digits}E-1"),
                }
            }
            Value::Text(text) => self.text(text),
            Value::List(elements) => {
                let elements: Vec<String> = elements.iter().map(|one| self.spell(one)).collect();
                match is_edn {
                    true if self.random.chance(0.5) => format!("({})", elements.join(" ")),
                    true => format!("[{}]", elements.join(", ")),
                    false => format!("[ {} ]", elements.join(" , ")),
                }
            }
            Value::Map(pairs) => {
                let separator = if is_edn { " " } else { ": " };
                let mut pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| format!("{}{separator}{}", self.text(key), self.spell(value)))
                    .collect();
                self.shuffle(&mut pairs);
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for one in text.chars() {
            match one {
                '\n' => out.push_str("\\n"),
                _ if self.random.chance(0.3) => out.push_str(&format!("\\u{:04x}", u32::from(one))),
                _ => out.push(one),
            }
        }
        out.push('"');
        out
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.random.below(at + 1));
        }
    }
}

fn verdict(text: &str) -> Outcome {
    let input = Cursor::new(text.to_owned());
    let mut recording = formats::read(input, Path::new("history"), &Budget::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let options = Options {
        model: Some(ModelName::Register),
        ..Options::default()
    };
    checker::check(&mut recording, &options, &Budget::default()).outcome()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn a_history_has_one_verdict_however_it_is_written_down() {
    let (from, count) = (number("SPELLINGS_FROM", 1), number("SPELLINGS_COUNT", 400));
    let mut outcomes = Vec::new();
    for seed in from..from + count {
        let mut random = Random::new(seed);
        let (values, events) = (values(&mut random), history(&mut random));
        let mut written = |notation, plain| {
            let random = &mut random;
            let values = &values;
            let mut writer = Writer {
                random,
                notation,
                plain,
                values,
            };
            writer.history(&events)
        };
        let expected = verdict(&written(Notation::Json, true));
        outcomes.push(expected);
        for notation in [
            Notation::Edn,
            Notation::EdnVector,
            Notation::Json,
            Notation::JsonVector,
            Notation::Text,
        ] {
            let text = written(notation, false);
            let found = verdict(&text);
            assert_eq!(
                found, expected,
                "{notation:?}: SPELLINGS_FROM={seed} SPELLINGS_COUNT=1\n{text}"
            );
        }
    }
    let seen = |outcome| outcomes.iter().filter(|one| **one == outcome).count() as u64;
    assert!(seen(Outcome::Valid) * 10 > count && seen(Outcome::Invalid) * 10 > count || count < 100);
}
