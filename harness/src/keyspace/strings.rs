//! What requests do to strings.

use bytes::Bytes;
use noraftd::record::PAYLOAD_BYTES_MAX;

use super::answer::Answer;
use super::number::signed;
use super::request::{Set, When};
use super::{Keyspace, Value};

impl Keyspace {
    pub(super) fn get(&self, key: &Bytes) -> Answer {
        match self.map.get(key) {
            Some(Value::Text(text)) => Answer::Bulk(text.clone()),
            Some(Value::Stream(_)) => Answer::wrong_type(),
            None => Answer::Nil,
        }
    }

    pub(super) fn set(&mut self, set: &Set) -> Answer {
        let old = self.get(&set.key);
        let is_text_wanted = set.get || matches!(set.when, When::Holds(_));
        if is_text_wanted && matches!(old, Answer::Error(_)) {
            return old;
        }
        let is_there = self.map.contains_key(&set.key);
        let happens = match &set.when {
            When::Any => true,
            When::Absent => !is_there,
            When::Present => is_there,
            When::Holds(text) => old == Answer::Bulk(text.clone()),
        };
        if happens {
            self.map.insert(set.key.clone(), Value::Text(set.value.clone()));
            self.touch(&set.key);
            self.let_go(&set.key, set.until);
        }
        if set.get {
            old
        } else if happens {
            Answer::ok()
        } else {
            Answer::Nil
        }
    }

    pub(super) fn add(&mut self, key: &Bytes, delta: i64) -> Answer {
        let old = match self.map.get(key) {
            None => 0,
            Some(Value::Stream(_)) => return Answer::wrong_type(),
            Some(Value::Text(text)) => match signed(text) {
                Some(old) => old,
                None => return Answer::not_an_integer(),
            },
        };
        let sum = i128::from(old) + i128::from(delta);
        let Ok(sum) = i64::try_from(sum) else {
            return Answer::error("ERR increment or decrement would overflow");
        };
        let text = Bytes::from(sum.to_string());
        self.map.insert(key.clone(), Value::Text(text));
        self.touch(key);
        Answer::Integer(sum)
    }

    pub(super) fn append(&mut self, key: &Bytes, suffix: &Bytes) -> Answer {
        let joined = match self.map.get(key) {
            None => suffix.clone(),
            Some(Value::Stream(_)) => return Answer::wrong_type(),
            Some(Value::Text(old)) => Bytes::from([&old[..], &suffix[..]].concat()),
        };
        if joined.len() > VALUE_BYTES_MAX {
            return Answer::Error(format!(
                "ERR string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)"
            ));
        }
        let length = Answer::count(joined.len());
        let is_new = self.map.insert(key.clone(), Value::Text(joined)).is_none();
        if is_new || !suffix.is_empty() {
            self.touch(key);
        }
        length
    }
}

/// A value is at most as large as a command.
const VALUE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;
