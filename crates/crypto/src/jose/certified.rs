//! An RSA key of ours with its certificate, for servers that know their clients by certificates.

use std::fmt;

use attache_core::Secret;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::digest::{base64url, sha256};

/// Signs with PS256.
pub struct CertifiedKey {
    pair: RsaKeyPair,
    /// SHA-256 of the certificate.
    thumbprint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertifiedKeyError {
    #[error("there is no RSA key in it, as PEM and without a password")]
    NoKey,
    #[error("there is no certificate of the key in it, as PEM")]
    NoCertificate,
}

impl CertifiedKey {
    /// Reads a private key (PKCS#8 or PKCS#1) and its certificate, in whatever order and among
    /// others (RFC 7468).
    ///
    /// # Errors
    /// [`CertifiedKeyError`] says what is not there.
    pub fn from_pem(pem: &Secret) -> Result<Self, CertifiedKeyError> {
        let pem = pem.expose();
        let pkcs8 = sections(pem, "PRIVATE KEY").find_map(|der| RsaKeyPair::from_pkcs8(&der).ok());
        let pkcs1 =
            || sections(pem, "RSA PRIVATE KEY").find_map(|der| RsaKeyPair::from_der(&der).ok());
        let pair = pkcs8.or_else(pkcs1).ok_or(CertifiedKeyError::NoKey)?;
        // A certificate has the public key in it as it is (RFC 5280 section 4.1.2.7).
        let public = pair.public_key().as_ref();
        let mut certificates = sections(pem, "CERTIFICATE");
        let own = certificates.find(|der| der.windows(public.len()).any(|part| part == public));
        let thumbprint = base64url(&sha256(&own.ok_or(CertifiedKeyError::NoCertificate)?));
        Ok(Self { pair, thumbprint })
    }

    /// A JWT whose header names the certificate (`x5t#S256`, RFC 7515 section 4.1.8).
    pub fn sign(&self, claims: &Map<String, Value>) -> String {
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = Value::from(claims.clone()).to_string();
        let header = base64url(header.to_string().as_bytes());
        let message = format!("{header}.{}", base64url(claims.as_bytes()));
        format!("{message}.{}", base64url(&signature(&self.pair, &message)))
    }
}

fn signature(pair: &RsaKeyPair, message: &str) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    let signed =
        pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
    signed.expect("an RSA key signs any message");
    signature
}

/// What stands in PEM under this label.
fn sections<'a>(pem: &'a str, label: &str) -> impl Iterator<Item = Zeroizing<Vec<u8>>> + 'a {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut rest = pem;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&begin)?;
        let (body, after) = after.split_once(&end)?;
        rest = after;
        let body: Zeroizing<String> =
            Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        Some(Zeroizing::new(STANDARD.decode(body.as_bytes()).unwrap_or_default()))
    })
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedKey({})", self.thumbprint)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{encoding::AsDer as _, rsa};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn a_key_is_taken_with_its_own_certificate_only() {
        let made = || {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
            let private = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
            // As much of a certificate as is looked at.
            let public = [b"before", pair.public_key().as_ref(), b"after"].concat();
            (private, pem("CERTIFICATE", &public), public)
        };
        let ((key, certificate, der), (_, other, _)) = (made(), made());
        let read = |texts: &[&String]| {
            let whole: String = texts.iter().map(|text| text.as_str()).collect();
            CertifiedKey::from_pem(&Secret::new(whole)).map(|key| key.thumbprint)
        };
        let thumbprint = base64url(&sha256(&der));
        assert_eq!(read(&[&key, &certificate]), Ok(thumbprint.clone()));
        assert_eq!(read(&[&other, &certificate, &key]), Ok(thumbprint));
        assert_eq!(read(&[&key, &other]), Err(CertifiedKeyError::NoCertificate));
        assert_eq!(read(&[&key]), Err(CertifiedKeyError::NoCertificate));
        assert_eq!(read(&[&certificate]), Err(CertifiedKeyError::NoKey));
        let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(read(&[&locked, &certificate]), Err(CertifiedKeyError::NoKey));
    }
}
