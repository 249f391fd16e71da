//! One client with two secrets, while its operator replaces one by the other.
//!
//! Providers differ in whether the old secret ends at once, later, or by hand. With both configured
//! it does not matter when: the one that is refused is followed by the other.

use attache_core::{Secret, audit::Reason};

use crate::client_auth::Client;

/// The same client id twice.
#[derive(Clone, Debug)]
pub struct SecretRotation {
    first: Client,
    second: Client,
}

/// Which of the two the server took last. Whoever asks remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Taken {
    #[default]
    First,
    Second,
}

impl SecretRotation {
    /// `None` for a client that proves itself without a secret.
    pub fn new(first: &Client, second: &Secret) -> Option<Self> {
        let second = first.with_secret(second.clone())?;
        Some(Self { first: first.clone(), second })
    }

    /// Asks with the secret that was `taken` last and, when the server answers `invalid_client`, once
    /// more with the other. A server looks at who asks before it looks at what for: the code or
    /// refresh token is unspent then.
    ///
    /// Gives back what to remember: it changes only when the other was not refused.
    pub async fn ask<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        taken: Taken,
        reason: fn(&E) -> Reason,
        ask: impl Fn(Client) -> F,
    ) -> (Taken, Result<T, E>) {
        let refused = |answer: &Result<T, E>| {
            answer.as_ref().is_err_and(|e| reason(e) == Reason::InvalidClient)
        };
        let answer = ask(self.client(taken).clone()).await;
        if !refused(&answer) {
            return (taken, answer);
        }
        let other = taken.other();
        let second_answer = ask(self.client(other).clone()).await;
        if refused(&second_answer) { (taken, answer) } else { (other, second_answer) }
    }

    fn client(&self, taken: Taken) -> &Client {
        match taken {
            Taken::First => &self.first,
            Taken::Second => &self.second,
        }
    }
}

impl Taken {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

#[cfg(test)]
mod tests {
    use attache_core::{Dialect, outbound::Outbound};
    use bytes::Bytes;
    use http::Response;
    use url::Url;

    use super::*;
    use crate::{
        client_auth::ClientAuthentication, endpoint, error::TokenError, scripted::Scripted,
    };

    fn rotation() -> SecretRotation {
        let authentication = ClientAuthentication::Post(Secret::new("one"));
        let first = Client { id: "c".to_owned(), authentication };
        SecretRotation::new(&first, &Secret::new("two")).unwrap()
    }

    async fn ask(network: &dyn Outbound, taken: Taken) -> (Taken, Result<Bytes, TokenError>) {
        let endpoint = Url::parse("https://as.example.com/token").unwrap();
        let (endpoint, dialect) = (&endpoint, &Dialect::default());
        let ask =
            |client| async move { endpoint::post(network, endpoint, &client, dialect, &[]).await };
        sendable(rotation().ask(taken, TokenError::reason, ask)).await
    }

    /// Whoever asks may be a task.
    fn sendable<F: Future + Send>(future: F) -> F {
        future
    }

    /// OC-10: whichever secret the server has, before, during and after a rotation.
    #[tokio::test]
    async fn the_secret_that_the_server_knows_is_found() {
        use Taken::{First, Second};
        for (known, taken, expected, requests) in [
            (&["one"][..], First, Ok(First), 1),
            (&["one", "two"], First, Ok(First), 1),
            (&["one", "two"], Second, Ok(Second), 1),
            (&["two"], First, Ok(Second), 2),
            (&["two"], Second, Ok(Second), 1),
            (&["one"], Second, Ok(First), 2),
            (&[], First, Err(First), 2),
            (&[], Second, Err(Second), 2),
        ] {
            let network = Scripted::new(move |request| {
                let form = String::from_utf8_lossy(request.body());
                let good =
                    known.iter().any(|known| form.ends_with(&format!("client_secret={known}")));
                Ok(if good {
                    Response::new(Bytes::from_static(b"{}"))
                } else {
                    let refusal = Bytes::from_static(br#"{"error":"invalid_client"}"#);
                    Response::builder().status(401).body(refusal).unwrap()
                })
            });
            let (now_taken, answer) = ask(&network, taken).await;
            assert_eq!(answer.map(|_| now_taken).map_err(|_| now_taken), expected, "{known:?}");
            assert_eq!(network.uris().len(), requests, "{known:?} {taken:?}");
        }
    }

    #[tokio::test]
    async fn another_refusal_is_not_the_secrets() {
        for (status, body) in [(400, r#"{"error":"invalid_grant"}"#), (503, ""), (302, "")] {
            let network = Scripted::always(status, &[], body);
            let (taken, answer) = ask(&network, Taken::First).await;
            assert!(answer.is_err());
            assert_eq!((taken, network.uris().len()), (Taken::First, 1), "{status}");
        }
    }
}
