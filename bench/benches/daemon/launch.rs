//! How the nodes of each system are started.
//!
//! Invariant: noraftd and etcd get the same heartbeat and election timeout; all else is as they come.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::options::Options;
use crate::ports::free_ports;
use crate::process::Start;
use crate::system::System;

/// A system that is installed here.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    /// Which one.
    pub(crate) system: System,
    /// Its program.
    pub(crate) program: PathBuf,
    /// What it says its version is.
    pub(crate) version: String,
    /// Bytes of the program.
    pub(crate) binary_bytes: u64,
    mode: String,
}

/// One node that can be started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Its process.
    pub(crate) start: Start,
    /// Where it serves clients.
    pub(crate) clients: SocketAddr,
}

impl Installed {
    /// Looks for `system`; says in a sentence why it is left out.
    pub(crate) fn find(system: System, options: &Options) -> Result<Self, String> {
        let program = find_program(system, options)?;
        let metadata = fs::metadata(&program).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self {
            system,
            version: version(system, &program, options)?,
            program,
            binary_bytes: metadata.len(),
            mode: options.ceiling_mode.clone(),
        })
    }

    /// Commands for all nodes, with their data below `dir`, on ports that are free now.
    pub(crate) fn launches(&self, dir: &Path, taken: &mut Vec<u16>) -> Result<Vec<Launch>, String> {
        let clients = free_ports(self.system.nodes(), taken)?;
        let peers = free_ports(self.system.nodes(), taken)?;
        let node = |at: usize| {
            let data = dir.join(format!("node{}", at + 1));
            let arguments = match self.system {
                System::Noraftd => noraftd(at, &data, &clients, &peers),
                System::Etcd => etcd(at, &data, &clients, &peers),
                System::Redis => redis(&data, clients[at]),
                System::Ceiling => ceiling(at, &data, &clients, &self.mode),
            };
            fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
            Ok(Launch {
                start: Start {
                    program: self.program.clone(),
                    arguments: arguments.into_iter().map(OsString::from).collect(),
                    log: dir.join(format!("node{}.log", at + 1)),
                },
                clients: SocketAddr::from((Ipv4Addr::LOCALHOST, clients[at])),
            })
        };
        (0..self.system.nodes()).map(node).collect()
    }
}

fn noraftd(at: usize, data: &Path, clients: &[u16], peers: &[u16]) -> Vec<String> {
    let mut arguments = vec![
        "serve".to_owned(),
        format!("--id={}", at + 1),
        "--cluster=bench".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen=127.0.0.1:{}", clients[at]),
        format!("--peer-listen=127.0.0.1:{}", peers[at]),
        format!("--heartbeat={HEARTBEAT_MILLIS}ms"),
        format!("--election-timeout={ELECTION_MILLIS}ms"),
        "--log=warn".to_owned(),
    ];
    let members = (1..).zip(peers);
    arguments.extend(members.map(|(id, port)| format!("--peer={id}=127.0.0.1:{port}")));
    arguments
}

fn etcd(at: usize, data: &Path, clients: &[u16], peers: &[u16]) -> Vec<String> {
    let url = |port| format!("http://127.0.0.1:{port}");
    let members: Vec<_> = (1..)
        .zip(peers)
        .map(|(id, port)| format!("n{id}={}", url(*port)))
        .collect();
    vec![
        format!("--name=n{}", at + 1),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={}", url(clients[at])),
        format!("--advertise-client-urls={}", url(clients[at])),
        format!("--listen-peer-urls={}", url(peers[at])),
        format!("--initial-advertise-peer-urls={}", url(peers[at])),
        format!("--initial-cluster={}", members.join(",")),
        "--initial-cluster-token=bench".to_owned(),
        "--initial-cluster-state=new".to_owned(),
        format!("--heartbeat-interval={HEARTBEAT_MILLIS}"),
        format!("--election-timeout={ELECTION_MILLIS}"),
        "--logger=zap".to_owned(),
        "--log-level=error".to_owned(),
    ]
}

fn redis(data: &Path, client: u16) -> Vec<String> {
    let settings = [
        ("--bind", "127.0.0.1".to_owned()),
        ("--port", client.to_string()),
        ("--dir", data.display().to_string()),
        ("--save", String::new()),
        ("--appendonly", "yes".to_owned()),
        ("--appendfsync", "always".to_owned()),
    ];
    settings
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

fn ceiling(at: usize, data: &Path, clients: &[u16], mode: &str) -> Vec<String> {
    let role = if at == 0 { "leader" } else { "follower" };
    let mut arguments = vec![
        role.to_owned(),
        clients[at].to_string(),
        data.display().to_string(),
        mode.to_owned(),
    ];
    if at == 0 {
        arguments.extend(clients[1..].iter().map(u16::to_string));
    }
    arguments
}

fn find_program(system: System, options: &Options) -> Result<PathBuf, String> {
    match system {
        System::Noraftd => match &options.noraftd {
            Some(path) => Ok(path.clone()),
            None => beside_this_program("noraftd"),
        },
        System::Etcd => in_path("etcd"),
        System::Redis => in_path("redis-server"),
        System::Ceiling => options
            .ceiling
            .clone()
            .ok_or_else(|| "no --ceiling was given".to_owned()),
    }
}

/// This program is `target/release/deps/daemon-HASH`; the profile `dist` leaves the others in `target/dist`.
fn beside_this_program(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let found = own.ancestors().nth(3).map(|dir| dir.join("dist").join(name));
    found
        .filter(|path| path.is_file())
        .ok_or_else(|| format!("no {name} was built; run cargo build --profile dist"))
}

fn in_path(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{name} is not installed"))
}

fn version(system: System, program: &Path, options: &Options) -> Result<String, String> {
    match system {
        System::Ceiling => return Ok(format!("mode {}", options.ceiling_mode)),
        System::Noraftd | System::Etcd | System::Redis => {}
    }
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let numbered = words
        .map(|word| word.trim_start_matches("v="))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    numbered
        .map(str::to_owned)
        .ok_or_else(|| format!("{} --version gave no version: {text:?}", program.display()))
}

/// A tenth of the election timeout, as both systems advise.
pub(crate) const HEARTBEAT_MILLIS: u64 = 50;

/// noraftd's default.
pub(crate) const ELECTION_MILLIS: u64 = 500;
