//! The file of a system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{SystemError, Wrong, require};
use super::external::External;
use super::template::Template;
use crate::client::Protocol;

/// A system under test, declared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The format's version: `SYSTEM_VERSION`.
    version: u32,
    /// Names the system in reports.
    pub name: String,
    /// What it is, in a sentence.
    #[serde(default)]
    pub about: String,
    /// What clients speak.
    pub client: Protocol,
    /// The workloads that it can serve, by their names in plans. A plan's others are left out, and the report says so.
    pub workloads: BTreeSet<String>,
    /// The operations of these workloads that it has not: `cas` of registers.
    #[serde(default)]
    pub lacks: BTreeSet<String>,
    /// How many nodes it has, whatever a plan says; as many as the plan says when absent.
    #[serde(default)]
    pub nodes: Option<usize>,
    /// What the links between its nodes go through.
    #[serde(default)]
    pub links: Links,
    /// The ports of each node, by name. `client` is where clients connect.
    pub ports: BTreeMap<String, u16>,
    /// How the other nodes are named, for the placeholder `{peers}`.
    #[serde(default)]
    pub peers: Option<Peers>,
    /// The files of a node, which are written before its first start.
    #[serde(default, rename = "file")]
    pub files: Vec<FilePart>,
    /// The processes of a node, in the order in which they are started.
    #[serde(default, rename = "process")]
    pub processes: Vec<ProcessPart>,
    /// What asks a process to end.
    #[serde(default)]
    pub stop: Stop,
    /// A cluster that runs elsewhere, in place of files and processes.
    #[serde(default)]
    pub external: Option<External>,
    /// The text of the file.
    #[serde(skip)]
    pub text: String,
    /// Where it was.
    #[serde(skip)]
    pub path: PathBuf,
}

/// What the links between the nodes go through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Nodes connect to each other's addresses: such links cannot be cut here.
    #[default]
    Direct,
    /// A node connects to `{peer}`, a proxy of the harness, which can be cut. It takes a system in which each node gets to know for
    /// itself where the others are, and nodes do not tell each other.
    Proxies,
}

/// How the other nodes are named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// One of them. Its placeholders are of the node that is named; `{peer}` is where its port `peer` is reached.
    pub each: Template,
    /// What is put between two of them.
    #[serde(default = "comma")]
    pub between: String,
    /// Whether the node itself is one of them.
    #[serde(default)]
    pub own: bool,
}

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FilePart {
    /// Its name in the node's directory `{dir}`.
    pub path: String,
    /// What is in it.
    pub text: Template,
    /// The nodes that have it.
    #[serde(default)]
    pub on: On,
}

/// Which nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// All.
    #[default]
    All,
    /// Node 1.
    First,
    /// All but node 1.
    Others,
}

impl On {
    /// Whether `node` is one of them.
    pub fn has(self, node: u64) -> bool {
        match self {
            Self::All => true,
            Self::First => node == 1,
            Self::Others => node != 1,
        }
    }
}

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessPart {
    /// Its program: a name, which is looked for beside the harness, in `examples` there, and in `PATH`; or a path, seen from the
    /// file of the system.
    pub program: String,
    /// Its arguments. One that is `{peers}` alone stands for one argument for each of the peers.
    #[serde(default)]
    pub arguments: Vec<Template>,
    /// The package of Debian that has it.
    #[serde(default)]
    pub package: Option<String>,
    /// The arguments with which it says its version.
    #[serde(default = "version_flag")]
    pub version: Vec<String>,
}

/// What asks a process to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// The signal.
    pub signal: StopSignal,
    /// How it has to end then.
    pub exit: Exit,
}

/// A signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    #[serde(rename = "SIGTERM")]
    Term,
    /// SIGINT.
    #[serde(rename = "SIGINT")]
    Int,
    /// SIGQUIT.
    #[serde(rename = "SIGQUIT")]
    Quit,
}

/// How a process ends that was asked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With code 0; anything else is a crash.
    #[default]
    Zero,
    /// In any way: some die of the signal, after they have done what it asks for.
    Any,
}

impl System {
    /// Reads and validates the system at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not one of a system, or says something impossible.
    pub fn load(path: &Path) -> Result<Self, SystemError> {
        let text = std::fs::read_to_string(path).map_err(|source| SystemError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses and validates `text`; relative paths in it are seen from the folder of `path`.
    ///
    /// # Errors
    ///
    /// As [`System::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SystemError> {
        let mut system: Self = toml::from_str(text).map_err(|source| SystemError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        system.validate().map_err(|wrong| wrong.in_file(text, path))?;
        text.clone_into(&mut system.text);
        path.clone_into(&mut system.path);
        Ok(system)
    }

    /// Where clients connect.
    pub fn client_port(&self) -> u16 {
        self.ports
            .get(CLIENT)
            .copied()
            .expect("a valid system has the port")
    }

    /// Whether links between its nodes can be cut only if each node has a network namespace.
    pub fn needs_namespaces(&self) -> bool {
        self.external.is_none() && self.links == Links::Direct
    }

    fn validate(&self) -> Result<(), Wrong> {
        require(self.version == SYSTEM_VERSION, "version", || {
            format!("must be {SYSTEM_VERSION}")
        })?;
        require(is_plain(&self.name), "name", || {
            "must be 1 to 40 of a-z, 0-9 and -".to_owned()
        })?;
        for (key, names, known) in [
            ("workloads", &self.workloads, &WORKLOADS[..]),
            ("lacks", &self.lacks, &LACKS[..]),
        ] {
            let unknown = names.iter().find(|name| !known.contains(&name.as_str()));
            require(unknown.is_none(), key, || {
                let unknown = unknown.map_or("", String::as_str);
                format!("names `{unknown}`, which is none of {}", known.join(", "))
            })?;
        }
        require(!self.workloads.is_empty(), "workloads", || {
            "must name one".to_owned()
        })?;
        require(self.ports.contains_key(CLIENT), "ports", || {
            "must have `client`".to_owned()
        })?;
        self.validate_links()?;
        match &self.external {
            Some(external) => {
                external.validate()?;
                self.validate_elsewhere()
            }
            None => self.validate_parts(),
        }
    }

    fn validate_links(&self) -> Result<(), Wrong> {
        require(
            self.links == Links::Direct || self.ports.contains_key(PEER),
            "links",
            || "needs the port `peer`, to which the proxies connect".to_owned(),
        )?;
        let nodes = self.nodes.unwrap_or(1);
        require((1..=NODES_MAX).contains(&nodes), "nodes", || {
            format!("must be 1 to {NODES_MAX}, not {nodes}")
        })
    }

    fn validate_elsewhere(&self) -> Result<(), Wrong> {
        for (key, is_given) in [
            ("process", !self.processes.is_empty()),
            ("file", !self.files.is_empty()),
            ("nodes", self.nodes.is_some()),
            ("links", self.links != Links::Direct),
        ] {
            require(!is_given, key, || {
                "is not of a cluster that runs elsewhere, as [external] says".to_owned()
            })?;
        }
        Ok(())
    }

    fn validate_parts(&self) -> Result<(), Wrong> {
        require(!self.processes.is_empty(), "process", || {
            "must be given at least once, or [external]".to_owned()
        })?;
        let ports = self.ports.keys().map(|name| format!("{name}_port"));
        let mut known: Vec<String> = ["id", "address", "dir", "nodes", "majority", "first_address"]
            .into_iter()
            .map(str::to_owned)
            .chain(ports)
            .collect();
        if let Some(peers) = &self.peers {
            let mut of_peers = known.clone();
            if self.ports.contains_key(PEER) {
                of_peers.push(PEER.to_owned());
            }
            places(&peers.each, "peers.each", &of_peers)?;
            known.push("peers".to_owned());
        }
        for (at, file) in self.files.iter().enumerate() {
            let key = format!("file[{at}].path");
            require(is_inside(&file.path), &key, || {
                "must stay inside of the node's directory".to_owned()
            })?;
            places(&file.text, &format!("file[{at}].text"), &known)?;
        }
        for (at, process) in self.processes.iter().enumerate() {
            require(
                !process.program.is_empty(),
                &format!("process[{at}].program"),
                || "must not be empty".to_owned(),
            )?;
            for argument in &process.arguments {
                places(argument, &format!("process[{at}].arguments"), &known)?;
            }
        }
        Ok(())
    }
}

fn places(template: &Template, key: &str, known: &[String]) -> Result<(), Wrong> {
    let unknown = template.unknown(known);
    require(unknown.is_none(), key, || {
        let unknown = unknown.unwrap_or_default();
        format!(
            "has the placeholder `{{{unknown}}}`, which is none of {}",
            known.join(", ")
        )
    })
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(plain)
}

fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn comma() -> String {
    ",".to_owned()
}

fn version_flag() -> Vec<String> {
    vec!["--version".to_owned()]
}

/// The format of files of systems that this harness reads.
const SYSTEM_VERSION: u32 = 1;
const CLIENT: &str = "client";
const PEER: &str = "peer";
/// As many as a plan can have.
const NODES_MAX: usize = 9;
const WORKLOADS: [&str; 6] = ["register", "log", "set", "counter", "list-append", "bank"];
const LACKS: [&str; 1] = ["cas"];

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"version = 1
name = "small"
client = "redis"
workloads = ["register"]
[ports]
client = 6379
[[process]]
program = "server"
arguments = ["--dir", "{dir}", "--port={client_port}"]
"#;

    fn parse(text: &str) -> Result<System, String> {
        System::parse(text, Path::new("s.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_small_system_has_defaults() {
        let system = parse(SMALL).unwrap();
        assert_eq!(system.client_port(), 6379);
        assert_eq!((system.links, system.stop), (Links::Direct, Stop::default()));
        assert_eq!(system.processes[0].version, ["--version"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_key_and_place() {
        let with = |from: &str, to: &str| SMALL.replace(from, to);
        for (text, said) in [
            (
                with("version = 1", "version = 2"),
                "line 1, column 1: `version` must be 1",
            ),
            (with("\"small\"", "\"Small\""), "line 2, column 1: `name` must be"),
            (
                with("\"register\"", "\"queue\""),
                "line 4, column 1: `workloads` names `queue`",
            ),
            (
                with("[ports]", "lacks = [\"read\"]\n[ports]"),
                "`lacks` names `read`, which is none of cas",
            ),
            (
                with("client = 6379", "sentinel = 1"),
                "`ports` must have `client`",
            ),
            (
                with("{dir}", "{folder}"),
                "line 9, column 1: `process[0].arguments` has the placeholder `{folder}`",
            ),
            (with("{dir}", "{peers}"), "has the placeholder `{peers}`"),
            (
                with("[ports]", "links = \"proxies\"\n[ports]"),
                "`links` needs the port `peer`",
            ),
            (
                with("[ports]", "nodes = 10\n[ports]"),
                "`nodes` must be 1 to 9, not 10",
            ),
            (
                format!("{SMALL}[[file]]\npath = \"../x\"\ntext = \"\"\n"),
                "`file[0].path` must stay inside",
            ),
            (
                format!("{SMALL}[external]\naddresses = [\"10.0.0.1\"]\n"),
                "`process` is not of a cluster",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn unknown_keys_and_words_are_refused_where_they_are() {
        let with = |from: &str, to: &str| SMALL.replace(from, to);
        for (text, said) in [
            (with("[ports]", "colour = 1\n[ports]"), "unknown field `colour`"),
            (with("\"redis\"", "\"telnet\""), "unknown variant `telnet`"),
            (
                format!("{SMALL}[stop]\nsignal = \"SIGKILL\"\n"),
                "unknown variant `SIGKILL`",
            ),
            (format!("{SMALL}pakcage = \"x\"\n"), "unknown field `pakcage`"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said) && error.contains("line"), "{said}: {error}");
        }
    }

    #[test]
    fn a_cluster_elsewhere_needs_what_undoes_each_act() {
        let external = |more: &str| {
            let (head, _) = SMALL.split_once("[[process]]").unwrap();
            parse(&format!(
                "{head}[external]\naddresses = [\"10.0.0.1\", \"::1\"]\n{more}"
            ))
        };
        let system =
            external("kill = \"ssh {address} kill\"\nstart = \"ssh {address} start {id}\"\n").unwrap();
        assert_eq!(system.external.unwrap().addresses.len(), 2);
        for (more, said) in [
            ("kill = \"x\"\n", "`external.kill` needs `start`"),
            ("pause = \"x\"\n", "`external.pause` needs `resume`"),
            ("cut = \"x\"\n", "`external.cut` needs `heal`"),
            (
                "start = \"{dir}\"\n",
                "`external.start` has the placeholder `{dir}`",
            ),
            (
                "disk = \"{offset_ms}\"\n",
                "which is none of id, address, trouble",
            ),
        ] {
            let error = external(more).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
