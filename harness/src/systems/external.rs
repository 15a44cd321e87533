//! A cluster that somebody else runs, on any machines: where its nodes are, and what to run to disturb them.
//!
//! Invariant: nothing is installed on a node; each act is a command of the shell here.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::error::{Wrong, require};
use super::template::Template;

/// The nodes, and a command for each thing that can be done to one. What has no command is not done.
///
/// Each command has the placeholders `{id}` and `{address}` of the node. It has to end with code 0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// The addresses of the nodes, in the order of their numbers.
    pub addresses: Vec<IpAddr>,
    /// Starts a node that is down.
    #[serde(default)]
    pub start: Option<Template>,
    /// Ends all processes of a node at once, as SIGKILL does.
    #[serde(default)]
    pub kill: Option<Template>,
    /// Stops all processes of a node, as SIGSTOP does.
    #[serde(default)]
    pub pause: Option<Template>,
    /// Lets them go on.
    #[serde(default)]
    pub resume: Option<Template>,
    /// Keeps a node from hearing another one, at `{peer_address}`.
    #[serde(default)]
    pub cut: Option<Template>,
    /// Lets it hear that one again.
    #[serde(default)]
    pub heal: Option<Template>,
    /// Sets the clock of a node off by `{offset_ms}` milliseconds from the right time; by 0 in the end.
    #[serde(default)]
    pub clock: Option<Template>,
    /// Puts the disk of a node into the trouble `{trouble}`; `none` in the end.
    #[serde(default)]
    pub disk: Option<Template>,
}

impl External {
    pub(super) fn validate(&self) -> Result<(), Wrong> {
        let nodes = self.addresses.len();
        require((1..=NODES_MAX).contains(&nodes), "external.addresses", || {
            format!("must be 1 to {NODES_MAX} addresses, not {nodes}")
        })?;
        for (one, other, is_one, is_other) in [
            ("kill", "start", self.kill.is_some(), self.start.is_some()),
            ("pause", "resume", self.pause.is_some(), self.resume.is_some()),
            ("cut", "heal", self.cut.is_some(), self.heal.is_some()),
        ] {
            require(is_other || !is_one, &format!("external.{one}"), || {
                format!("needs `{other}`, which undoes it")
            })?;
        }
        for (key, command, more) in [
            ("start", &self.start, None),
            ("kill", &self.kill, None),
            ("pause", &self.pause, None),
            ("resume", &self.resume, None),
            ("cut", &self.cut, Some("peer_address")),
            ("heal", &self.heal, Some("peer_address")),
            ("clock", &self.clock, Some("offset_ms")),
            ("disk", &self.disk, Some("trouble")),
        ] {
            let known: Vec<String> = ["id", "address"]
                .into_iter()
                .chain(more)
                .map(str::to_owned)
                .collect();
            let unknown = command.as_ref().and_then(|command| command.unknown(&known));
            require(unknown.is_none(), &format!("external.{key}"), || {
                let unknown = unknown.unwrap_or_default();
                format!(
                    "has the placeholder `{{{unknown}}}`, which is none of {}",
                    known.join(", ")
                )
            })?;
        }
        Ok(())
    }
}

/// As many as a plan can have.
const NODES_MAX: usize = 9;
