//! Sealing, key-encryption keys, JOSE and randomness: the one crate that touches cryptography
