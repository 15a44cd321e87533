//! Who may be at the other end.
//!
//! Invariant: a certificate counts as a node's only with a valid chain to the nodes' CA and an allowed name, in either
//! direction. Clients show a certificate of their own CA where there is one; a node's is good there as well.

use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore};
use rustls::{Error, SignatureScheme};

use super::TlsError;
use super::names::Allowed;

/// Takes the certificates of nodes, from those that connect and from those that are connected to.
#[derive(Debug)]
pub struct NodeVerifier {
    roots: Arc<RootCertStore>,
    allowed: Allowed,
    provider: Arc<CryptoProvider>,
    callers: Arc<dyn ClientCertVerifier>,
}

impl NodeVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        allowed: Allowed,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let callers = builder
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self {
            roots,
            allowed,
            provider,
            callers,
        })
    }

    /// True when a client has shown the certificate of a node.
    pub fn is_node(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((end_entity, intermediates)) = chain.split_first() else {
            return false;
        };
        self.verify_client_cert(end_entity, intermediates, UnixTime::now())
            .is_ok()
    }

    fn check_name(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        let checked = self.allowed.check(end_entity);
        checked.map_err(|error| CertificateError::Other(OtherError(Arc::new(error))).into())
    }
}

impl ClientCertVerifier for NodeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.callers.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.callers.verify_client_cert(end_entity, intermediates, now)?;
        self.check_name(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.callers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.callers.supported_verify_schemes()
    }
}

impl ServerCertVerifier for NodeVerifier {
    /// The list of names takes the place of the host's name: nodes are reached by addresses that change.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        self.check_name(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.callers.supported_verify_schemes()
    }
}

/// Takes clients: those of their CA, or any where there is none; and nodes.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    clients: Option<Arc<dyn ClientCertVerifier>>,
    nodes: Option<Arc<NodeVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ClientVerifier {
    /// `None` when there is nothing to verify.
    pub(super) fn new(
        clients: Option<Arc<dyn ClientCertVerifier>>,
        nodes: Option<Arc<NodeVerifier>>,
        provider: Arc<CryptoProvider>,
    ) -> Option<Self> {
        (clients.is_some() || nodes.is_some()).then_some(Self {
            clients,
            nodes,
            provider,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    /// No hint: a client that has a certificate shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.clients.is_some()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(nodes) = &self.nodes
            && let Ok(verified) = nodes.verify_client_cert(end_entity, intermediates, now)
        {
            return Ok(verified);
        }
        match &self.clients {
            Some(clients) => clients.verify_client_cert(end_entity, intermediates, now),
            // No certificate is needed, so one that says nothing here is as good as none.
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
