//! How a tool speaks TLS with nodes: the flags of redis-cli.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use clap::Args;
use tokio_rustls::rustls::ClientConfig;

use crate::config::ServeConfig;
use crate::tls::{IdentityFiles, TlsError, for_tool};

/// What was given on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TlsFlags {
    /// Speak TLS with nodes at HOST:PORT; their certificates have to be those of the hosts
    #[arg(long, help_heading = "TLS", requires = "cacert")]
    tls: bool,
    /// The certificate of the CA that has signed the nodes' certificates, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "tls")]
    cacert: Option<PathBuf>,
    /// The certificate to show, in PEM, where nodes want to see one
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// The key of --cert, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires_all = ["tls", "cert"])]
    key: Option<PathBuf>,
}

impl TlsFlags {
    /// From now on this process speaks TLS with nodes, when that was asked for. A process carries out one verb, so what the
    /// verb speaks, the process speaks.
    ///
    /// # Errors
    ///
    /// When a file cannot be used.
    pub(super) fn use_them(&self) -> Result<(), TlsError> {
        let files = self.cert.clone().zip(self.key.clone());
        self.use_with(files.map(|(cert, key)| IdentityFiles { cert, key }).as_ref())
    }

    /// The same for a node, which shows its own certificate unless it was given another one.
    ///
    /// # Errors
    ///
    /// When a file cannot be used.
    pub(super) fn use_as(&self, node: &ServeConfig) -> Result<(), TlsError> {
        match self.cert {
            Some(_) => self.use_them(),
            None => self.use_with(node.tls.identity.as_ref()),
        }
    }

    fn use_with(&self, identity: Option<&IdentityFiles>) -> Result<(), TlsError> {
        if let (true, Some(cacert)) = (self.tls, &self.cacert) {
            let config = Arc::new(for_tool(cacert, identity)?);
            CONFIG.get_or_init(|| config);
        }
        Ok(())
    }
}

/// What this process speaks TLS with; `None` when it does not.
pub(super) fn in_use() -> Option<Arc<ClientConfig>> {
    CONFIG.get().cloned()
}

/// See [`TlsFlags::use_them`].
static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
