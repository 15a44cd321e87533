//! Asks every node several times a second what it is, and writes it down.
//!
//! Invariant: it only looks; a node that gives no answer is written down as such.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval};

use super::nanos;
use crate::client::NodeView;
use crate::cluster::Cluster;
use crate::nodes::{NodeSample, NodeWriter, Said};
use crate::recorder::Recorder;

/// Writes samples into the new file at `path` until that fails.
pub(super) async fn record(cluster: &Cluster, recorder: &Recorder, path: &Path) -> io::Error {
    let mut writer = match NodeWriter::create(path, began_us(recorder)) {
        Ok(writer) => writer,
        Err(error) => return error,
    };
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        // The time of the question: a node that is silent makes the answers of all others late.
        let time_ns = nanos(recorder.elapsed());
        let samples: Vec<NodeSample> = cluster
            .views()
            .await
            .into_iter()
            .map(|(node, view)| NodeSample {
                time_ns,
                node,
                said: view.as_ref().map(said),
            })
            .collect();
        if let Err(error) = writer.add(&samples) {
            return error;
        }
    }
}

fn said(view: &NodeView) -> Said {
    Said {
        leads: view.leads,
        term: view.term,
        commit: view.commit_index,
        applied: view.applied_index,
    }
}

/// When the run began, as the logs of the nodes count time: microseconds since 1970.
fn began_us(recorder: &Recorder) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the logs of the nodes have the time of day, the run does not"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(now.checked_sub(recorder.elapsed())?.as_micros()).ok()
}

const SAMPLE_EVERY: Duration = Duration::from_millis(200);
