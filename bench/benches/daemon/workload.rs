//! What the load consists of.

use std::fmt;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// A durable write of one value: SET, or etcd's Put.
    Write,
    /// A linearizable read of one value: GET, or etcd's Range.
    Read,
}

/// Where clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the leader.
    Leader,
    /// To all nodes, in turn.
    AllNodes,
}

/// A load: so many clients, each with a connection of its own, each asking again when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload {
    /// What is asked for.
    pub(crate) request: Request,
    /// Connections.
    pub(crate) clients: u32,
    /// Requests of one client that are sent together.
    pub(crate) depth: u32,
    /// Where they go.
    pub(crate) target: Target,
}

impl Workload {
    /// Un-pipelined writes to the leader.
    pub(crate) const fn writes(clients: u32) -> Self {
        Self {
            request: Request::Write,
            clients,
            depth: 1,
            target: Target::Leader,
        }
    }

    /// Every workload of a run whose un-pipelined writes come from these numbers of clients.
    pub(crate) fn all(clients: &[u32]) -> Vec<Self> {
        let usual = Self::writes(CLIENTS_USUAL);
        let spread = Self {
            target: Target::AllNodes,
            ..usual
        };
        let pipelined = Self {
            depth: PIPELINE,
            ..usual
        };
        let reads = Self {
            request: Request::Read,
            ..usual
        };
        let writes = clients.iter().copied().map(Self::writes);
        writes.chain([spread, pipelined, reads]).collect()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.request {
            Request::Write => "writes",
            Request::Read => "linearizable reads",
        };
        let plural = if self.clients == 1 { "" } else { "s" };
        write!(f, "{what}, {} client{plural}", self.clients)?;
        if self.depth > 1 {
            write!(f, " x {} in a pipeline", self.depth)?;
        }
        match self.target {
            Target::Leader => Ok(()),
            Target::AllNodes => f.write_str(" over all nodes"),
        }
    }
}

/// The number of clients of the rows that do not vary it.
pub(crate) const CLIENTS_USUAL: u32 = 64;

/// Requests in a pipeline.
const PIPELINE: u32 = 16;
