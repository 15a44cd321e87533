//! How the nodes of a system that a file declares are laid out and started.
//!
//! Invariant: a node's files are durable before its first start: a power cut is not to take what the system did not write.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::form::Forms;
use super::network::Network;
use super::process::{Launch, Process};
use crate::systems::{Installed, Peers, System, Template, Values};

/// Everything that the nodes of a cluster have in common.
pub(super) struct Crew<'a> {
    pub(super) installed: &'a Installed,
    pub(super) network: &'a Network,
    pub(super) ids: &'a [u64],
    /// The `harness` program.
    pub(super) guard: &'a Path,
}

impl Crew<'_> {
    /// Writes the files of a node, and gives its processes.
    pub(super) fn node(&self, id: u64, data_dir: &Path, log: &Path) -> io::Result<Vec<Process>> {
        let system = &self.installed.system;
        let values = self.values(id).with("dir", data_dir.display());
        let peers = system.peers.as_ref().map(|peers| self.peers(id, peers));
        let joined = match (&system.peers, &peers) {
            (Some(rule), Some(peers)) => values.clone().with("peers", peers.join(&rule.between)),
            (_, _) => values,
        };
        fs::create_dir_all(data_dir)?;
        for file in system.files.iter().filter(|file| file.on.has(id)) {
            write_durably(&data_dir.join(&file.path), &file.text.fill(&joined))?;
        }
        let parts = system.processes.iter().zip(&self.installed.programs);
        Ok(parts
            .map(|(part, program)| {
                let arguments = arguments(&part.arguments, &joined, peers.as_deref().unwrap_or_default());
                let launch = Launch {
                    guard: self.guard.to_owned(),
                    namespace: self.network.namespace(id),
                    forms: Forms::only(program.path.clone()),
                    arguments: arguments.into_iter().map(Into::into).collect(),
                    log: log.to_owned(),
                    stop: system.stop,
                };
                Process::new(launch)
            })
            .collect())
    }

    /// What the placeholders of a node stand for, but for its directory.
    fn values(&self, id: u64) -> Values {
        values(&self.installed.system, self.network, self.ids, id)
    }

    fn peers(&self, own: u64, rule: &Peers) -> Vec<String> {
        self.ids
            .iter()
            .filter(|id| rule.own || **id != own)
            .map(|id| {
                let at = if *id == own {
                    self.network.peer(own)
                } else {
                    self.network.address(own, *id)
                };
                rule.each.fill(&self.values(*id).with("peer", at))
            })
            .collect()
    }
}

fn values(system: &System, network: &Network, ids: &[u64], id: u64) -> Values {
    let first = ids.first().copied().unwrap_or(id);
    let mut values = Values::default()
        .with("id", id)
        .with("address", network.host(id))
        .with("nodes", ids.len())
        .with("majority", ids.len() / 2 + 1)
        .with("first_address", network.host(first));
    for (name, port) in &system.ports {
        values = values.with(&format!("{name}_port"), port);
    }
    values
}

/// An argument that is `{peers}` alone is one for each of them.
fn arguments(templates: &[Template], values: &Values, peers: &[String]) -> Vec<String> {
    let filled = templates.iter().map(|template| match template.text() {
        "{peers}" => peers.to_vec(),
        _ => vec![template.fill(values)],
    });
    filled.flatten().collect()
}

fn write_durably(path: &PathBuf, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_that_is_the_peers_alone_is_one_for_each() {
        let template = |text: &str| -> Template { serde_json::from_value(text.into()).unwrap() };
        let values = Values::default().with("id", 1).with("peers", "a,b");
        let peers = ["a".to_owned(), "b".to_owned()];
        let of = |texts: &[&str]| {
            let templates: Vec<Template> = texts.iter().map(|text| template(text)).collect();
            arguments(&templates, &values, &peers)
        };
        assert_eq!(of(&["--id={id}", "{peers}"]), ["--id=1", "a", "b"]);
        assert_eq!(of(&["--peers={peers}"]), ["--peers=a,b"]);
    }
}
