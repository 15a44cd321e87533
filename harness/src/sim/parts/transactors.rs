//! Clients that move amounts between accounts, each with what `WATCH`, `MULTI` and `EXEC` are to a node: they ask when two accounts were
//! last changed, read them, and set both in one block that depends on that.
//!
//! Invariant: each client has one request open at a time. However transfers end, all accounts together hold what they began with, in
//! every block that reads all of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use noraft::LogIndex;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Parsed, Request, parse};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::RequestId;

use crate::plan::Plan;

/// All of them.
#[derive(Debug)]
pub(crate) struct Transactors {
    pub(crate) list: Vec<Transactor>,
    connections: u64,
    /// Blocks that were carried out, and those that were not, for an account was changed.
    pub(crate) moved: u64,
    pub(crate) conflicts: u64,
    /// Blocks that read all accounts.
    pub(crate) sums: u64,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Transactor {
    pub(crate) node: usize,
    /// The process of the node that it is connected to.
    pub(crate) life: Option<u64>,
    pub(crate) connection: u64,
    pub(crate) prng: Prng,
    /// The number of its last request.
    number: u64,
    /// Names the command of that, when it writes.
    pub(crate) body: Option<u64>,
    step: Step,
}

/// What a client waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Nothing,
    /// When these accounts were last changed.
    Watch([usize; 2]),
    /// What they hold; it is known when they were changed.
    Read([usize; 2], [u64; 2]),
    /// What becomes of a block.
    Move,
    /// What all accounts hold.
    Sum,
}

/// What follows an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request.
    Ask(Request),
    /// Nothing.
    Rest,
    /// All accounts together hold something else.
    Wrong(String),
}

impl Transactors {
    pub(crate) fn new(plan: &Plan, prng: &Prng) -> Self {
        let list = (0..plan.clients.transactions as u64).map(|slot| Transactor {
            node: 0,
            life: None,
            connection: 0,
            prng: prng.fork(slot),
            number: 0,
            body: None,
            step: Step::Nothing,
        });
        Self {
            list: list.collect(),
            connections: 0,
            moved: 0,
            conflicts: 0,
            sums: 0,
        }
    }

    /// The client takes another connection, to a node of `nodes`; gives the name of the request that it waits for no more.
    pub(crate) fn reconnect(&mut self, at: usize, nodes: u64) -> u64 {
        self.connections += 1;
        let transactor = &mut self.list[at];
        transactor.connection = CONNECTIONS | self.connections;
        transactor.node = transactor.prng.below(nodes) as usize;
        (transactor.step, transactor.body) = (Step::Nothing, None);
        name(at, transactor.number)
    }

    /// The name of a client's request.
    pub(crate) fn name_of(at: usize, number: u64) -> u64 {
        name(at, number)
    }

    /// The command of a client's last request, if it wrote, and is this one.
    pub(crate) fn take_body(&mut self, at: usize, number: u64) -> Option<u64> {
        let Transactor {
            body, number: last, ..
        } = &mut self.list[at];
        body.take_if(|_| number == *last)
    }

    /// Looks at an answer to the request `number` of a client.
    pub(crate) fn answered(&mut self, at: usize, number: u64, outcome: &Outcome) -> Next {
        let transactor = &mut self.list[at];
        if number != transactor.number {
            return Next::Rest;
        }
        let step = std::mem::replace(&mut transactor.step, Step::Nothing);
        let Outcome::Done(reply) = outcome else {
            return Next::Rest;
        };
        match (step, reply) {
            (Step::Watch(accounts), Reply::Array(indexes)) => {
                let Some([one, other]) = numbers(indexes) else {
                    return Next::Rest;
                };
                transactor.step = Step::Read(accounts, [one as u64, other as u64]);
                Next::Ask(parsed(&["MGET".into(), key(accounts[0]), key(accounts[1])]))
            }
            (Step::Read(accounts, watched), Reply::Array(held)) => match amounts(held).as_deref() {
                Some([from, to]) => {
                    let amount = transactor.prng.between(0, *from);
                    transactor.step = Step::Move;
                    Next::Ask(transfer(accounts, watched, [from - amount, to + amount]))
                }
                _ => Next::Wrong(format!("accounts hold {held:?}")),
            },
            (Step::Move, Reply::Array(_)) => {
                self.moved += 1;
                Next::Rest
            }
            (Step::Move, Reply::NullArray) => {
                self.conflicts += 1;
                Next::Rest
            }
            (Step::Sum, Reply::Array(held)) => {
                self.sums += 1;
                let sum = amounts(held).map(|held| held.iter().sum::<u64>());
                if sum == Some(START * ACCOUNTS as u64) {
                    Next::Rest
                } else {
                    Next::Wrong(format!("all accounts together hold {sum:?}: {held:?}"))
                }
            }
            // Below its level a block is refused.
            _ => Next::Rest,
        }
    }
}

impl Transactor {
    /// The first request of what it does next; `None` while it waits.
    pub(crate) fn begin(&mut self) -> Option<Request> {
        if self.step != Step::Nothing {
            return None;
        }
        if self.prng.chance(1, 4) {
            self.step = Step::Sum;
            let reads = (0..ACCOUNTS).map(|account| parsed(&["GET".into(), key(account)]).body);
            return Request::to_run_block(&BTreeMap::new(), &reads.collect::<Vec<_>>()).ok();
        }
        let one = self.prng.below(ACCOUNTS as u64) as usize;
        let other = (one + 1 + self.prng.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
        self.step = Step::Watch([one, other]);
        Request::for_modified(&[key(one), key(other)].map(Bytes::from)).ok()
    }

    /// Notes a request that is on its way; gives its name.
    pub(crate) fn note(&mut self, at: usize) -> u64 {
        self.number += 1;
        name(at, self.number)
    }
}

fn transfer(accounts: [usize; 2], watched: [u64; 2], held: [u64; 2]) -> Request {
    let watches = accounts.iter().zip(watched);
    let watches = watches.map(|(account, index)| (Bytes::from(key(*account)), LogIndex::new(index)));
    let bodies = accounts.iter().zip(held);
    let bodies = bodies.map(|(account, held)| parsed(&["SET".into(), key(*account), held.to_string()]).body);
    let block = Request::to_run_block(&watches.collect(), &bodies.collect::<Vec<_>>());
    block.expect("it is small")
}

fn parsed(words: &[String]) -> Request {
    let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
    match parse(words.collect()) {
        Ok(Parsed::Replicated(request)) => request,
        other => unreachable!("{other:?}: it is for the state machine"),
    }
}

fn key(account: usize) -> String {
    format!("account:{account}")
}

fn numbers(replies: &[Reply]) -> Option<[i64; 2]> {
    match replies {
        [Reply::Integer(one), Reply::Integer(other)] => Some([*one, *other]),
        _ => None,
    }
}

/// What accounts hold; one that was never changed holds what it began with.
fn amounts(held: &[Reply]) -> Option<Vec<u64>> {
    let amount = |reply: &Reply| match reply {
        Reply::Null => Some(START),
        Reply::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    };
    held.iter().map(amount).collect()
}

fn name(client: usize, number: u64) -> u64 {
    TRANSACTED | (client as u64) << NUMBER_BITS | number
}

/// The client and the number of the request, when it is one of ours.
pub(crate) fn transacted(id: RequestId) -> Option<(usize, u64)> {
    let is_ours = id.0 >> TRANSACTED.trailing_zeros() == 1;
    is_ours.then_some((((id.0 & !TRANSACTED) >> NUMBER_BITS) as usize, id.0 & NUMBER_MASK))
}

/// Marks these requests: all others that are no client's have a higher bit.
const TRANSACTED: u64 = 1 << 53;
/// Distinguishes these connections from others.
const CONNECTIONS: u64 = 1 << 53;
/// A [`RequestId`] names a client and the number of its request.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Few, so that clients meet.
const ACCOUNTS: usize = 4;
const START: u64 = 100;

#[cfg(test)]
mod tests {
    use noraftd::level::Level;
    use noraftd::machine::Machine;
    use noraftd::protocol::command::Class;
    use noraftd::time::Stamp;

    use super::super::commands::drawn;
    use super::super::levels::is_raise;
    use super::super::members::{is_member, is_not_answered};
    use super::super::pipelines::is_pipelined;
    use super::super::probes::is_probe;
    use super::super::stale_readers::stale_read;
    use super::super::transfers::is_transfer;
    use super::super::voters::is_change;
    use super::*;

    /// Two clients of one machine, the requests of both in turn.
    #[test]
    fn clients_that_meet_leave_what_there_was_and_one_of_them_tries_in_vain() {
        let mut machine = Machine::new();
        let mut apply = |request: &Request| {
            let index = LogIndex::new(machine.applied_index().get() + 1);
            match request.class {
                Class::Read => machine.query(&request.body),
                Class::Write => machine.apply(index, Stamp::from_millis(1), &request.body),
            }
        };
        apply(&Request::to_raise(Level::SUPPORTED));
        let transactor = |seed| Transactor {
            node: 0,
            life: None,
            connection: 0,
            prng: Prng::new(seed),
            number: 0,
            body: None,
            step: Step::Nothing,
        };
        let mut all = Transactors {
            list: vec![transactor(1), transactor(2)],
            connections: 0,
            moved: 0,
            conflicts: 0,
            sums: 0,
        };
        let mut open: [Option<Request>; 2] = [None, None];
        for round in 0..4000 {
            let at = round % 2;
            let request = open[at]
                .take()
                .or_else(|| all.list[at].begin())
                .expect("it rests");
            let (client, number) = transacted(RequestId(all.list[at].note(at))).expect("it is ours");
            assert_eq!(client, at);
            let outcome = Outcome::Done(apply(&request));
            match all.answered(at, number, &outcome) {
                Next::Ask(next) => open[at] = Some(next),
                Next::Rest => {}
                Next::Wrong(said) => panic!("round {round}: {said}"),
            }
        }
        assert!(
            all.moved > 100 && all.conflicts > 100 && all.sums > 100,
            "{all:?}"
        );
    }

    #[test]
    fn no_other_request_has_a_name_of_ours() {
        let ours = RequestId(name(7, 9));
        assert_eq!(transacted(ours), Some((7, 9)));
        let is_other = [
            is_member(ours),
            is_not_answered(ours),
            is_raise(ours),
            is_change(ours),
            is_transfer(ours),
            is_pipelined(ours),
            is_probe(ours),
            drawn(ours).is_some(),
            stale_read(ours).is_some(),
        ];
        assert_eq!(is_other, [false; 9]);
        for other in 54..64 {
            assert_eq!(transacted(RequestId(1 << other | 9)), None, "bit {other}");
        }
    }

    #[test]
    fn a_sum_that_differs_is_noticed() {
        let mut all = Transactors {
            list: vec![Transactor {
                node: 0,
                life: None,
                connection: 0,
                prng: Prng::new(1),
                number: 1,
                body: None,
                step: Step::Sum,
            }],
            connections: 0,
            moved: 0,
            conflicts: 0,
            sums: 0,
        };
        let held = vec![Reply::Null, Reply::Null, Reply::Null, Reply::Bulk("99".into())];
        let outcome = Outcome::Done(Reply::Array(held));
        assert_eq!(all.answered(0, 2, &outcome), Next::Rest, "another request");
        assert!(matches!(all.answered(0, 1, &outcome), Next::Wrong(_)));
    }
}
