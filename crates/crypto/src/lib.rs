//! Sealing, key-encryption keys, JOSE and randomness: the one crate that touches cryptography.
//!
//! A person's credentials are sealed ([`seal`]) under that person's data key; data keys are wrapped
//! by the key ring ([`keyring`]), whose members are in [`wrap`]. Everything runs on `aws-lc-rs`.

mod aead;
pub mod digest;
pub mod jose;
pub mod keyring;
pub mod random;
pub mod seal;
pub mod webhook;
pub mod wrap;

/// Makes `aws-lc-rs` what verifies signatures in this process. Called first in `main` and in tests;
/// calling it again changes nothing.
pub fn install_provider() {
    // An error says that somebody called before us, and there is only one provider to install.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
}
