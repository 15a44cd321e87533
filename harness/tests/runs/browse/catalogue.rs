//! What a folder holds, whatever is in it: good, half-written, of other programs, hostile.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use harness::browse::catalogue::{Catalogue, Reader, nights};
use harness::campaign::{LEDGER, Place, Verdict};
use harness::results::Outcome;

use super::{Given, campaign, nights as some_nights, read, records};

const RUN: &str = "runs/smoke/20261129T220000Z-7";

/// The one reason why something is not readable.
fn why(catalogue: &Catalogue) -> &str {
    let whys: Vec<&str> = catalogue
        .troubles
        .iter()
        .map(|trouble| trouble.why.as_str())
        .collect();
    assert_eq!(whys.len(), 1, "{whys:?}");
    whys[0]
}

#[test]
fn runs_and_campaigns_are_what_their_files_say() {
    let root = some_nights();
    let catalogue = read(root.path());
    let runs: Vec<(&str, Outcome)> = catalogue
        .runs
        .iter()
        .map(|run| (run.path.as_str(), run.came.verdict))
        .collect();
    assert_eq!(
        runs,
        [
            ("runs/bank/20261129T220100Z-7", Outcome::Valid),
            ("runs/smoke/20261129T220000Z-8", Outcome::Invalid),
            ("runs/smoke/20261128T220000Z-7", Outcome::Unknown),
            ("runs/smoke/20261127T220000Z-7", Outcome::Valid),
        ]
    );
    let run = &catalogue.runs[1];
    assert_eq!((run.about.plan.as_str(), run.about.seed), ("smoke", Some(8)));
    assert_eq!(run.about.place, Some(Place::Processes));
    assert_eq!(run.about.build.as_deref(), Some("ffffffffffff"));
    assert_eq!(run.about.when.to_string(), "2026-11-29 22:00:00");
    assert_eq!(run.came.rate(), Some(50.0));
    let effect = run.came.effect();
    assert_eq!((effect.injected, effect.effective), (2, 1));
    assert!(run.notes.is_empty() && run.has("nodes/n1/log"), "{run:?}");
    assert_eq!(catalogue.previous(run).unwrap().came.verdict, Outcome::Unknown);
    assert_eq!(
        catalogue.last_valid(run).unwrap().path,
        "runs/smoke/20261127T220000Z-7"
    );

    let verdicts: Vec<Verdict> = catalogue.campaigns.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Invalid, Verdict::Valid]);
    let night = &catalogue.campaigns[0];
    assert_eq!(night.about.when.day(), "2026-11-29");
    assert_eq!(night.counts(), [4, 0, 0, 1]);
    assert_eq!(night.findings[0].name(), "liveness in invariants");
    assert_eq!(
        night.entries["swarm-simulation"].coverage,
        [1000, 1000, 1000, 1010]
    );
    assert_eq!(night.entries["smoke-processes"].rates, [200.0]);
    let detection = night.detection.unwrap();
    assert_eq!((detection.seeds, detection.cpu_ms), (4, 3000));

    assert!(why(&catalogue).contains("there is no results.json: the run goes on, or the harness was killed"));
    assert_eq!(catalogue.troubles[0].path, "runs/smoke/20261129T230000Z-9");
}

#[test]
fn figures_by_day_are_those_of_what_began_on_it() {
    let root = some_nights();
    let mut reader = Reader::new(root.path()).unwrap();
    let catalogue = reader.read();
    let days = nights(
        &catalogue,
        |_| true,
        |_, _| true,
        |run| reader.figures(run).as_ref().as_ref().unwrap().outage_ns,
    );
    let names: Vec<&str> = days.iter().map(|night| night.day.as_str()).collect();
    assert_eq!(names, ["2026-11-27", "2026-11-28", "2026-11-29"]);
    assert_eq!(days[0].verdicts, [1, 0, 0, 0]);
    assert_eq!(days[1].verdicts, [5, 1, 0, 0]);
    assert_eq!(days[2].verdicts, [5, 0, 0, 2]);
    assert_eq!(days[0].rate, Some(100.0));
    assert_eq!(days[0].coverage, None, "a day without a measurement has none");
    assert_eq!((days[1].coverage, days[2].coverage), (Some(900.0), Some(1000.0)));
    assert_eq!(
        (days[1].detection_seeds, days[2].detection_seeds),
        (None, Some(4.0))
    );
    assert!(days[0].outage_ns.is_some());
}

#[test]
fn a_run_of_which_only_the_beginning_was_written_has_a_reason() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(RUN);
    Given::default().write(&folder);
    let whole = fs::read(folder.join("results.json")).unwrap();
    let mut reader = Reader::new(root.path()).unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(folder.join("results.json"), &whole[..length]).unwrap();
        let catalogue = reader.read();
        assert!(catalogue.runs.is_empty(), "{length}");
        assert!(
            why(&catalogue).contains("results.json is not that of a run, or was cut off"),
            "{length}"
        );
    }
    fs::write(folder.join("results.json"), &whole).unwrap();
    assert_eq!(reader.read().runs.len(), 1, "what is completed is read again");
}

#[test]
fn a_run_whose_other_files_are_damaged_is_listed_with_notes() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(RUN);
    Given::default().write(&folder);
    fs::write(folder.join("run.json"), "{\"plan\": \"smo").unwrap();
    fs::write(folder.join("plan.toml"), "name = \"smoke\"\nseed = 7\n").unwrap();
    let catalogue = read(root.path());
    let run = &catalogue.runs[0];
    assert_eq!(
        (run.about.plan.as_str(), run.about.seed, run.about.place),
        ("smoke", Some(7), None)
    );
    assert!(run.notes[0].starts_with("run.json is damaged"), "{:?}", run.notes);

    fs::write(folder.join("plan.toml"), b"name = \xff").unwrap();
    assert_eq!(
        why(&read(root.path())),
        "neither run.json nor plan.toml names the plan"
    );
    fs::write(folder.join("run.json"), "{\"plan\": \"other\"}").unwrap();
    fs::write(folder.join("plan.toml"), "name = \"smoke\"").unwrap();
    let notes = &read(root.path()).runs[0].notes;
    assert_eq!(notes[0], "run.json names the plan other, and plan.toml smoke");
}

#[test]
fn what_other_programs_wrote_is_not_taken_for_a_run_or_a_campaign() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("a/results.json", "{\"success\": true}");
    write(
        "b/results.json",
        &serde_json::to_string(&Given::default().results())
            .unwrap()
            .replace("\"results\":1", "\"results\":99"),
    );
    write(
        "c/campaign.sqlite",
        "not a database, and long enough to be read as one",
    );
    write("d/campaign.sqlite", "");
    write("e/notes.txt", "nothing of ours");
    write("f/campaign.sqlite.new", "");
    write("20261129T220000Z-7/history.jsonl", "");
    let catalogue = read(root.path());
    assert!(catalogue.runs.is_empty() && catalogue.campaigns.is_empty());
    let whys: Vec<(&str, &str)> = catalogue
        .troubles
        .iter()
        .map(|trouble| (trouble.path.as_str(), trouble.why.as_str()))
        .collect();
    let wanted = [
        ("20261129T220000Z-7", "has neither run.json nor results.json"),
        ("a", "results.json is not that of a run"),
        (
            "b",
            "results.json has version 99, and this harness reads version 1",
        ),
        ("c", "campaign.sqlite is not the ledger of a campaign"),
        ("d", "campaign.sqlite is not the ledger of a campaign"),
        ("f", "killed while it made the ledger"),
    ];
    assert_eq!(whys.len(), wanted.len(), "{whys:?}");
    for ((path, why), (wanted, part)) in whys.iter().zip(wanted) {
        assert!(*path == wanted && why.contains(part), "{path}: {why}");
    }
}

#[test]
fn a_campaign_that_runs_or_was_killed_is_read_and_not_touched() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("night");
    let ledger = campaign(&folder, &records(None, 900));
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names(&folder);
    // The lock of the ledger is held, and its last results are in the log beside it.
    assert!(fs::metadata(folder.join(format!("{LEDGER}-wal"))).unwrap().len() > 0);
    let catalogue = read(root.path());
    assert_eq!(catalogue.campaigns.len(), 1, "{:?}", catalogue.troubles);
    assert_eq!(catalogue.campaigns[0].counts(), [5, 0, 0, 0]);
    assert_eq!(names(&folder), before);
    // What a killed harness leaves.
    let killed = root.path().join("killed");
    fs::create_dir(&killed).unwrap();
    for name in &before {
        fs::copy(folder.join(name), killed.join(name)).unwrap();
    }
    drop(ledger);
    let catalogue = read(root.path());
    assert_eq!(catalogue.campaigns.len(), 2, "{:?}", catalogue.troubles);
    assert_eq!(names(&killed), before);
}

#[test]
fn a_ledger_that_was_cut_or_damaged_has_a_reason() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("night");
    drop(campaign(&folder, &records(None, 900)));
    let whole = fs::read(folder.join(LEDGER)).unwrap();
    let mut reader = Reader::new(root.path()).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        fs::write(folder.join(LEDGER), &whole[..length]).unwrap();
        let catalogue = reader.read();
        assert!(catalogue.campaigns.is_empty(), "{length}");
        assert!(
            !why(&catalogue).contains("/tmp"),
            "the copy is not named: {}",
            why(&catalogue)
        );
    }
    for at in (100..whole.len()).step_by(701) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(folder.join(LEDGER), &damaged).unwrap();
        // Some bytes are those of a text, others of nothing: what counts is that it is read or refused.
        let catalogue = reader.read();
        assert_eq!(catalogue.campaigns.len() + catalogue.troubles.len(), 1, "{at}");
    }
}

#[test]
fn a_ledger_whose_tables_are_views_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("night");
    drop(campaign(&folder, &records(None, 900)));
    let ledger = rusqlite::Connection::open(folder.join(LEDGER)).unwrap();
    let endless = "ALTER TABLE unit RENAME TO other; CREATE VIEW unit AS
        WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT * FROM n JOIN other ON other.id < 0;";
    ledger.execute_batch(endless).unwrap();
    drop(ledger);
    assert!(why(&read(root.path())).contains("its tables are not those of a ledger"));
}

#[test]
fn hostile_folders_are_neither_followed_nor_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    let at = |name: &str| {
        let folder = inside.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    };
    let outside = root.path().join("outside");
    Given::default().write(&outside);
    let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    pipe(&at("a-pipe").join("results.json"));
    symlink(outside.join("results.json"), at("b-link").join("results.json")).unwrap();
    symlink(&outside, at("").join("c-linked-folder")).unwrap();
    symlink("..", at("").join("d-loop")).unwrap();
    fs::create_dir(at("e-folder").join("run.json")).unwrap();
    let huge = fs::File::create(at("f-huge").join("results.json")).unwrap();
    huge.set_len(65 << 20).unwrap();
    fs::write(at("g-deep").join("results.json"), "[".repeat(1_000_000)).unwrap();
    fs::write(at("h-name").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    let mut deep = inside.clone();
    deep.extend(["i"; 40]);
    fs::create_dir_all(&deep).unwrap();
    pipe(&at("j-ledger").join(LEDGER));
    let night = at("k-night");
    drop(campaign(&night, &records(Some("liveness"), 900)));
    let groups = read(&night).campaigns[0].findings[0].group.signature();
    fs::create_dir_all(night.join("groups").join(&groups)).unwrap();
    pipe(&night.join("groups").join(&groups).join("group.json"));

    let catalogue = read(&inside);
    assert!(catalogue.runs.is_empty());
    assert_eq!(catalogue.campaigns.len(), 1);
    assert_eq!(catalogue.campaigns[0].findings[0].reproduction, None);
    let whys: Vec<String> = catalogue
        .troubles
        .iter()
        .map(|trouble| format!("{}: {}", trouble.path, trouble.why))
        .collect();
    let wanted = [
        "a-pipe: results.json is not a regular file",
        "b-link: results.json leads out of the folder",
        "f-huge: results.json has 68157440 bytes, and at most 67108864 are read",
        "g-deep: results.json is not that of a run, or was cut off: ",
        "h-name: it holds the name `\u{fffd}`, which is not UTF-8",
        "i/i/i/i/i/i/i/i/i/i/i/i/i/i/i/i: it is deeper than 16 folders",
        "j-ledger: campaign.sqlite is not a regular file",
    ];
    assert_eq!(whys.len(), wanted.len(), "{whys:#?}");
    for (why, wanted) in whys.iter().zip(wanted) {
        assert!(why.starts_with(wanted), "{why}\nis not\n{wanted}");
    }
}

#[test]
fn what_has_not_changed_is_not_read_again_and_what_has_is() {
    let root = some_nights();
    let mut reader = Reader::new(root.path()).unwrap();
    let (first, second) = (reader.read(), reader.read());
    assert!(std::sync::Arc::ptr_eq(&first.runs[0], &second.runs[0]));
    assert!(std::sync::Arc::ptr_eq(&first.campaigns[0], &second.campaigns[0]));
    fs::remove_file(root.path().join("runs/bank/20261129T220100Z-7/results.json")).unwrap();
    assert_eq!(reader.read().runs.len(), 3);
}
