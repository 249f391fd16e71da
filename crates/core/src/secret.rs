//! A secret that cannot be printed, compared in variable time or left in freed memory.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A token, password or key as text. `Debug` redacts, there is no `Display` and no `Serialize`;
/// memory is wiped on drop. Where the bytes must leave, [`Secret::expose`] says so.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The bytes themselves. Every call is a place a reviewer looks at.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
