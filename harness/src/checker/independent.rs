//! Histories of several objects at once, whose keys stand in the values: `[key value]`, as Jepsen's independent
//! tests are written down.
//!
//! A register of pairs looks much the same, so all operations decide together: where each one, reads included, is
//! invoked with a pair, and each result is one, the first of the two is a key. A read that asks for
//! `[key nil]` and gets `[key value]` is a sign of keys; where others then have none, the history says two things
//! at once, and only the person who recorded it can say which is right.

use super::model_name::ModelName;
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Operation, Recording, ResultKind, Status};

/// Takes the keys out of the values, if that is what they have; an error says why that is not known.
pub(super) fn take_keys(
    recording: &mut Recording,
    model: ModelName,
    independent: Option<bool>,
) -> Result<(), String> {
    let is_keyed = match independent {
        Some(given) => given,
        // Our own files name the key, and only single objects are ever distinguished from pairs by looking.
        None if recording.workload.is_some() || !model.is_of_one_key() => false,
        None => guess(recording)?,
    };
    if is_keyed {
        take_out(recording, model);
    }
    Ok(())
}

fn guess(recording: &Recording) -> Result<bool, String> {
    let pool = &recording.pool;
    let cas = recording.function_id("cas");
    let is_pair = |operation: &Operation| {
        let [invoked, shown] = [operation.input, operation.output].map(|value| pool.as_pair(value));
        let swaps =
            Some(operation.function) != cas || invoked.is_some_and(|[_, swap]| pool.as_pair(swap).is_some());
        let completed = operation.status != Status::Ok || operation.output.is_nil() || shown.is_some();
        operation.key.is_nil() && invoked.is_some() && swaps && completed
    };
    let asks = |operation: &Operation| {
        let shown = pool
            .as_pair(operation.output)
            .filter(|_| operation.status == Status::Ok);
        let asked = pool.as_pair(operation.input).zip(shown);
        asked.is_some_and(|([key, value], [shown, seen])| {
            value.is_nil() && !seen.is_nil() && key == shown && !key.is_nil()
        }) && operation.key.is_nil()
            && Some(operation.function) != cas
    };
    let operations = &recording.operations;
    if !operations.is_empty() && operations.iter().all(is_pair) {
        return Ok(true);
    }
    match operations.iter().any(asks) {
        true => Err(
            "some operations have a [key value] pair and some have none: say with --independent yes or no \
             whether the first of the two is a key"
                .to_owned(),
        ),
        false => Ok(false),
    }
}

fn take_out(recording: &mut Recording, model: ModelName) {
    let pool = &mut recording.pool;
    for operation in &mut recording.operations {
        let invoked = pool.as_pair(operation.input);
        let shown = match operation.status {
            Status::Ok => pool.as_pair(operation.output),
            Status::Fail | Status::Info => None,
        };
        let keys = [invoked, shown].map(|pair| pair.map(|[key, _]| key));
        let key = match keys {
            [Some(one), Some(other)] if one != other => {
                operation.result = ResultKind::Contradicts;
                continue;
            }
            [Some(key), _] | [None, Some(key)] => key,
            [None, None] => {
                operation.result = ResultKind::Keyless;
                continue;
            }
        };
        operation.input = invoked.map_or(Datum::ABSENT, |[_, value]| value);
        if operation.status == Status::Ok && !operation.output.is_nil() {
            match shown {
                Some([_, value]) => operation.output = value,
                None => operation.result = ResultKind::Contradicts,
            }
        }
        if model.is_of_one_key() || model == ModelName::Bank {
            operation.key = key;
        } else {
            for value in [&mut operation.input, &mut operation.output] {
                *value = prefixed(pool, key, *value);
            }
        }
    }
}

/// A transaction on keys that each belong to `outer`: histories that share no key are serializable together iff
/// each of them is.
fn prefixed(pool: &mut Pool, outer: Datum, list: Datum) -> Datum {
    let Some(micros) = pool.as_list(list) else {
        return list;
    };
    let micros = micros.to_vec();
    let micros: Vec<Datum> = micros
        .into_iter()
        .map(|micro| match pool.as_list(micro) {
            Some(&[function, key, value]) => {
                let key = pool.list(&[outer, key]);
                pool.list(&[function, key, value])
            }
            Some(_) | None => micro,
        })
        .collect();
    pool.list(&micros)
}
