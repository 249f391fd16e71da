//! One call to Vault's HTTP API, tried again while Vault cannot answer.

use std::{fmt, sync::Arc, time::Duration};

use attache_core::{
    Secret,
    outbound::{FetchError, Limits, Outbound},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use crate::keyring::KeyError;

/// One try. A wrapped data key is less than 1 KiB of JSON.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(3), max_body: 64 * 1024 };

/// With the pauses between them, a call gives up after 13 s at most.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(150);

/// Room for a body with a key in it, so that no copy is left behind by growing.
const BODY: usize = 1024;

/// Where Vault is, without a path.
pub(super) struct Vault {
    origin: String,
    outbound: Arc<dyn Outbound>,
}

/// Why Vault cannot answer right now.
#[derive(Debug, thiserror::Error)]
pub(super) enum VaultFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("Vault is sealed or in standby")]
    Sealed,
    #[error("Vault asks for fewer requests")]
    TooMany,
    #[error("Vault failed with status {0}")]
    Failed(u16),
    #[error("what answers does not answer as Vault does")]
    Malformed,
}

/// What a call came to when it did not come to an answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The token is not valid any more, or its policy does not allow the call.
    Forbidden,
    Key(KeyError),
}

impl From<VaultFault> for CallError {
    fn from(fault: VaultFault) -> Self {
        Self::Key(KeyError::Unavailable(Box::new(fault)))
    }
}

impl Vault {
    pub(super) fn new(address: &Url, outbound: Arc<dyn Outbound>) -> Self {
        Self { origin: address.origin().ascii_serialization(), outbound }
    }

    pub(super) async fn get<A: DeserializeOwned>(
        &self,
        path: &str,
        token: &Secret,
    ) -> Result<A, CallError> {
        self.call(Method::GET, path, Some(token), Bytes::new()).await
    }

    pub(super) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&Secret>,
        body: &impl Serialize,
    ) -> Result<A, CallError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY));
        serde_json::to_writer(&mut *bytes, body).expect("texts are JSON");
        self.call(Method::POST, path, token, Bytes::from_owner(bytes)).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Bytes,
    ) -> Result<A, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.origin))
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-vault-request", "true");
        let request = match token {
            None => request,
            Some(token) => request.header("x-vault-token", sensitive(token)?),
        };
        let request = request.body(body).map_err(|_| {
            CallError::Key(KeyError::Refused("the key's name or its engine's path is no URL path"))
        })?;

        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.once(request.clone()).await {
                Err(CallError::Key(KeyError::Unavailable(_))) => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
            pause *= 2;
        }
        self.once(request).await
    }

    async fn once<A: DeserializeOwned>(&self, request: Request<Bytes>) -> Result<A, CallError> {
        let answer = self.outbound.fetch(request, LIMITS).await.map_err(|error| match error {
            FetchError::Blocked | FetchError::Insecure => CallError::Key(KeyError::Refused(
                "its address must be https, or http on this machine",
            )),
            error => VaultFault::from(error).into(),
        })?;
        let (head, body) = answer.into_parts();
        match head.status {
            StatusCode::OK => {
                serde_json::from_slice(&body).map_err(|_| VaultFault::Malformed.into())
            }
            StatusCode::FORBIDDEN => Err(CallError::Forbidden),
            StatusCode::NOT_FOUND => Err(CallError::Key(KeyError::Refused(
                "there is no Transit engine (or no AppRole sign-in) at this path",
            ))),
            StatusCode::BAD_REQUEST => Err(CallError::Key(rejected(&body))),
            StatusCode::SERVICE_UNAVAILABLE => Err(VaultFault::Sealed.into()),
            StatusCode::TOO_MANY_REQUESTS => Err(VaultFault::TooMany.into()),
            // Other statuses of a cluster's members (412, 472, 473), of its proxies, or its failures.
            status => Err(VaultFault::Failed(status.as_u16()).into()),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.origin)
    }
}

fn sensitive(token: &Secret) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::from_str(token.expose())
        .map_err(|_| CallError::Key(KeyError::Refused("the token is no Vault token")))?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Default, Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// Vault has no codes, only sentences; those an operator can act on, and otherwise: these bytes
/// were not wrapped by this key for this person. The sentences themselves are forgotten.
fn rejected(body: &[u8]) -> KeyError {
    let Errors { errors } = serde_json::from_slice(body).unwrap_or_default();
    let says = |words: &str| errors.iter().any(|error| error.contains(words));
    if says("encryption key not found") {
        KeyError::Refused("there is no key of this name in the Transit engine")
    } else if says("disallowed by policy") {
        KeyError::Refused("the key's min_decryption_version is above what is still in use")
    } else if says("non-AEAD") || says("associated_data") {
        KeyError::Refused("the key must be of type aes256-gcm96 or chacha20-poly1305")
    } else if says("role or secret") || says("role_id") || says("secret_id") {
        KeyError::Refused("the AppRole's role id or secret id is not accepted")
    } else {
        KeyError::Tampered
    }
}
