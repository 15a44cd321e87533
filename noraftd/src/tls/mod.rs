//! TLS: certificates and keys from PEM files, and what each side of a connection has to show (RFC 8446, RFC 5246).
//!
//! A node has one certificate and one key, for clients and for the other nodes. Between nodes both sides show a certificate
//! of the nodes' CA with a name that is allowed. Clients check the node's certificate by its host name, and show one
//! themselves where the node has a CA for them.
//!
//! Invariant: what exists here was read whole and fits together; versions before TLS 1.2 are refused.

mod names;
mod verify;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore, ServerConfig};

pub use names::Allowed;
use verify::{ClientVerifier, NodeVerifier};

/// Whether connections are encrypted. A cluster moves from `Off` through `Accept` to `Require`, node by node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    #[default]
    Off,
    /// A connection that arrives is taken either way. One to another node begins with TLS, and without where that node
    /// does not speak it.
    Accept,
    /// Always.
    Require,
}

impl TlsMode {
    /// As the setting has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Accept => "accept",
            Self::Require => "require",
        }
    }
}

/// What a node does about TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Towards clients. Anything but [`TlsMode::Off`] comes with an identity.
    pub clients: TlsMode,
    /// Between nodes. Anything but [`TlsMode::Off`] comes with an identity, a CA and names.
    pub peers: TlsMode,
    /// What this node shows.
    pub identity: Option<IdentityFiles>,
    /// The CA whose certificates clients have to show.
    pub client_ca: Option<PathBuf>,
    /// The CA whose certificates nodes have to show.
    pub peer_ca: Option<PathBuf>,
    /// The names of nodes.
    pub peer_allowed: Vec<String>,
}

impl TlsConfig {
    /// True when some connection may be encrypted.
    pub fn is_used(&self) -> bool {
        self.clients != TlsMode::Off || self.peers != TlsMode::Off
    }

    /// Every file that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|own| [&own.cert, &own.key]);
        let authorities = self.client_ca.iter().chain(&self.peer_ca);
        identity.chain(authorities).map(PathBuf::as_path)
    }
}

/// A certificate with those that lead to its CA, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate first.
    pub cert: PathBuf,
    /// Of the first certificate.
    pub key: PathBuf,
}

/// Why TLS cannot be used as it was set.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or is not what it should be.
    #[error("{what} in {}: {reason}", path.display())]
    File {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not fit.
    #[error("the certificate in {} and the key in {} do not fit together: {reason}", files.cert.display(), files.key.display())]
    Identity {
        /// Both.
        files: IdentityFiles,
        /// What is wrong.
        reason: String,
    },
    /// The versions of TLS that are wanted are not there.
    #[error("TLS cannot be used: {0}")]
    Library(#[from] rustls::Error),
}

/// What is in the files, ready for connections.
#[derive(Debug, Clone)]
pub struct Material {
    /// Towards clients.
    pub for_clients: Option<Arc<ServerConfig>>,
    /// From other nodes, and to them.
    pub peers: Option<PeerMaterial>,
}

/// What connections between nodes need.
#[derive(Debug, Clone)]
pub struct PeerMaterial {
    /// When this node is connected to.
    pub from: Arc<ServerConfig>,
    /// When this node connects.
    pub to: Arc<ClientConfig>,
    /// Which certificates are those of nodes.
    pub nodes: Arc<NodeVerifier>,
}

impl Material {
    /// Reads every file that `config` names.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used; it is named.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let Some(files) = &config.identity else {
            let (for_clients, peers) = (None, None);
            return Ok(Self { for_clients, peers });
        };
        let own = Identity::load(files)?;
        let allowed = Allowed::new(&config.peer_allowed);
        let nodes = match &config.peer_ca {
            Some(path) => Some(Arc::new(NodeVerifier::new(
                authorities(path)?,
                allowed,
                provider(),
            )?)),
            None => None,
        };
        let peers = match (&nodes, config.peers) {
            (None, _) | (_, TlsMode::Off) => None,
            (Some(nodes), TlsMode::Accept | TlsMode::Require) => Some(PeerMaterial {
                from: own.server(Some(Arc::clone(nodes) as Arc<_>))?,
                to: own.towards_nodes(Arc::clone(nodes))?,
                nodes: Arc::clone(nodes),
            }),
        };
        let clients = match &config.client_ca {
            Some(path) => Some(client_verifier(path)?),
            None => None,
        };
        let for_clients = match config.clients {
            TlsMode::Off => None,
            TlsMode::Accept | TlsMode::Require => {
                let verifier = ClientVerifier::new(clients, nodes, provider());
                Some(own.server(verifier.map(|verifier| Arc::new(verifier) as Arc<_>))?)
            }
        };
        Ok(Self { for_clients, peers })
    }
}

/// What a tool needs that talks to a node as a client: it trusts the CA in `cacert`, and shows `identity` where it has one.
///
/// # Errors
///
/// When a file cannot be used.
pub fn for_tool(cacert: &Path, identity: Option<&IdentityFiles>) -> Result<ClientConfig, TlsError> {
    let roots = authorities(cacert)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let Identity { chain, key, files } = Identity::load(files)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unfit(files, &error))?
        }
    })
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: IdentityFiles,
}

impl Identity {
    fn load(files: &IdentityFiles) -> Result<Self, TlsError> {
        let bad_key = |reason: String| TlsError::File {
            what: "the key",
            path: files.key.clone(),
            reason,
        };
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad_key(in_words(&error)))?;
        Ok(Self {
            chain: certificates("the certificate", &files.cert)?,
            key,
            files: files.clone(),
        })
    }

    /// For connections that arrive, from those that `verifier` takes.
    fn server(
        &self,
        verifier: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let asks = verifier.is_some();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let built = builder.with_single_cert(self.chain.clone(), self.key.clone_key());
        let mut config = built.map_err(|error| unfit(self.files.clone(), &error))?;
        if asks {
            // A certificate is verified on each connection: what was resumed would outlive it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    /// For connections to other nodes.
    fn towards_nodes(&self, nodes: Arc<NodeVerifier>) -> Result<Arc<ClientConfig>, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(nodes);
        let built = builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key());
        let mut config = built.map_err(|error| unfit(self.files.clone(), &error))?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn unfit(files: IdentityFiles, error: &rustls::Error) -> TlsError {
    TlsError::Identity {
        files,
        reason: error.to_string(),
    }
}

/// The certificates in a file, of which there is one at least.
fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::File {
        what,
        path: path.to_owned(),
        reason,
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(in_words(&error)))?;
    let all = read.collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| bad(in_words(&error)))?;
    for certificate in &all {
        names::check(certificate).map_err(bad)?;
    }
    match all.is_empty() {
        true => Err(bad("it holds no certificate in PEM".to_owned())),
        false => Ok(all),
    }
}

fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let what = "the CA's certificate";
    let mut store = RootCertStore::empty();
    for certificate in certificates(what, path)? {
        store.add(certificate).map_err(|error| TlsError::File {
            what,
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(Arc::new(store))
}

fn client_verifier(path: &Path) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(authorities(path)?, provider());
    builder.build().map_err(|error| TlsError::File {
        what: "the CA's certificate",
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// What went wrong in a handshake, without the types that our own refusals come in.
pub fn describe(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(ours)))) => {
            ours.to_string()
        }
        Some(_) | None => error.to_string(),
    }
}

fn in_words(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "it holds none in PEM".to_owned(),
        other => format!("it is no PEM: {other}"),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
