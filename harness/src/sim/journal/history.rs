//! The histories of a simulated run, in memory until they are written as files.
//!
//! Invariant: as in `crate::recorder`: events stand in the order of their times, and a fault is in every
//! history.

use std::io;

use crate::history::{Header, HistoryWriter};
use crate::op::{EventKind, HistoryEvent};
use crate::plan::Plan;
use crate::results::Counts;
use crate::workload::{from_plan, header};

/// One history a workload.
#[derive(Debug)]
pub(crate) struct History {
    tracks: Vec<(Header, Vec<HistoryEvent>)>,
    next_operation: u64,
    pub(crate) counts: Counts,
}

impl History {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Self {
        let header = |workload| header(plan, from_plan(workload).as_ref(), seed);
        let tracks = plan.workloads.iter().map(header);
        Self {
            tracks: tracks.map(|header| (header, Vec::new())).collect(),
            next_operation: 0,
            counts: Counts::default(),
        }
    }

    /// Records an invocation under a fresh operation id and returns it, to be completed.
    pub(crate) fn invoke(
        &mut self,
        track: usize,
        now: u64,
        build: impl FnOnce(u64) -> HistoryEvent,
    ) -> HistoryEvent {
        let event = build(self.next_operation).at_time(now);
        self.next_operation += 1;
        self.counts.invoked += 1;
        self.tracks[track].1.push(event.clone());
        event
    }

    /// Records a completion.
    pub(crate) fn complete(&mut self, track: usize, now: u64, event: HistoryEvent) {
        match event.kind {
            EventKind::Ok => self.counts.ok += 1,
            EventKind::Fail => self.counts.fail += 1,
            EventKind::Info => self.counts.info += 1,
            EventKind::Invoke | EventKind::FaultBegin | EventKind::FaultOk | EventKind::FaultEnd => {}
        }
        self.tracks[track].1.push(event.at_time(now));
    }

    /// Records a step of a fault.
    pub(crate) fn fault(&mut self, now: u64, event: &HistoryEvent) {
        for (_, events) in &mut self.tracks {
            events.push(event.clone().at_time(now));
        }
    }

    /// What was recorded, a track a workload.
    pub(crate) fn into_tracks(self) -> Vec<WorkloadHistory> {
        let track = |(header, events)| WorkloadHistory { header, events };
        self.tracks.into_iter().map(track).collect()
    }
}

/// The history of one workload.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadHistory {
    /// What it is the history of.
    pub header: Header,
    /// What happened, in order; numbered when it is written.
    pub events: Vec<HistoryEvent>,
}

impl WorkloadHistory {
    /// The history as a file has it.
    ///
    /// # Errors
    /// When a value has no JSON form.
    pub fn to_file(&self) -> io::Result<Vec<u8>> {
        let mut writer = HistoryWriter::new(Vec::new(), &self.header)?;
        for event in &self.events {
            writer.record(&mut event.clone())?;
        }
        writer.finish()
    }
}
