//! Systems: what the harness tests, declared in TOML, so that one that somebody else wrote is tested by the same plans.
//!
//! Invariant: a [`System`] that exists is valid. Unknown keys and placeholders are refused, and every refusal says where.
//!
//! | table | what it says |
//! |-|-|
//! | (top) | `version` (1), `name`, `about`, `client`, `workloads`, `lacks`, `nodes`, `links` |
//! | `[ports]` | the ports of a node; `client` is where clients go |
//! | `[peers]` | how the other nodes are named: `each`, `between`, `own` |
//! | `[[file]]` | a file of a node: `path`, `text`, `on` |
//! | `[[process]]` | a process of a node: `program`, `arguments`, `package`, `version` |
//! | `[stop]` | what asks a process to end: `signal`, `exit` |
//! | `[external]` | a cluster that runs elsewhere: `addresses`, and a command for whatever can be done to a node |

mod error;
mod external;
mod file;
mod fit;
mod installed;
mod template;

pub use error::SystemError;
pub use external::External;
pub use file::{Exit, FilePart, Links, On, Peers, ProcessPart, Stop, StopSignal, System};
pub use fit::fit;
pub use installed::{Installed, InstalledProgram, NotInstalled, version_of};
pub use template::{Template, Values};

/// Its name in the folder of a run.
pub const SYSTEM_FILE: &str = "system.toml";

/// The systems that come with the harness: their names and files.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("etcd", include_str!("../../systems/etcd.toml")),
    (
        "nats-jetstream",
        include_str!("../../systems/nats-jetstream.toml"),
    ),
    ("noraftd", include_str!("../../systems/noraftd.toml")),
    (
        "redis-sentinel",
        include_str!("../../systems/redis-sentinel.toml"),
    ),
    ("toy", include_str!("../../systems/toy.toml")),
];

impl System {
    /// Reads the system that `name` names: one that comes with the harness, or else a file.
    ///
    /// # Errors
    ///
    /// When there is neither, or the file is not one of a system.
    pub fn find(name: &str) -> Result<Self, SystemError> {
        let path = std::path::Path::new(name);
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
        match built_in {
            Some((_, text)) => Self::parse(text, path),
            None if path.is_file() => Self::load(path),
            None => Err(SystemError::Unknown {
                name: name.to_owned(),
                known: BUILT_IN.map(|(name, _)| name).join(", "),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_that_comes_with_the_harness_is_found_by_its_name() {
        for (name, _) in BUILT_IN {
            let system = System::find(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(system.name, name);
        }
        let error = System::find("nowhere").unwrap_err().to_string();
        assert!(
            error.contains("no system `nowhere`") && error.contains("redis-sentinel"),
            "{error}"
        );
    }
}
