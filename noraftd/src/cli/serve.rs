//! `noraftd serve`: one node.

use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use super::given::Given;
use super::{complain, log_to_stderr};
use crate::exit::{EXIT_CODES, Exit};
use crate::shell;

/// Runs one node of a cluster until SIGTERM or SIGINT.
///
/// Every node is started with the same list of members. The data directory is created at the first start;
/// from then on it belongs to this node of this cluster. Settings come from flags, from a TOML file, or
/// from both; a flag wins. SIGHUP reads the secrets again, SIGUSR1 writes the status to the log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct Serve {
    #[command(flatten)]
    given: Given,
    /// End when this process, which started the node, ends.
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<i32>,
}

impl Serve {
    /// Runs the node.
    pub(super) fn run(self) -> Exit {
        let parent = self.parent;
        let config = match self.given.check() {
            Ok(config) => config,
            Err(error) => {
                complain(error);
                return Exit::Config;
            }
        };
        log_to_stderr(config.log);
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

  The same from a file, node1.toml:
    id = 1
    data_dir = \"/var/lib/noraft\"
    listen = [\"10.0.0.1:7601\", \"/run/noraft.sock\"]
    peers = [\"1=10.0.0.1:7701\", \"2=10.0.0.2:7701\", \"3=10.0.0.3:7701\"]
    peer_secret_file = \"/etc/noraft.secret\"
    election_timeout = \"500ms\"";

static LONG_EXAMPLES: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| format!("{EXAMPLES}\n\n{EXIT_CODES}"));
