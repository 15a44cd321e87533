//! Small random histories and a brute-force oracle, for comparing engines with the definition itself.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by tests and the long-running example"
)]

pub mod compare;
pub mod linear;
pub mod logs;
pub mod registers;

use harness::checker::NEVER;
use harness::generator::random::Random;
use harness::model::{Call, Model};

/// Decides by trying every order: the definition of linearizability, and nothing else.
pub fn linearizable<M: Model>(model: &M, calls: &[Call<M::Op>]) -> bool {
    extend(model, calls, &model.init(), 0)
}

fn extend<M: Model>(model: &M, calls: &[Call<M::Op>], state: &M::State, placed: u64) -> bool {
    let rest = || (0..calls.len()).filter(|i| placed >> i & 1 == 0);
    if rest().all(|i| calls[i].is_open()) {
        return true;
    }
    let first_return = rest().map(|i| calls[i].ret).min().unwrap_or(NEVER);
    rest().filter(|i| calls[*i].call < first_return).any(|i| {
        let next = model.step(state, &calls[i].op);
        next.is_some_and(|next| extend(model, calls, &next, placed | 1 << i))
    })
}

/// A step of a random schedule.
pub enum Step {
    Invoke(usize),
    /// Takes effect.
    Apply(usize),
    Return(usize),
}

/// A random schedule of up to `operations` operations by a few processes. Operations that never
/// return, or never take effect, are simply not mentioned again.
pub fn schedule(random: &mut Random, operations: usize) -> Vec<Step> {
    schedule_of(random, operations, PROCESSES_MAX)
}

/// Processes of a schedule, at most.
pub const PROCESSES_MAX: usize = 4;

/// The same by up to `processes_max` processes.
pub fn schedule_of(random: &mut Random, operations: usize, processes_max: usize) -> Vec<Step> {
    let processes = 1 + random.below(processes_max);
    let unknown = [0.0, 0.1, 0.3][random.below(3)];
    // For each process the operation it has under way, and whether that has taken effect.
    let mut busy: Vec<Option<(usize, bool)>> = vec![None; processes];
    let mut late = Vec::new();
    let mut steps = Vec::new();
    let mut next = 0;
    while next < operations || busy.iter().any(Option::is_some) {
        let process = random.below(processes);
        busy[process] = match busy[process] {
            None if next < operations => {
                steps.push(Step::Invoke(next));
                next += 1;
                Some((next - 1, false))
            }
            None => None,
            Some((op, false)) if random.chance(unknown) => {
                late.push(op);
                None
            }
            Some((op, false)) => {
                steps.push(Step::Apply(op));
                Some((op, true))
            }
            Some((op, true)) => {
                steps.push(Step::Return(op));
                None
            }
        };
        if !late.is_empty() && random.chance(0.2) {
            steps.push(Step::Apply(late.swap_remove(random.below(late.len()))));
        }
    }
    steps
}
