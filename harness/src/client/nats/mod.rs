//! NATS JetStream as a key-value store: a stream that keeps the last message of each subject.
//!
//! A write is a message with an acknowledgement of the stream; a compare-and-set is one that names the sequence number of the
//! message that it replaces; a read asks the stream's leader for the last message of the subject.
//!
//! Invariant: without an acknowledgement the outcome is open, except where the server says that no one got the message.

mod wire;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::wish::Wish;
use super::{CallError, Door, NodeView, Reply};
use wire::{Answer, Wire};

/// A client's connection.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
}

/// A value and the sequence number of its message; 0 and no value of a key that is not there.
type Sequenced = (Option<String>, u64);

impl Session {
    /// Connects to a node.
    pub(super) async fn connect(door: Door, patience: Duration) -> Result<Self, CallError> {
        let wire = timeout(patience, Wire::connect(door.address)).await;
        let late = |_| CallError::Unreachable(format!("not accepted within {patience:?}"));
        Ok(Self {
            wire: wire.map_err(late)??,
        })
    }

    /// Does what `words` ask for.
    pub(super) async fn call(&mut self, words: &[String], patience: Duration) -> Result<Reply, CallError> {
        let granted = async {
            match Wish::of(words) {
                Some(Wish::Get(key)) => Ok(reply_of(self.read(key).await?.0)),
                Some(Wish::Set { key, value }) => self.write(key, value).await,
                Some(Wish::Swap { key, old, new }) => self.swap(key, old, new).await,
                // Nothing reads several subjects at one moment.
                Some(Wish::GetAll(_) | Wish::Append { .. }) | None => {
                    Err(CallError::Refused("UNSUPPORTED by NATS".to_owned()))
                }
            }
        };
        timeout(patience, granted)
            .await
            .unwrap_or(Err(CallError::Timeout(patience)))
    }

    async fn read(&mut self, key: &str) -> Result<Sequenced, CallError> {
        let ask = json!({ "last_by_subj": subject(key) });
        let said = self.api("STREAM.MSG.GET", &ask).await?;
        if let Some(error) = said.get("error") {
            return match error["err_code"].as_u64() {
                Some(NO_MESSAGE) => Ok((None, 0)),
                // A read has no effect.
                Some(_) | None => Err(CallError::Refused(describe(error))),
            };
        }
        let message = &said["message"];
        let data = message["data"].as_str().unwrap_or_default();
        let value = STANDARD
            .decode(data)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match (value, message["seq"].as_u64()) {
            (Some(value), Some(sequence)) => Ok((Some(value), sequence)),
            (_, _) => Err(CallError::Malformed(format!("a message that is none: {said}"))),
        }
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<Reply, CallError> {
        match self.publish(key, value, None).await? {
            Published::Acknowledged => Ok(Reply::Status("OK".to_owned())),
            Published::Refused(why) => Err(CallError::Refused(why)),
        }
    }

    async fn swap(&mut self, key: &str, old: &str, new: &str) -> Result<Reply, CallError> {
        for _ in 0..SWAP_TRIES_MAX {
            let (value, sequence) = self.read(key).await?;
            if value.as_deref() != Some(old) {
                return Ok(reply_of(value));
            }
            match self.publish(key, new, Some(sequence)).await? {
                Published::Acknowledged => return Ok(reply_of(value)),
                // Another message came between: what it wrote is not the expected value.
                Published::Refused(_) => {}
            }
        }
        Err(CallError::Refused("CONFLICT with other writes".to_owned()))
    }

    async fn publish(
        &mut self,
        key: &str,
        value: &str,
        expected: Option<u64>,
    ) -> Result<Published, CallError> {
        let header = expected.map(|sequence| ("Nats-Expected-Last-Subject-Sequence", sequence));
        let answer = self.wire.request(&subject(key), header, value.as_bytes()).await?;
        let Answer::Payload(payload) = answer else {
            return Err(CallError::Refused("NORESPONDERS".to_owned()));
        };
        let said: Value = serde_json::from_slice(&payload)
            .map_err(|error| CallError::Malformed(format!("an acknowledgement that is none: {error}")))?;
        match said.get("error") {
            Some(error) if error["err_code"].as_u64() == Some(WRONG_LAST_SEQUENCE) => {
                Ok(Published::Refused(describe(error)))
            }
            Some(error) => Err(CallError::Indefinite(describe(error))),
            None if said["seq"].is_u64() => Ok(Published::Acknowledged),
            None => Err(CallError::Malformed(format!(
                "an acknowledgement that is none: {said}"
            ))),
        }
    }

    /// Asks the stream's leader. A refusal is definite: none of these changes a key.
    async fn api(&mut self, verb: &str, ask: &Value) -> Result<Value, CallError> {
        let about = format!("$JS.API.{verb}.{STREAM}");
        match self
            .wire
            .request(&about, None, ask.to_string().as_bytes())
            .await?
        {
            Answer::NoResponders => Err(CallError::Refused("NORESPONDERS".to_owned())),
            Answer::Payload(payload) => serde_json::from_slice(&payload)
                .map_err(|error| CallError::Malformed(format!("an answer that is none: {error}"))),
        }
    }
}

/// What became of a message.
enum Published {
    /// It is in the stream.
    Acknowledged,
    /// It is not, and will not be.
    Refused(String),
}

/// Makes the stream, on all nodes.
///
/// # Errors
///
/// What the servers said last, when it was not made in time.
pub(super) async fn prepare(doors: &[Door], patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let stream = json!({
        "name": STREAM,
        "subjects": [format!("{SUBJECTS}.>")],
        "max_msgs_per_subject": 1,
        "storage": "file",
        "num_replicas": doors.len(),
    });
    let mut last = "no server answered".to_owned();
    while Instant::now() < deadline {
        for door in doors {
            let made = async {
                let mut session = Session::connect(*door, ASK_MAX).await?;
                timeout(ASK_MAX, session.api("STREAM.CREATE", &stream))
                    .await
                    .unwrap_or(Err(CallError::Timeout(ASK_MAX)))
            };
            match made.await.map(|said| said.get("error").map(describe)) {
                Ok(None) => return Ok(()),
                Ok(Some(error)) => last = error,
                Err(error) => last = error.to_string(),
            }
        }
        sleep(ASK_AGAIN).await;
    }
    Err(last)
}

/// Whether the node answers.
pub(super) async fn answers(door: Door, patience: Duration) -> bool {
    Session::connect(door, patience).await.is_ok()
}

/// Whether the node leads the stream, and how far that is. A stream without a leader says nothing.
pub(super) async fn view(door: Door, patience: Duration) -> Option<NodeView> {
    let mut session = Session::connect(door, patience).await.ok()?;
    let said = timeout(patience, session.api("STREAM.INFO", &json!({}))).await;
    let said = said.ok().and_then(Result::ok).unwrap_or_default();
    let last = said["state"]["last_seq"].as_u64().unwrap_or(0);
    let own = format!("n{}", door.node);
    Some(NodeView {
        leads: said["cluster"]["leader"].as_str() == Some(own.as_str()),
        term: 0,
        commit_index: last,
        applied_index: last,
        divergence: None,
    })
}

fn subject(key: &str) -> String {
    format!("{SUBJECTS}.{key}")
}

fn reply_of(value: Option<String>) -> Reply {
    value.map_or(Reply::Null, |value| Reply::Bulk(Bytes::from(value)))
}

/// An error of JetStream in words, its number first.
fn describe(error: &Value) -> String {
    let number = error["err_code"].as_u64().unwrap_or_default();
    let said = error["description"].as_str().unwrap_or_default();
    format!("JS{number} {said}")
}

const STREAM: &str = "KV_under_test";
const SUBJECTS: &str = "$KV.under_test";
// Numbers of errors of JetStream (`server/errors.json` of nats-server).
const NO_MESSAGE: u64 = 10_037;
const WRONG_LAST_SEQUENCE: u64 = 10_071;
/// Each try is lost only to another write that was made.
const SWAP_TRIES_MAX: usize = 20;
const ASK_MAX: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_number_and_a_key_by_its_subject() {
        let error = json!({ "code": 400, "err_code": 10071, "description": "wrong last sequence: 5" });
        assert_eq!(describe(&error), "JS10071 wrong last sequence: 5");
        assert_eq!(subject("register:0.1"), "$KV.under_test.register:0.1");
        assert_eq!(reply_of(None), Reply::Null);
    }
}
