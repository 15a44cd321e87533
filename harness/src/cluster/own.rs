//! How the nodes of this project's own daemon are started.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use noraftd::prng::Prng;
use noraftd::secret::Secrets;

use super::form::{Form, Forms};
use super::network::Network;
use super::seat::{Seat, Standing};
use crate::plan::Plan;

/// The form that the nodes begin in, what each form is started with, and the secret, where some have one: a cluster that is rolled, and one
/// whose nodes are in namespaces, where orders come from another address than the node's own.
pub(super) fn forms(
    plan: &Plan,
    seed: u64,
    (program, old): (&Path, Option<&Path>),
    folder: &Path,
    has_namespaces: bool,
) -> io::Result<(Form, Forms, Option<Secrets>)> {
    let forms = Forms {
        program: program.to_owned(),
        old: old.map(Path::to_owned),
        secret: folder.join("peer-secret"),
    };
    let form = match (plan.is_rolled(), has_namespaces) {
        (true, _) => Form::Old,
        (false, true) => Form::Require,
        (false, false) => return Ok((Form::Present, forms, None)),
    };
    write_secret(&forms.secret, seed)?;
    let secrets = Secrets::read(&forms.secret).map_err(io::Error::other)?;
    Ok((form, forms, Some(secrets)))
}

/// A secret for one run: what it is depends on the seed alone, and it protects nothing.
fn write_secret(path: &PathBuf, seed: u64) -> io::Result<()> {
    let mut prng = Prng::new(seed).fork(FORK_SECRET);
    let secret: String = (0..4).map(|_| format!("{:016x}", prng.next_u64())).collect();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{secret}")
}

/// A node among the others.
pub(super) struct Layout<'a> {
    pub(super) id: u64,
    pub(super) ids: &'a [u64],
    pub(super) network: &'a Network,
    pub(super) data_dir: &'a Path,
    pub(super) shadow_seed: Option<u64>,
    pub(super) clock: Option<&'a PathBuf>,
}

impl Layout<'_> {
    /// What it is at first, and how it is started.
    pub(super) fn seat(&self, plan: &Plan) -> Seat {
        let is_founder = self.id <= plan.cluster.nodes as u64;
        let standing = match is_founder {
            true => Standing::Member(self.id),
            false => Standing::Spare,
        };
        // An old program connects to what it is given as the address of another node, and can be given no other way there.
        let has_ways = !plan.is_rolled();
        let mut founding = Vec::new();
        for peer in self.founders(plan).filter(|peer| *peer != self.id) {
            let place = match has_ways {
                true => self.network.peer(peer),
                false => self.network.address(self.id, peer),
            };
            founding.extend(["--peer".into(), format!("{peer}={place}").into()]);
        }
        let mut common = self.arguments(plan);
        if has_ways {
            for (place, way) in self.network.ways(self.id) {
                common.extend(["--peer-via".into(), format!("{place}={way}").into()]);
            }
        }
        Seat::new(standing, common, founding, self.network.places(self.id))
    }

    fn founders(&self, plan: &Plan) -> impl Iterator<Item = u64> {
        let nodes = plan.cluster.nodes as u64;
        self.ids.iter().copied().filter(move |id| *id <= nodes)
    }

    fn arguments(&self, plan: &Plan) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["serve".into()];
        let mut flag = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        flag("--cluster", CLUSTER_NAME.into());
        flag("--data-dir", self.data_dir.into());
        flag("--listen", self.network.client(self.id).to_string().into());
        let cluster = &plan.cluster;
        flag("--heartbeat", cluster.heartbeat.to_string().into());
        flag("--election-timeout", cluster.election.to_string().into());
        flag("--segment-bytes", format!("{}KiB", cluster.segment_kib).into());
        if let Some(seed) = self.shadow_seed {
            let own = Prng::new(seed).fork(self.id).next_u64();
            flag("--shadow-disk", format!("seed={own}").into());
        }
        if let Some(clock) = self.clock {
            flag("--test-clock", clock.into());
        }
        arguments
    }
}

/// Separates the secret from the other random numbers.
const FORK_SECRET: u64 = 0x0000_7365_6372_6574;
const CLUSTER_NAME: &str = "under-test";
