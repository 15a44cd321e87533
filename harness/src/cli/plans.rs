//! `harness plans`: which plans there are, where each runs, and what it is for.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::campaign::{CampaignFile, Place};
use harness::plan::Plan;
use harness::results::EXIT_USAGE;

/// List the plans and campaigns of a folder: where each runs, for how long, and what it is for.
///
/// Files that are neither are reported, with the line or the key that is wrong.
///
/// Exit code: 0, or 64 when a file is wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder.
    #[arg(default_value = "workloads")]
    folder: PathBuf,
}

/// What a row says.
struct Row {
    name: String,
    worlds: String,
    time: String,
    about: String,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let said = |error: std::io::Error| format!("{}: {error}", args.folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&args.folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut rows = Vec::new();
    let mut wrong = 0;
    for path in &paths {
        match row(path) {
            Ok(row) => rows.push(row),
            Err(error) => {
                wrong += 1;
                eprintln!("harness: {error}");
            }
        }
    }
    print(&rows);
    Ok(if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_USAGE)
    })
}

fn row(path: &Path) -> Result<Row, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Only a campaign has entries.
    let is_campaign = text
        .parse::<toml::Table>()
        .is_ok_and(|table| table.contains_key("entry"));
    if is_campaign {
        let campaign = CampaignFile::load(path)?;
        let has = |place| campaign.entries.iter().any(|entry| entry.place == place);
        return Ok(Row {
            worlds: format!(
                "campaign: {}",
                worlds(has(Place::Simulation), has(Place::Processes))
            ),
            time: campaign
                .budget
                .map_or("-".to_owned(), |budget| budget.to_string()),
            name: campaign.name,
            about: campaign.about,
        });
    }
    let plan = Plan::load(path)?;
    let is_simulated = plan.faults.is_empty() || !plan.clone().for_simulation().faults.is_empty();
    Ok(Row {
        worlds: worlds(is_simulated, plan.for_processes(SEED).is_ok()),
        time: plan.time.to_string(),
        name: plan.name,
        about: plan.about,
    })
}

/// Whether a plan is for real processes does not depend on its seed.
const SEED: u64 = 1;

fn worlds(simulation: bool, processes: bool) -> String {
    let worlds = [(simulation, Place::Simulation), (processes, Place::Processes)];
    let names = worlds.iter().filter(|(is_one, _)| *is_one);
    names
        .map(|(_, place)| place.name())
        .collect::<Vec<_>>()
        .join(", ")
}

fn print(rows: &[Row]) {
    let width = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).len()).max().unwrap_or(0);
    let (names, worlds, times) = (
        width(|row| &row.name),
        width(|row| &row.worlds),
        width(|row| &row.time),
    );
    for row in rows {
        println!(
            "{:names$}  {:worlds$}  {:>times$}  {}",
            row.name, row.worlds, row.time, row.about
        );
    }
}
