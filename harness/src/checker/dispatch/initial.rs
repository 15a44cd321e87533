//! What there was before the first operation, in terms of the model.

use super::options::Options;
use crate::checker::bank::Balances;
use crate::checker::model_name::ModelName;
use crate::recording::Recording;
use crate::recording::datum::Datum;

/// The initial value, and what a model reads in it.
#[derive(Debug, Default)]
pub(super) struct Initial {
    /// The value itself; nil if none was given.
    pub(super) value: Datum,
    /// One was given.
    pub(super) given: bool,
    /// Of a counter its number, of accounts their total, of a lock the token of its holder.
    pub(super) number: Option<i128>,
    /// The elements of a set or list.
    pub(super) elements: Vec<Datum>,
}

impl Initial {
    /// What is given, or else what the history says.
    ///
    /// # Errors
    /// When the model cannot begin with that.
    pub(super) fn of(recording: &mut Recording, model: ModelName, options: &Options) -> Result<Self, String> {
        let value = match &options.initial {
            Some(text) => Some(
                crate::formats::parse_datum(&mut recording.pool, text)
                    .ok_or_else(|| format!("the initial value {text:?} is not one value in EDN or JSON"))?,
            ),
            None => recording.initial,
        };
        let Some(value) = value else {
            return Ok(Self::default());
        };
        let pool = &recording.pool;
        let mut initial = Self {
            value,
            given: true,
            ..Self::default()
        };
        let cannot = |expected: &str| {
            let (name, shown) = (model.name(), pool.show(value));
            Err(format!(
                "the initial value of a {name} is {expected}, not {shown}"
            ))
        };
        match model {
            ModelName::Register | ModelName::Kv | ModelName::RwRegister => {}
            _ if value.is_nil() => {}
            ModelName::Counter | ModelName::Lock => match pool.as_integer(value) {
                Some(number) => initial.number = Some(number),
                None => return cannot("a number"),
            },
            ModelName::Bank => match Balances::of(pool, value) {
                Some(balances) => initial.number = Some(balances.total),
                None => match pool.as_integer(value) {
                    Some(total) => initial.number = Some(total),
                    None => return cannot("a map of balances or their total"),
                },
            },
            ModelName::Set | ModelName::SetFull | ModelName::ListAppend => match pool.as_elements(value) {
                Some(elements) => initial.elements = elements.to_vec(),
                None => return cannot("a list of elements"),
            },
            ModelName::Log | ModelName::ExactlyOnce => {
                if !pool.as_list(value).is_some_and(<[Datum]>::is_empty) {
                    return cannot("[]");
                }
            }
        }
        Ok(initial)
    }
}
