//! The pages say what the folder holds, in words that stay; nothing from a file becomes markup.

use std::path::Path;

use harness::browse::address::{Links, Page};
use harness::browse::catalogue::Reader;
use harness::browse::pages::View;

use super::{nights, write_nights};

/// The page at an address of a server, without its style and script.
pub(super) fn page(folder: &Path, address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let page = Page::parse(path, query).unwrap_or_else(|error| panic!("{address}: {error}"));
    let mut reader = Reader::new(folder).unwrap();
    let catalogue = reader.read();
    let reader = std::cell::RefCell::new(reader);
    let view = View {
        catalogue: &catalogue,
        links: &Links::Served,
        figures: &|run| reader.borrow_mut().figures(run),
    };
    let text = view.page(&page).unwrap_or_else(|| panic!("{address}: no page"));
    let from = text.find("<body").unwrap();
    text[from..text.rfind("<script>").unwrap()].to_owned()
}

/// What a person reads of it.
fn words(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        let (_, after) = part.split_once('>').unwrap_or(("", part));
        text.push_str(after);
        text.push(' ');
    }
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn assert_says(text: &str, facts: &[&str]) {
    for fact in facts {
        assert!(text.contains(fact), "`{fact}` is not in: {text}");
    }
}

#[test]
fn the_first_page_says_what_is_wrong_since_when_and_how_to_see_it_again() {
    let root = nights();
    let text = words(&page(root.path(), "/"));
    let script = root
        .path()
        .canonicalize()
        .unwrap()
        .join("runs/smoke/20261129T220000Z-8/repro.sh");
    assert_says(
        &text,
        &[
            "Not valid now: 1 campaign and 1 plan (2 campaigns and 4 runs in all).",
            "1 folder could not be read.",
            "Campaign nightly invalid 5 seeds of 2 entries in 4 CPU s",
            "smoke, seed 8 invalid register: 0.5 s: a read of 3 has no write <script>",
            "Since 2026-11-28 22:00:00 : the last 2 were not valid",
            "Compare with the last valid run",
            "campaigns/nightly/20261129T010000Z && harness sim plans/swarm-simulation.toml --seed 12",
            &script.display().to_string(),
        ],
    );
}

#[test]
fn a_folder_in_which_all_is_well_and_an_empty_one_say_so() {
    let root = tempfile::tempdir().unwrap();
    assert_says(
        &words(&page(root.path(), "/")),
        &["There is no result in this folder."],
    );
    for address in ["/runs", "/campaigns", "/trends", "/troubles"] {
        page(root.path(), address);
    }
    super::Given::default().write(&root.path().join("20261127T220000Z-7"));
    let text = words(&page(root.path(), "/"));
    assert_says(
        &text,
        &[
            "Nothing is wrong: the last result of every plan and every campaign is valid (0 campaigns and 1 run).",
        ],
    );
}

#[test]
fn a_filter_takes_what_it_says() {
    let root = nights();
    let taken = |query: &str| {
        let text = page(root.path(), &format!("/runs?{query}"));
        let mut seeds: Vec<&str> = text
            .split("href=\"run?path=")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        seeds.sort_unstable();
        seeds
            .iter()
            .map(|path| path.trim_start_matches("runs%2F").to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let [first, second, third, bank] = [
        "smoke%2F20261127T220000Z-7",
        "smoke%2F20261128T220000Z-7",
        "smoke%2F20261129T220000Z-8",
        "bank%2F20261129T220100Z-7",
    ];
    assert_eq!(taken(""), [bank, first, second, third].join(" "));
    assert_eq!(taken("plan=smoke"), [first, second, third].join(" "));
    assert_eq!(taken("plan=bank+%26+more"), bank);
    assert_eq!(taken("verdict=invalid"), third);
    assert_eq!(taken("verdict=valid&plan=smoke"), first);
    assert_eq!(taken("build=fff"), third);
    assert_eq!(taken("from=2026-11-28&to=2026-11-28"), second);
    assert_eq!(taken("from=2026-11-29"), [bank, third].join(" "));
    assert_eq!(taken("place=simulation"), "");
    assert_eq!(taken("verdict=&plan=&build=&from=&to=&place="), taken(""));
    let campaigns = |query: &str| {
        page(root.path(), &format!("/campaigns?{query}"))
            .matches("<tr data-plan")
            .count()
    };
    assert_eq!(
        [
            campaigns(""),
            campaigns("verdict=invalid"),
            campaigns("plan=swarm"),
            campaigns("plan=none")
        ],
        [2, 1, 2, 0]
    );
    assert_eq!(campaigns("build=0a1b&place=simulation&to=2026-11-28"), 1);
}

#[test]
fn two_runs_are_compared_and_what_differs_is_marked() {
    let root = nights();
    let (one, two) = ("runs/smoke/20261127T220000Z-7", "runs/smoke/20261129T220000Z-8");
    let page_of = |one: &str, two: &str| page(root.path(), &format!("/compare?a={one}&b={two}"));
    let both = page_of(one, two);
    assert_says(
        &words(&both),
        &[
            "seed 7 8 differs",
            "place processes processes same",
            "build 0a1b2c3d4e5f ffffffffffff differs",
            "cluster.nodes 3 5 differs",
            "register valid invalid differs",
            "completed 400 200 × 0.50",
            "completed a second 100 50 × 0.50",
            "duration 4.00 s 4.00 s same",
            "register read p50 5 ms 40 ms × 8",
            "kill 1 of 1 1 of 1 same",
            "pause 0 of 1 0 of 1 same",
        ],
    );
    let marked = both.matches("<tr class=\"differs\">").count();
    let named = words(&both).matches(" differs ").count() + words(&both).matches(" × ").count();
    assert_eq!(marked, named, "{both}");
    let same = page_of(one, one);
    assert_eq!(same.matches("<tr class=\"differs\">").count(), 0);
}

#[test]
fn two_campaigns_are_compared_entry_by_entry() {
    let root = nights();
    let (one, two) = (
        "campaigns/nightly/20261128T010000Z",
        "campaigns/nightly/20261129T010000Z",
    );
    let both = page(root.path(), &format!("/compare?a={one}&b={two}"));
    assert_says(
        &words(&both),
        &[
            "seeds until the first failure none 4 differs",
            "liveness in invariants, in seeds 0 1 differs",
            "swarm-simulation Fact First Second Difference seeds 4 4 same invalid 0 1 differs",
            "states that a seed reached, the median 900 1,000 × 1.11",
            "completed operations a second, the median 200 200 same",
        ],
    );
}

#[test]
fn a_run_and_a_campaign_have_pages_with_their_facts() {
    let root = nights();
    let run = page(root.path(), "/run?path=runs/smoke/20261129T220000Z-8");
    assert_says(
        &words(&run),
        &[
            "invalid register: 0.5 s: a read of 3 has no write <script>. 200 operations completed, 1 fault with an effect.",
            "Report of this run",
            "With the run before it, 2026-11-28 22:00:00",
            "With the last valid run before it, 2026-11-27 22:00:00",
            "register read 20 40 ms 40 ms 40 ms",
            "nodes/n1/log 10 B",
        ],
    );
    assert!(run.contains("href=\"files/runs/smoke/20261129T220000Z-8/report.html\""));
    let campaign = page(root.path(), "/campaign?path=campaigns/nightly/20261129T010000Z");
    assert_says(
        &words(&campaign),
        &[
            "invalid 5 seeds of 2 entries in 4 CPU s",
            "Compare with the one before it, 2026-11-28 01:00:00",
            "liveness in invariants 1 seed, fastest in swarm-simulation with seed 12: n2 did not serve <b>",
            "&& harness sim plans/swarm-simulation.toml --seed 12",
            "after 4 seeds and 3.0 s of the processors",
            "swarm-simulation simulation 4 1 0 0 400 14 1,000 to 1,010 3.0 s",
        ],
    );
}

#[test]
fn trends_are_in_figures_as_text_and_drawn() {
    let root = nights();
    let trends = page(root.path(), "/trends");
    assert_says(
        &words(&trends),
        &[
            "2026-11-29 5 0 0 2",
            "2026-11-28 5 1 0 0",
            "2026-11-27 1 0 0 0 100",
            "Throughput",
            "Failover",
            "Detection, in seeds",
            "Coverage",
        ],
    );
    assert_eq!(trends.matches("<svg").count(), 7, "{trends}");
    // Of a campaign only the entries of the plan count; its throughput is that of another entry, its detection that of all.
    let swarm = words(&page(root.path(), "/trends?plan=swarm"));
    assert_says(
        &swarm,
        &[
            "2026-11-29 3 0 0 1 none none none none 1,000",
            "2026-11-28 4 0 0 0 none none none none 900",
        ],
    );
    assert!(!swarm.contains("2026-11-27"), "{swarm}");
    let processes = words(&page(root.path(), "/trends?place=processes"));
    assert_says(&processes, &["2026-11-29 2 0 0 1 100 100 ms none none none none"]);
    let narrowed = page(root.path(), "/trends?plan=bank+%26+more");
    assert!(words(&narrowed).contains("2026-11-29 1 0 0 0") && !narrowed.contains("2026-11-28</td>"));
}

#[test]
fn nothing_from_a_file_becomes_markup() {
    let root = nights();
    let evil = root.path().join("runs/<script>alert(1)</script>");
    super::Given {
        plan: "<img src=x>",
        ..super::Given::default()
    }
    .write(&evil);
    std::fs::write(evil.join("<b>\"' onload=x.jsonl"), "").unwrap();
    std::fs::create_dir_all(root.path().join("<i>broken</i>")).unwrap();
    std::fs::write(root.path().join("<i>broken</i>/results.json"), "").unwrap();
    let path = "runs/%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for address in [
        "/",
        "/runs",
        "/troubles",
        "/trends",
        &format!("/run?path={path}"),
        &format!("/compare?a={path}&b={path}"),
    ] {
        let text = page(root.path(), address);
        for markup in ["<script>alert", "<img", "<i>broken", "<b>\"", "' onload"] {
            assert!(
                !text.replace("&quot;' onload", "").contains(markup),
                "{address}: {markup}"
            );
        }
    }
}

/// `make report-check` opens these pages in a browser.
#[test]
fn results_for_a_browser() {
    if let Some(folder) = std::env::var_os("REPORT_RESULTS") {
        write_nights(Path::new(&folder));
    }
}
