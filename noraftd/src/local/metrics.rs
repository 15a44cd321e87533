//! What `/metrics` says: everything that a node counts, as Prometheus reads it.
//!
//! Names follow the conventions of Prometheus: base units (`_seconds`, `_bytes`), `_total` for what only rises, `process_` for what
//! every process has. A label never has more values than there are members, commands or reasons.
//!
//! Invariant: a name that was released keeps its meaning.

use super::exposition::Exposition;
use super::facts::MICROS_PER_SECOND;
use super::figures::{ProcessFigures, RunningFigures, Scrape};
use super::status::{LoadingReport, PeerReport, StatusReport};
use crate::histogram::Histogram;

#[cfg(test)]
mod tests;

/// The page.
pub fn render(scrape: &Scrape<'_>) -> String {
    let mut page = Exposition::default();
    let report = scrape.report;
    let build = [("version", report.process.version.as_str()), ("commit", COMMIT)];
    page.gauge("noraftd_build_info", "Which program this is; always 1.")
        .sample(&build, 1);
    process(&mut page, scrape.process);
    loading(&mut page, report.view.loading);
    if let Some(running) = &scrape.running {
        raft(&mut page, report, running);
        elections(&mut page, running);
        log(&mut page, report, running);
        durations(&mut page, running);
        damage(&mut page, report);
        alarms(&mut page, running);
        clients(&mut page, report, running);
        peers(&mut page, &report.connections.peers, running);
    }
    page.into_text()
}

fn process(page: &mut Exposition, process: &ProcessFigures) {
    let used = &process.resources;
    let seconds = |micros: u64| micros as f64 / MICROS_PER_SECOND as f64;
    page.counter(
        "process_cpu_seconds_total",
        "Processor time, in the kernel and outside.",
    )
    .is(seconds(used.cpu_micros.0 + used.cpu_micros.1));
    page.gauge(
        "process_resident_memory_bytes",
        "Memory in all, with mapped files.",
    )
    .is(used.memory_rss_bytes);
    page.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since the Unix epoch.",
    )
    .is(process.started_seconds);
    page.gauge("process_open_fds", "Files that are open.")
        .is(process.files.0);
    page.gauge("process_max_fds", "Files that may be open.")
        .is(process.files.1);
    page.gauge(
        "noraftd_memory_own_bytes",
        "Memory that the process allocated, and its stacks.",
    )
    .is(used.memory_bytes);
    page.gauge(
        "noraftd_memory_peak_bytes",
        "The most memory that it ever had, with mapped files.",
    )
    .is(used.memory_peak_bytes);
    page.gauge("noraftd_machine_memory_bytes", "Memory of the machine.")
        .is(used.system_memory_bytes);
    page.gauge(
        "noraftd_disk_size_bytes",
        "Size of the file system of the data directory.",
    )
    .is(process.disk.0);
    page.gauge(
        "noraftd_disk_free_bytes",
        "What is free on the file system of the data directory.",
    )
    .is(process.disk.1);
    page.gauge("noraftd_store_segments", "Segments of the log.")
        .is(process.store.0);
    page.gauge("noraftd_store_segment_bytes", "Bytes of all segments of the log.")
        .is(process.store.1);
    page.gauge(
        "noraftd_store_snapshot_bytes",
        "Bytes of all snapshots in the data directory.",
    )
    .is(process.store.2);
}

fn loading(page: &mut Exposition, progress: Option<LoadingReport>) {
    page.gauge("noraftd_loading", "1 while the node reads its data directory.")
        .is(u8::from(progress.is_some()));
    if let Some(progress) = progress {
        page.gauge(
            "noraftd_loading_read_bytes",
            "Bytes of the data directory that were read.",
        )
        .is(progress.read_bytes);
        page.gauge(
            "noraftd_loading_total_bytes",
            "Bytes of the data directory that are read at the start.",
        )
        .is(progress.total_bytes);
    }
}

fn raft(page: &mut Exposition, report: &StatusReport, running: &RunningFigures<'_>) {
    let view = &report.view;
    page.gauge("noraftd_ready", "1 while /readyz says so.")
        .is(u8::from(running.is_ready));
    page.gauge("noraftd_node_id", "The number of this node.")
        .is(report.id);
    let mut role = page.gauge("noraftd_role", "1 for the role that the node has.");
    for name in ["leader", "candidate", "follower"] {
        role.sample(&[("role", name)], u8::from(view.role == name));
    }
    page.gauge("noraftd_term", "The current term.").is(view.term);
    page.gauge(
        "noraftd_leader_id",
        "The leader of the current term; 0 while none is known.",
    )
    .is(view.leader.unwrap_or(0));
    page.gauge(
        "noraftd_level",
        "The level of the cluster, as far as this node has applied the log.",
    )
    .is(view.level);
    page.gauge(
        "noraftd_level_supported",
        "The highest level that this version supports.",
    )
    .is(view.level_supported);
    page.gauge("noraftd_voters", "Voters of the configuration in force.")
        .is(view.voters.len());
    page.gauge("noraftd_voter", "1 while this node is one of them.")
        .is(u8::from(view.voters.contains(&report.id)));
    page.gauge(
        "noraftd_abstaining",
        "1 while the node neither votes nor campaigns.",
    )
    .is(u8::from(report.health.abstaining));
    page.gauge(
        "noraftd_lost_majority",
        "1 while no leader can be elected, because a majority lost entries.",
    )
    .is(u8::from(report.health.lost_majority));
    page.gauge(
        "noraftd_clock_offset_seconds",
        "How far the wall clock is ahead of the clock of the log.",
    )
    .is(running.clock_offset_ms as f64 / 1000.0);
    page.gauge("noraftd_keys", "Keys in the state.")
        .is(running.keys.0);
    page.gauge("noraftd_expiring_keys", "Keys that go at some time.")
        .is(running.keys.1);
}

fn elections(page: &mut Exposition, running: &RunningFigures<'_>) {
    let counts = running.counts;
    let mut campaigns = page.counter(
        "noraftd_elections_total",
        "Campaigns of this node, by what caused them.",
    );
    campaigns.sample(&[("reason", "timeout")], counts.campaigns);
    campaigns.sample(&[("reason", "transfer")], counts.campaigns_wanted);
    page.counter(
        "noraftd_leader_changes_total",
        "How often this node heard of another leader than before.",
    )
    .is(running.loops.leader_changes.get());
    page.counter("noraftd_elections_won_total", "Elections that this node won.")
        .is(counts.won);
    let mut ends = page.counter(
        "noraftd_leadership_ends_total",
        "How often this node stopped leading, by reason.",
    );
    ends.sample(&[("reason", "no_quorum")], counts.ends.no_quorum);
    ends.sample(&[("reason", "damage")], counts.ends.damage);
    ends.sample(&[("reason", "divergence")], counts.ends.divergence);
    ends.sample(&[("reason", "other_leader")], counts.ends.other_leader);
}

fn log(page: &mut Exposition, report: &StatusReport, running: &RunningFigures<'_>) {
    let log = &report.log;
    page.gauge("noraftd_last_index", "The last entry of the log.")
        .is(log.last_index);
    page.gauge(
        "noraftd_commit_index",
        "The last entry that is known to be committed.",
    )
    .is(log.commit_index);
    page.gauge("noraftd_applied_index", "The last entry that was applied.")
        .is(log.applied_index);
    page.gauge(
        "noraftd_durable_index",
        "The last entry that is durable on this node's disk.",
    )
    .is(log.durable_index);
    page.gauge("noraftd_base_index", "The log starts after this entry.")
        .is(report.directory.base_index);
    page.gauge(
        "noraftd_snapshot_index",
        "The last entry in the newest snapshot; 0 while there is none.",
    )
    .is(report.directory.snapshot_index);
    page.gauge("noraftd_snapshot_bytes", "Bytes of the newest snapshot.")
        .is(report.directory.snapshot_bytes);
    page.counter(
        "noraftd_snapshots_installed_total",
        "Snapshots of other nodes that were installed.",
    )
    .is(running.counts.snapshots_installed);
    page.counter(
        "noraftd_snapshots_taken_total",
        "Snapshots of the own state that were made durable.",
    )
    .is(running.counts.snapshots_taken);
    page.counter(
        "noraftd_log_entries_synced_total",
        "Entries that were made durable.",
    )
    .is(report.storage.entries);
    page.gauge(
        "noraftd_disk_full",
        "1 while the disk has no room for another segment.",
    )
    .is(u8::from(report.storage.disk_full));
    page.gauge(
        "noraftd_disk_slow",
        "1 while the disk syncs too slowly for the election timeout.",
    )
    .is(u8::from(report.health.disk_too_slow));
}

fn durations(page: &mut Exposition, running: &RunningFigures<'_>) {
    let [syncs, waits] = running.disk;
    let mut histogram = |name, help, of: &Histogram| page.histogram(name, help).observed(&[], of);
    histogram("noraftd_sync_duration_seconds", "Making a batch durable.", syncs);
    histogram(
        "noraftd_sync_queue_duration_seconds",
        "From handing a batch over until the disk begins with it.",
        waits,
    );
    histogram(
        "noraftd_propose_queue_duration_seconds",
        "From the arrival of a write at this leader until it is in the log: the sync before it.",
        &running.counts.queued,
    );
    histogram(
        "noraftd_commit_duration_seconds",
        "From the arrival of a write at this leader until it is committed and applied.",
        &running.counts.committed,
    );
    histogram(
        "noraftd_round_duration_seconds",
        "Rounds of the loop that has everything but the disk.",
        &running.loops.rounds,
    );
    histogram(
        "noraftd_apply_duration_seconds",
        "Rounds of the loop that applied entries.",
        &running.loops.applying,
    );
    let mut requests = page.histogram(
        "noraftd_request_duration_seconds",
        "Requests of clients of this node, from the whole request until its answer is known, by command.",
    );
    for (command, histogram) in &running.commands {
        requests.observed(&[("command", command)], histogram);
    }
}

fn damage(page: &mut Exposition, report: &StatusReport) {
    let (health, storage) = (&report.health, &report.storage);
    page.gauge(
        "noraftd_damaged_entries",
        "Entries that are damaged on this disk, and not repaired yet.",
    )
    .is(health.holes);
    page.counter(
        "noraftd_repaired_entries_total",
        "Entries that were damaged, and are repaired.",
    )
    .is(health.repaired);
    page.gauge(
        "noraftd_needs_snapshot",
        "1 while only another node's snapshot can repair what is damaged.",
    )
    .is(u8::from(health.needs_snapshot));
    page.gauge("noraftd_diverged", "1 while nodes hold different things.")
        .is(u8::from(health.divergence.is_some()));
    page.gauge("noraftd_scrub_index", "The entry that the scrub reads next.")
        .is(storage.scrub_index);
    page.counter(
        "noraftd_scrub_passes_total",
        "How often the scrub has read the whole log.",
    )
    .is(storage.scrub_passes);
    page.counter(
        "noraftd_scrub_damaged_entries_total",
        "Damaged entries that the scrub has found.",
    )
    .is(storage.scrub_found);
}

fn alarms(page: &mut Exposition, running: &RunningFigures<'_>) {
    let mut raised = page.gauge("noraftd_alarm", "1 while what the alarm names is so.");
    for (name, is_raised, _, _) in running.alarms {
        raised.sample(&[("alarm", name)], u8::from(is_raised));
    }
    let mut listed = page.gauge("noraftd_alarm_listed", "1 until the alarm is over and cleared.");
    for (name, _, is_listed, _) in running.alarms {
        listed.sample(&[("alarm", name)], u8::from(is_listed));
    }
    let mut counts = page.counter("noraftd_alarms_total", "How often the alarm was raised.");
    for (name, _, _, count) in running.alarms {
        counts.sample(&[("alarm", name)], count);
    }
}

fn clients(page: &mut Exposition, report: &StatusReport, running: &RunningFigures<'_>) {
    let clients = &running.clients;
    page.gauge("noraftd_client_connections", "Connections of clients.")
        .is(clients.connected);
    page.gauge(
        "noraftd_client_connections_max",
        "Connections of clients that there may be at once.",
    )
    .is(clients.most);
    page.counter(
        "noraftd_client_connections_total",
        "Connections that were accepted.",
    )
    .is(clients.accepted);
    page.counter("noraftd_commands_total", "Commands that were answered.")
        .is(clients.answered);
    page.gauge(
        "noraftd_requests_under_way",
        "Requests of clients that are not answered yet.",
    )
    .is(report.connections.requests_under_way);
    let mut buffers = page.gauge(
        "noraftd_client_buffer_bytes",
        "What is held for clients, by where.",
    );
    for (buffer, bytes) in ["input", "output", "transactions"]
        .into_iter()
        .zip(running.buffers)
    {
        buffers.sample(&[("buffer", buffer)], bytes);
    }
}

fn peers(page: &mut Exposition, peers: &[PeerReport], running: &RunningFigures<'_>) {
    let by_id = |id: u64| id.to_string();
    let mut connected = page.gauge(
        "noraftd_peer_connected",
        "1 while this node is connected to the member.",
    );
    for peer in peers {
        connected.sample(&[("peer", &by_id(peer.id))], u8::from(peer.connected));
    }
    let mut dropped = page.counter(
        "noraftd_peer_dropped_messages_total",
        "Messages that found no connection, or a full one.",
    );
    for peer in peers {
        dropped.sample(&[("peer", &by_id(peer.id))], peer.dropped);
    }
    let mut sent = page.counter(
        "noraftd_peer_sent_bytes_total",
        "Bytes that were sent to the member.",
    );
    for peer in &running.sent {
        sent.sample(&[("peer", &by_id(peer.id))], peer.sent_bytes);
    }
    let mut waiting = page.gauge(
        "noraftd_peer_queue_bytes",
        "Bytes that wait to be sent to the member.",
    );
    for peer in &running.sent {
        waiting.sample(&[("peer", &by_id(peer.id))], peer.waiting_bytes);
    }
    let mut again = page.counter(
        "noraftd_peer_retransmissions_total",
        "How often a leader began again at an earlier entry, because what it had sent was lost or did not fit.",
    );
    for (id, count) in &running.resent {
        again.sample(&[("peer", &by_id(*id))], count);
    }
    let mut lag = page.gauge(
        "noraftd_peer_lag_entries",
        "For a leader: entries of its log that are not known to be durable there.",
    );
    for follower in &running.followers {
        lag.sample(&[("peer", &by_id(follower.id))], follower.lag_entries);
    }
    let mut heard = page.gauge(
        "noraftd_peer_heard",
        "For a leader: 1 while the member was heard within an election timeout.",
    );
    for follower in &running.followers {
        heard.sample(&[("peer", &by_id(follower.id))], u8::from(follower.is_heard));
    }
}

/// The commit that the program was built from, zeros where it was not known.
const COMMIT: &str = env!("NORAFTD_COMMIT");
