//! All workloads on all systems, round after round.

use std::collections::BTreeMap;

use crate::deployment::Deployment;
use crate::facts::load_average;
use crate::figures::{Figures, rate};
use crate::load::measure;
use crate::options::Options;
use crate::system::{Protocol, System};
use crate::workload::{Target, Workload};

/// The figures of every workload and system, by round.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// Workloads, in the order of the report.
    pub(crate) workloads: Vec<Workload>,
    /// By workload (its place), system and round.
    pub(crate) cells: BTreeMap<(usize, System), BTreeMap<u32, Figures>>,
    /// What went wrong.
    pub(crate) remarks: Vec<String>,
}

impl Rounds {
    /// Runs them all; a round goes through all workloads, a workload through all systems.
    pub(crate) async fn run(options: &Options, deployments: &mut [Deployment]) -> Self {
        let mut rounds = Self {
            workloads: Workload::all(&options.clients),
            ..Self::default()
        };
        for round in 0..options.rounds {
            eprintln!(
                "bench: round {} of {}, load average {}",
                round + 1,
                options.rounds,
                load_average()
            );
            for at in 0..rounds.workloads.len() {
                // A system comes after a heavy neighbour in one round only.
                deployments.rotate_left(usize::from(deployments.len() > 1));
                for deployment in deployments.iter_mut() {
                    rounds.cell(options, round, at, deployment).await;
                }
            }
        }
        rounds
    }

    async fn cell(&mut self, options: &Options, round: u32, at: usize, deployment: &mut Deployment) {
        let (workload, system) = (self.workloads[at], deployment.system);
        if !fits(workload, system) {
            return;
        }
        let place = format!("{}, {workload}, round {}", system.name(), round + 1);
        let seed = u64::from(round) << 8 | at as u64;
        match measure(workload, deployment, options.measured(), seed).await {
            Err(error) => self.remark(format!("{place}: {error}")),
            Ok(sample) => {
                if let Some((count, first)) = &sample.failures {
                    self.remark(format!("{place}: {count} failed, the first with: {first}"));
                }
                match Figures::of(&sample) {
                    Some(figures) => {
                        eprintln!("bench: {place}: {}/s", rate(figures.rate));
                        self.cells.entry((at, system)).or_default().insert(round, figures);
                    }
                    None => self.remark(format!("{place}: no operation succeeded")),
                }
            }
        }
    }

    fn remark(&mut self, text: String) {
        eprintln!("bench: {text}");
        self.remarks.push(text);
    }
}

/// Not every system can do everything: a pipeline needs RESP, and only a consensus takes writes on all nodes.
fn fits(workload: Workload, system: System) -> bool {
    let pipelines = workload.depth == 1 || system.protocol() == Protocol::Resp;
    let spreads = workload.target == Target::Leader || system.is_consensus();
    pipelines && spreads
}
