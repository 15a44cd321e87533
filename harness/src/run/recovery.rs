//! The final phase: nothing is disturbed any more, so everything has to work.
//!
//! Invariant: progress is demanded from every node, by a client that talks to that node alone: each must
//! serve every operation of every workload's finale, all must come to the same applied index, where nodes have one, and none may
//! miss anything, where nodes say so. When more was damaged than nodes can repair, they are asked the same and nothing is demanded: what
//! they answer is in the histories.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::own::{Health, health};
use crate::client::{NodeView, Protocol};
use crate::cluster::{Cluster, Node};
use crate::interpreter::{Interpreter, Track};
use crate::nemesis::{Nemesis, heal_all, restore_voters};
use crate::results::{CheckResult, Outcome};
use crate::workload::Completion;

/// Heals everything and demands progress. `abort` ends it early, undecided.
pub(super) async fn recover(
    cluster: &Arc<Cluster>,
    (interpreter, nemesis): (&Arc<Interpreter>, &Nemesis),
    patience: Duration,
    mut abort: watch::Receiver<bool>,
) -> CheckResult {
    let start = Instant::now();
    if nemesis.went_beyond() {
        let healed = heal_all(cluster).await;
        let (operations, silent) = serve_everywhere(cluster, interpreter, patience.min(BEYOND_MAX)).await;
        let nodes = cluster.members().count();
        let summary = format!(
            "more was damaged than can be repaired, so only right answers are demanded; {} of {nodes} nodes served every key",
            nodes.saturating_sub(silent.len())
        );
        let said = [summary].into_iter().chain(healed).chain(silent).collect();
        return result(Outcome::Valid, operations, start, said);
    }
    let stages = async {
        demand(heal_all(cluster).await)?;
        demand(nemesis.set_up_lost(patience).await)?;
        if cluster.protocol() == Protocol::Noraftd {
            let restored = restore_voters(cluster, patience).await;
            restored.map_err(|trouble| vec![trouble])?;
            let settled = nemesis.settle_members(patience).await;
            settled.map_err(|trouble| vec![trouble])?;
        }
        let (operations, troubles) = serve_everywhere(cluster, interpreter, patience).await;
        demand(troubles)?;
        let applied = match cluster.protocol().has_applied_index() {
            true => Some(converge(cluster, patience).await?),
            false => None,
        };
        if cluster.protocol() == Protocol::Noraftd {
            demand(mend(cluster, patience).await)?;
        }
        Ok((operations, applied))
    };
    let outcome: Result<(u64, Option<u64>), Vec<String>> = tokio::select! {
        outcome = stages => outcome,
        _ = abort.wait_for(|abort| *abort) => {
            return result(Outcome::Unknown, 0, start, vec!["the final phase was broken off".to_owned()]);
        }
    };
    match outcome {
        Ok((operations, applied)) => {
            let nodes = cluster.members().count();
            let served = format!("{nodes} of {nodes} nodes served every key");
            let said = applied.map_or_else(
                || served.clone(),
                |index| format!("{served}; all applied index {index}"),
            );
            result(Outcome::Valid, operations, start, vec![said])
        }
        Err(troubles) => result(Outcome::Invalid, 0, start, troubles),
    }
}

fn demand(troubles: Vec<String>) -> Result<(), Vec<String>> {
    if troubles.is_empty() {
        Ok(())
    } else {
        Err(troubles)
    }
}

fn result(verdict: Outcome, operations: u64, start: Instant, said: Vec<String>) -> CheckResult {
    let mut said = said.into_iter();
    let summary = said.next();
    let rest: Vec<String> = said.collect();
    CheckResult {
        model: "liveness".to_owned(),
        verdict,
        operations,
        usage: None,
        seconds: start.elapsed().as_secs_f64(),
        summary,
        explanation: (!rest.is_empty()).then(|| rest.join("\n")),
        account: None,
    }
}

async fn serve_everywhere(
    cluster: &Arc<Cluster>,
    interpreter: &Arc<Interpreter>,
    patience: Duration,
) -> (u64, Vec<String>) {
    let mut tasks = JoinSet::new();
    for at in (0..).zip(cluster.nodes()).filter(|(_, node)| node.is_member()) {
        let (at, node) = (at.0, at.1.id);
        let (cluster, interpreter) = (Arc::clone(cluster), Arc::clone(interpreter));
        tasks.spawn(async move {
            let node = cluster.node(node).expect("it is one of them");
            await_answer(node, &cluster, patience).await?;
            let mut operations = 0;
            for track in interpreter.tracks() {
                operations += serve(node.id, at, &interpreter, track, patience).await?;
            }
            Ok::<u64, String>(operations)
        });
    }
    let mut troubles = Vec::new();
    let mut operations = 0;
    for served in tasks.join_all().await {
        match served {
            Ok(count) => operations += count,
            Err(trouble) => troubles.push(trouble),
        }
    }
    troubles.sort();
    (operations, troubles)
}

async fn await_answer(node: &Node, cluster: &Cluster, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    while cluster.await_answer(node).await.is_err() {
        if Instant::now() > deadline || !node.process.is_up() {
            return Err(format!(
                "n{} did not answer within {patience:?} of the last heal",
                node.id
            ));
        }
    }
    Ok(())
}

/// Does a workload's finale at one node. Every operation has `patience` to succeed, however often it is tried.
async fn serve(
    node: u64,
    at: usize,
    interpreter: &Interpreter,
    track: &Track,
    patience: Duration,
) -> Result<u64, String> {
    let mut hand = interpreter.slot(at as u64);
    let mut done: Vec<Completion> = Vec::new();
    let mut since = Instant::now();
    while let Some(operation) = track.workload.finale(&done) {
        match interpreter.perform(&mut hand, track, &operation).await {
            Ok(completion) => {
                done.push(completion);
                since = Instant::now();
            }
            Err(error) if since.elapsed() > patience => {
                let what = operation.request.join(" ");
                return Err(format!(
                    "n{node} did not serve `{what}` within {patience:?} of the last heal: {error}"
                ));
            }
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
    Ok(done.len() as u64)
}

/// Waits until every node has applied the same entries. Returns the index.
async fn converge(cluster: &Cluster, patience: Duration) -> Result<u64, Vec<String>> {
    let deadline = Instant::now() + patience;
    loop {
        let mut views = cluster.views().await;
        views.retain(|(id, _)| cluster.node(*id).is_some_and(Node::is_member));
        if let Some(applied) = agreed(&views) {
            return Ok(applied);
        }
        if Instant::now() > deadline {
            let shown = views.iter().map(|(id, view)| match view {
                Some(view) => format!(
                    "n{id}: applied index {}, commit index {}, term {}",
                    view.applied_index, view.commit_index, view.term
                ),
                None => format!("n{id}: no answer to INFO"),
            });
            let head = format!("the nodes did not come to the same applied index within {patience:?}");
            return Err(std::iter::once(head).chain(shown).collect());
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// Waits until no node misses anything; gives what they still miss.
async fn mend(cluster: &Cluster, patience: Duration) -> Vec<String> {
    let deadline = Instant::now() + patience;
    let mut missing = Vec::new();
    for node in cluster.members() {
        loop {
            let said = health(node.door.address, patience).await;
            if said.as_ref().is_some_and(Health::is_whole) {
                break;
            }
            if Instant::now() > deadline {
                missing.push(format!("n{} is not whole within {patience:?}: {said:?}", node.id));
                break;
            }
            sleep(RETRY_PAUSE).await;
        }
    }
    missing
}

fn agreed(views: &[(u64, Option<NodeView>)]) -> Option<u64> {
    let (_, first) = views.first()?;
    let applied = first.as_ref()?.applied_index;
    let same = |view: &Option<NodeView>| {
        view.as_ref()
            .is_some_and(|view| view.applied_index == applied && view.commit_index == applied)
    };
    views.iter().all(|(_, view)| same(view)).then_some(applied)
}

/// How long a node is asked that may never serve again.
const BEYOND_MAX: Duration = Duration::from_secs(3);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn view(commit_index: u64, applied_index: u64) -> Option<NodeView> {
        Some(NodeView {
            leads: false,
            term: 1,
            commit_index,
            applied_index,
            divergence: None,
        })
    }

    #[test]
    fn nodes_agree_when_all_applied_all_that_is_committed() {
        assert_eq!(agreed(&[(1, view(7, 7)), (2, view(7, 7))]), Some(7));
        assert_eq!(agreed(&[(1, view(7, 7)), (2, view(7, 6))]), None);
        assert_eq!(agreed(&[(1, view(8, 7)), (2, view(7, 7))]), None);
        assert_eq!(agreed(&[(1, view(7, 7)), (2, None)]), None);
        assert_eq!(agreed(&[]), None);
    }
}
