//! The ways to say who we are at a token endpoint (RFC 7591 section 2), and which to take (OC-10).

use serde::{Deserialize, Serialize};

/// Those that we can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    None,
}

impl AuthMethod {
    pub const ALL: [Self; 4] =
        [Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::None];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// For a client whose method nobody configured: what it can do and the server `supports`.
    ///
    /// A client with nothing to prove itself by is public, also where the server forgot to list
    /// `none`. `None` when the server wants something that this client does not have.
    pub fn choose(supports: &[Self], proof: Proof) -> Option<Self> {
        let among =
            |methods: &[Self]| methods.iter().copied().find(|method| supports.contains(method));
        match proof {
            Proof::Key => among(&[Self::PrivateKeyJwt]),
            Proof::Secret => among(&[Self::ClientSecretBasic, Self::ClientSecretPost, Self::None]),
            Proof::Nothing => Some(Self::None),
        }
    }
}

/// What a client can prove itself by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A key whose public half the server can find.
    Key,
    /// A secret that the server gave.
    Secret,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OC-10.
    #[test]
    fn a_client_does_what_it_can_and_the_server_takes() {
        use AuthMethod::PrivateKeyJwt as Key;
        use AuthMethod::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
        for (supports, proof, expected) in [
            (&[Basic, Post, Key, Public][..], Proof::Secret, Some(Basic)),
            (&[Post, Key], Proof::Secret, Some(Post)),
            (&[Public], Proof::Secret, Some(Public)),
            (&[Key], Proof::Secret, None),
            (&[], Proof::Secret, None),
            (&[Basic, Key], Proof::Key, Some(Key)),
            (&[Basic, Public], Proof::Key, None),
            (&[Public, Basic], Proof::Nothing, Some(Public)),
            (&[Basic], Proof::Nothing, Some(Public)),
        ] {
            assert_eq!(AuthMethod::choose(supports, proof), expected, "{supports:?} {proof:?}");
        }
        assert_eq!(AuthMethod::parse("tls_client_auth"), None);
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::parse(method.as_str()), Some(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
        }
    }
}
