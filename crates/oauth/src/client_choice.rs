//! As whom to ask an authorization server, in MCP's order: registered by hand, by a document that we
//! publish, registered by ourselves.

use attache_core::{IssuerId, Timestamp, audit::Reason};
use url::Url;

use crate::{auth_method::AuthMethod, discover::AuthorizationServer, register::Registration};

/// What we have to be known by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    pub by_hand: Option<ByHand<'a>>,
    /// Our registration at any issuer.
    pub registration: Option<&'a Registration>,
    /// Whether servers can read a document of ours: `public_url` is https and can be reached.
    pub publishes_document: bool,
    /// Whether servers can read our keys.
    pub publishes_keys: bool,
}

/// A client id that the operator wrote down.
#[derive(Clone, Copy, Debug)]
pub struct ByHand<'a> {
    /// Whom it is for: as configured, or the first it was used with.
    pub issuer: Option<&'a IssuerId>,
}

/// What to do next.
#[derive(Clone, Copy, Debug)]
pub enum ClientChoice<'a> {
    /// Be whom the operator registered.
    ByHand,
    /// Be the URL of our document, which declares this method.
    Document(AuthMethod),
    /// Be whom the server registered before.
    Registered(&'a Registration),
    /// Register, with this method.
    Register { endpoint: &'a Url, method: AuthMethod },
}

/// A registration of another issuer, or whose secret has ended, is none (OC-6, OC-7). One that stands
/// is kept although the server learned to read documents: refresh tokens are bound to their client.
///
/// # Errors
/// [`NoClient`], the operator's move.
pub fn choose<'a>(
    server: &'a AuthorizationServer,
    known: Known<'a>,
    now: Timestamp,
) -> Result<ClientChoice<'a>, NoClient> {
    if let Some(by_hand) = known.by_hand {
        return match by_hand.issuer {
            Some(issuer) if *issuer != server.issuer => Err(NoClient::IssuerChanged),
            _ => Ok(ClientChoice::ByHand),
        };
    }
    let stands = |registration: &&Registration| {
        registration.issuer == server.issuer && !registration.is_over(now)
    };
    if let Some(registration) = known.registration.filter(stands) {
        return Ok(ClientChoice::Registered(registration));
    }
    let takes = |method: &AuthMethod| server.token_endpoint_auth_methods_supported.contains(method);
    let with_key = Some(AuthMethod::PrivateKeyJwt).filter(takes).filter(|_| known.publishes_keys);
    if server.client_id_metadata_document_supported && known.publishes_document {
        return Ok(ClientChoice::Document(with_key.unwrap_or(AuthMethod::None)));
    }
    let endpoint = server.registration_endpoint.as_ref().ok_or(NoClient::NoWay)?;
    let shared = [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost, AuthMethod::None];
    let method = with_key.or_else(|| shared.into_iter().find(takes)).ok_or(NoClient::NoWay)?;
    Ok(ClientChoice::Register { endpoint, method })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    /// What the operator wrote down is another server's, and is not shown to this one (OC-6).
    #[error("the client that is set up is for another issuer")]
    IssuerChanged,
    #[error("the authorization server takes neither documents nor registrations of ours")]
    NoWay,
}

impl NoClient {
    /// The word for logs, answers and the audit.
    pub fn reason(self) -> Reason {
        match self {
            Self::IssuerChanged => Reason::IssuerChanged,
            Self::NoWay => Reason::RegistrationRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn server(documents: bool, registers: bool, methods: &[&str]) -> AuthorizationServer {
        let endpoint = registers.then_some("https://as.example.com/register");
        let document = json!({
            "issuer": "https://as.example.com",
            "authorization_endpoint": "https://as.example.com/authorize",
            "token_endpoint": "https://as.example.com/token",
            "registration_endpoint": endpoint,
            "token_endpoint_auth_methods_supported": methods,
            "client_id_metadata_document_supported": documents,
        });
        serde_json::from_value(document).unwrap()
    }

    fn registration(issuer: &str, end: Option<i64>) -> Registration {
        Registration {
            issuer: IssuerId::new(issuer),
            client_id: "c".to_owned(),
            method: AuthMethod::None,
            client_secret: None,
            secret_expires_at: end.map(Timestamp::from_seconds),
        }
    }

    fn told(choice: Result<ClientChoice<'_>, NoClient>) -> String {
        match choice {
            Ok(ClientChoice::ByHand) => "by hand".to_owned(),
            Ok(ClientChoice::Document(method)) => format!("document {}", method.as_str()),
            Ok(ClientChoice::Registered(_)) => "registered".to_owned(),
            Ok(ClientChoice::Register { method, .. }) => format!("register {}", method.as_str()),
            Err(error) => error.reason().as_str().to_owned(),
        }
    }

    /// The order of the specification, and OC-6 and OC-7.
    #[test]
    fn takes_the_first_way_that_is_open() {
        let here = IssuerId::new("https://as.example.com");
        let there = IssuerId::new("https://as.example.com/");
        let stands = registration("https://as.example.com", None);
        let renewed = registration("https://as.example.com", Some(1001));
        let over = registration("https://as.example.com", Some(1000));
        let foreign = registration("https://other.example.com", None);

        let nobody = Known::default();
        let open = Known { publishes_document: true, publishes_keys: true, ..nobody };
        let by_hand = |issuer| Known { by_hand: Some(ByHand { issuer }), ..open };
        let known = |registration| Known { registration: Some(registration), ..open };

        let both = server(true, true, &["none", "client_secret_post"]);
        let keys = server(true, true, &["private_key_jwt", "client_secret_basic"]);
        let registers = server(false, true, &["none", "client_secret_post"]);
        let exotic = server(false, true, &["tls_client_auth"]);
        let closed = server(false, false, &["client_secret_basic"]);

        for (server, known, expected) in [
            (&both, by_hand(None), "by hand"),
            (&both, by_hand(Some(&here)), "by hand"),
            (&both, by_hand(Some(&there)), "issuer_changed"),
            (&both, open, "document none"),
            (&keys, open, "document private_key_jwt"),
            (&keys, Known { publishes_keys: false, ..open }, "document none"),
            (&both, nobody, "register client_secret_post"),
            (&keys, Known { publishes_document: false, ..open }, "register private_key_jwt"),
            (&keys, nobody, "register client_secret_basic"),
            (&registers, open, "register client_secret_post"),
            (&registers, known(&stands), "registered"),
            (&registers, known(&renewed), "registered"),
            (&registers, known(&over), "register client_secret_post"),
            (&registers, known(&foreign), "register client_secret_post"),
            (&both, known(&stands), "registered"),
            (&both, known(&foreign), "document none"),
            (&exotic, open, "registration_refused"),
            (&closed, open, "registration_refused"),
            (&closed, by_hand(None), "by hand"),
        ] {
            assert_eq!(told(choose(server, known, NOW)), expected, "{server:?} {known:?}");
        }
    }
}
