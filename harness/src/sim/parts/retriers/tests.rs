//! Clients of one machine, and states that no client could have made.

use noraft::LogIndex;
use noraftd::level::Level;
use noraftd::machine::Machine;
use noraftd::time::Stamp;

use super::*;
use crate::sim::parts::transactors::transacted;

struct One(Machine);

impl One {
    fn new() -> Self {
        let mut one = Self(Machine::new());
        one.apply(&Request::to_raise(Level::SUPPORTED));
        one
    }

    fn apply(&mut self, request: &Request) -> Reply {
        let index = LogIndex::new(self.0.applied_index().get() + 1);
        self.0.apply(index, Stamp::from_millis(1), &request.body)
    }

    fn state(&self) -> [Reply; 3] {
        true_state().map(|request| self.0.query(&request.body))
    }
}

fn clients(count: u64) -> Retriers {
    Retriers {
        list: (0..count).map(|seed| Retrier::new(Prng::new(seed))).collect(),
        connections: 0,
        limit: None,
        finished: BTreeMap::new(),
        unknown: BTreeSet::new(),
        requests: 0,
    }
}

fn compare(all: &Retriers, state: &[Reply; 3]) -> Result<(), String> {
    let [log, text, count] = state;
    all.compare([log, text, count], true)
}

/// Two clients of one machine; half of the answers are lost, so every second thing is asked for again.
fn run(all: &mut Retriers, one: &mut One, rounds: usize) -> Result<(), String> {
    let mut prng = Prng::new(9);
    for round in 0..rounds {
        let at = round % all.list.len();
        let (name, request) = all.next(at, true).expect("it does not wait");
        let (client, number) = retried(RequestId(name)).expect("it is ours");
        assert_eq!((client, transacted(RequestId(name))), (at, None));
        let reply = one.apply(&request);
        let outcome = Outcome::Done(reply);
        if prng.chance(1, 2) {
            all.reconnect(at, 3);
            continue;
        }
        all.answered(at, number, &outcome)?;
    }
    compare(all, &one.state())
}

#[test]
fn what_is_asked_for_again_is_done_once() {
    let (mut all, mut one) = (clients(2), One::new());
    run(&mut all, &mut one, 2000).expect("nothing is done twice");
    let (done, unknown) = all.ended();
    assert!(done > 800 && unknown == 0, "{done}");
    assert!(all.requests > done + 500);
}

#[test]
fn what_is_done_twice_or_not_at_all_is_noticed() {
    for again in ["XADD once:log * t x", "APPEND once:text x;", "INCR once:count"] {
        let (mut all, mut one) = (clients(2), One::new());
        run(&mut all, &mut one, 100).expect("nothing is done twice");
        let whole = one.state();
        let words: Vec<&str> = again.split(' ').collect();
        one.apply(&parsed(&words));
        if !again.starts_with("INCR") {
            compare(&all, &one.state()).expect("what no client asked for is no matter");
            one.apply(&parsed(&words));
        }
        assert!(compare(&all, &one.state()).is_err(), "{again}");
        one.apply(&parsed(&["DEL", words[1]]));
        let [log, text, count] = &one.state();
        assert!(
            compare(&all, &one.state()).is_err(),
            "nothing is left of {}",
            words[1]
        );
        if words[1] == TEXT {
            all.compare([log, text, count], false)
                .expect("an earlier state may lack it");
        }
        assert!(compare(&all, &whole).is_ok());
    }
}

#[test]
fn a_second_answer_that_differs_is_noticed_and_so_is_a_session_that_ends() {
    let mut all = clients(1);
    let ask = |all: &mut Retriers, reply: Reply| {
        let (name, _) = all.next(0, true).expect("it does not wait");
        let (_, number) = retried(RequestId(name)).expect("it is ours");
        (number, all.answered(0, number, &Outcome::Done(reply)))
    };
    let (_, opened) = ask(&mut all, Reply::Integer(7));
    opened.expect("it is an id");
    let (number, done) = ask(&mut all, Reply::Integer(1));
    done.expect("it is an answer");
    let mut again = |reply| all.answered(0, number, &Outcome::Done(reply));
    again(Reply::Integer(1)).expect("it is the same");
    again(Reply::Error(format!("{OLD} it is kept no more"))).expect("it may be");
    assert!(again(Reply::Integer(2)).is_err());
    let ended = || Reply::Error(format!("{EXPIRED} it is not known"));
    assert!(ask(&mut all, ended()).1.is_err());
    all.limit = Some((Limit::Sessions, 1));
    ask(&mut all, ended()).1.expect("it may end");
    assert_eq!(all.ended(), (1, 1));
    ask(&mut all, Reply::Integer(9)).1.expect("it opens another one");
}
