//! Whose certificates are believed, and which is shown.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;

/// The roots that servers are checked against. Parsed once, cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} holds no usable PEM certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("the cryptography library supports no version of TLS")]
    Provider(#[from] rustls::Error),
}

impl Trust {
    /// The system's roots and, when given, those of a PEM file beside them.
    ///
    /// A system without roots (a bare container) is worth a warning and no more: the file may be
    /// all there is to trust, or nothing may speak TLS.
    ///
    /// # Errors
    /// [`TrustError`] when the file was asked for and is of no use.
    pub fn load(extra: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(system.certs);
        tracing::debug!(added, ignored, "read the system's certificate roots");
        if let Some(path) = extra {
            add_file(&mut roots, path)?;
        } else if roots.is_empty() {
            tracing::warn!(
                "this system has no certificate roots: every https connection will fail"
            );
        }

        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

/// TLS in which both sides show a certificate (RFC 8446 section 4.4).
#[derive(Clone)]
pub struct MutualTls(pub(crate) TlsAcceptor);

#[derive(Debug, thiserror::Error)]
pub enum MutualTlsError {
    #[error("proxy_listener.certificate holds no usable PEM certificate")]
    Certificate,
    #[error("proxy_listener.key holds no private key, as PEM without a password")]
    Key,
    #[error("proxy_listener.client_ca holds no usable PEM certificate")]
    ClientCa,
    #[error("proxy_listener.certificate and proxy_listener.key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl MutualTls {
    /// All PEM: what is shown, with the certificates between it and its issuer; its key; and who issues
    /// what callers have to show.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: &[u8]) -> Result<Self, MutualTlsError> {
        let shown = certificates(certificate).ok_or(MutualTlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| MutualTlsError::Key)?;
        let mut issuers = RootCertStore::empty();
        for issuer in certificates(client_ca).ok_or(MutualTlsError::ClientCa)? {
            issuers.add(issuer).map_err(|_| MutualTlsError::ClientCa)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(issuers), Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier.build().map_err(|_| MutualTlsError::ClientCa)?)
            .with_single_cert(shown, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Nobody goes on where a certificate that has expired since left off.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl fmt::Debug for MutualTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutualTls").finish_non_exhaustive()
    }
}

/// What the other end of a connection proved itself with, in the extensions of its requests.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub(crate) Arc<CertificateDer<'static>>);

impl PeerCertificate {
    /// Whether it is for this DNS name, and for no other in its place: a wildcard is nobody's name.
    pub fn is_for(&self, name: &str) -> bool {
        /// A label that no certificate has.
        const NOBODY: &str = "nobody-has-this-name";
        let Ok(certificate) = ParsedCertificate::try_from(&*self.0) else { return false };
        let names = |name: &str| {
            ServerName::try_from(name)
                .is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
        };
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        names(name) && !names(&format!("{NOBODY}.{parent}"))
    }
}

/// Every certificate counts, or none does.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let pem = std::fs::read(path)
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let unusable = || TrustError::NoCertificate { path: path.to_owned() };
    for certificate in certificates(&pem).ok_or_else(unusable)? {
        roots.add(certificate).map_err(|_| unusable())?;
    }
    Ok(())
}
