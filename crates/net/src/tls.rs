//! Whose certificates are believed.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

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

/// Every certificate of the file counts, or the file does not.
fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let pem = std::fs::read(path)
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let unusable = || TrustError::NoCertificate { path: path.to_owned() };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| unusable())?;
    if certificates.is_empty() {
        return Err(unusable());
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|_| unusable())?;
    }
    Ok(())
}
