//! A violation in parts: when it was, the operations that take part, and the reason in sentences.

use super::{SENTENCE_CHARS_MAX, Story, cut_at};
use crate::checker::{Finding, Report};
use crate::model::NEVER;
use crate::recording::Recording;
use crate::results::{Account, Involved};

/// The account of a violation, without its drawing; `None` when nothing is wrong.
pub fn account(recording: &Recording, report: &Report) -> Option<Account> {
    let Finding::Invalid { key, violation } = &report.finding else {
        return None;
    };
    let story = Story::new(recording, *key, violation);
    let operations: Vec<Involved> = story.ids().iter().map(|id| story.involved(*id)).collect();
    let times = || {
        let both = |operation: &Involved| [operation.called_ns, operation.returned_ns];
        operations.iter().flat_map(both).flatten()
    };
    Some(Account {
        from_ns: times().min(),
        to_ns: times().max(),
        why: story
            .sentences()
            .iter()
            .map(|sentence| cut_at(sentence, SENTENCE_CHARS_MAX))
            .collect(),
        operations,
        drawing: None,
    })
}

impl Story<'_> {
    fn involved(&self, id: u32) -> Involved {
        let operation = self.operation(id);
        let returned = Some(operation.ret).filter(|ret| *ret != NEVER);
        Involved {
            letter: self.name(id),
            process: self.recording.process(operation.process),
            what: self.describe(id),
            node: self.recording.nodes.get(&id).map(ToString::to_string),
            called_ns: self.recording.time(operation.call),
            returned_ns: returned.and_then(|event| self.recording.time(event)),
        }
    }
}
