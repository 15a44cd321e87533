//! `noraftd serve`: one node.

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use super::complain;
use super::given::Given;
use super::join::{set_up, with_known_id};
use super::snapshot::Failure;
use super::tls_flags::TlsFlags;
use crate::config::ServeConfig;
use crate::endpoint::Endpoint;
use crate::exit::{EXIT_CODES, Exit};
use crate::log;
use crate::shell;

/// Runs one node of a cluster until SIGTERM or SIGINT.
///
/// The nodes that begin a cluster are started with the same list of members; others join it (--join). The data directory is
/// created at the first start; from then on it belongs to this node of this cluster. Settings come from flags, from a TOML file, or
/// from both; a flag wins. SIGHUP reads the secrets again, SIGUSR1 writes the status to the log, SIGUSR2 clears
/// alarms that are over.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct Serve {
    #[command(flatten)]
    given: Given,
    /// Join the cluster of these nodes, given by their addresses for clients, as a new member: the data directory is made,
    /// the id is given by the cluster, the others need --peer-listen. Ignored once the directory is that of a member
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    join: Vec<Endpoint>,
    /// Stay a learner, which receives the log and does not vote, instead of becoming a voter once it has caught up
    #[arg(long, requires = "join")]
    learner: bool,
    #[command(flatten)]
    tls: TlsFlags,
    /// End when this process, which started the node, ends.
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<i32>,
}

impl Serve {
    /// Runs the node.
    pub(super) fn run(self) -> Exit {
        let parent = self.parent;
        let config = match self.config() {
            Ok(config) => config,
            Err(failure) => {
                complain(&failure);
                return failure.exit();
            }
        };
        log::start(config.log);
        log::identify(config.id.get(), &config.cluster);
        end_on_panic();
        if let Err(exit) = prepare_process(parent) {
            return exit;
        }
        match shell::run(config) {
            Ok(exit) => exit,
            Err(error) => {
                complain(&error);
                error.exit()
            }
        }
    }
}

impl Serve {
    /// How the node runs, once it is a member.
    fn config(self) -> Result<ServeConfig, Failure> {
        let settings = self.given.settings()?;
        let settings = match self.join.is_empty() {
            true => with_known_id(settings)?,
            false => {
                log::start(settings.log_config());
                set_up(settings, &self.join, self.learner, &self.tls)?
            }
        };
        Ok(settings.check()?)
    }
}

/// A broken invariant ends the node, in whatever task or thread it shows: half a node is worse than none.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        Exit::Software.now();
    }));
}

/// Signals reach this process whatever its parent had blocked, and it does not outlive a parent that asked
/// for that.
fn prepare_process(parent: Option<i32>) -> Result<(), Exit> {
    let unblocked = SigSet::empty().thread_set_mask();
    let tied = if parent.is_some() {
        set_pdeathsig(Signal::SIGTERM)
    } else {
        Ok(())
    };
    if let Err(errno) = unblocked.and(tied) {
        complain(format_args!("cannot prepare the process: {errno}"));
        return Err(Exit::Software);
    }
    // The parent may have ended before the tie was made.
    match parent {
        Some(parent) if getppid() != Pid::from_raw(parent) => Err(Exit::Done),
        Some(_) | None => Ok(()),
    }
}

const EXAMPLES: &str = "\
Examples:
  A node alone:
    noraftd serve --id 1 --data-dir /var/lib/noraft --listen 127.0.0.1:7601

  The first of three (each runs the same with its own --id, --listen and --data-dir):
    noraftd serve --id 1 --data-dir /var/lib/noraft --listen 10.0.0.1:7601 \\
        --peer-secret-file /etc/noraft.secret \\
        --peer 1=10.0.0.1:7701 --peer 2=10.0.0.2:7701 --peer 3=10.0.0.3:7701

  A new machine of that cluster, which becomes its fourth member:
    noraftd serve --join 10.0.0.1:7601,10.0.0.2:7601 --data-dir /var/lib/noraft \\
        --listen 10.0.0.4:7601 --peer-listen 10.0.0.4:7701 --peer-secret-file /etc/noraft.secret

  The first of three from a file, node1.toml:
    id = 1
    data_dir = \"/var/lib/noraft\"
    listen = [\"10.0.0.1:7601\", \"/run/noraft.sock\"]
    peers = [\"1=10.0.0.1:7701\", \"2=10.0.0.2:7701\", \"3=10.0.0.3:7701\"]
    peer_secret_file = \"/etc/noraft.secret\"
    election_timeout = \"500ms\"";

static LONG_EXAMPLES: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| format!("{EXAMPLES}\n\n{EXIT_CODES}"));
