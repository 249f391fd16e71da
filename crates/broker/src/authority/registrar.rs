//! Who we are to an authorization server at which the operator registered nobody: the document that
//! we publish, or a registration that all replicas share (MCP's order: OC-8, OC-9).

use std::{borrow::Cow, sync::Arc, time::Duration};

use attache_core::{
    Clock, IssuerId, Secret, Timestamp, UpstreamName,
    audit::Reason,
    outbound::Outbound,
    store::{CredentialStore, RegistrationStore, SealedRegistration, StoreError, Turn, Version},
};
use attache_crypto::{
    random::Random,
    seal::{self, RegistrationPlace},
};
use attache_oauth::{
    auth_method::AuthMethod,
    client_assertion::AssertionSigner,
    client_auth::{Client, ClientAuthentication},
    client_choice::{ClientChoice, Known, choose},
    client_metadata::{ClientIdMetadataDocument, ClientMetadata, Ourselves},
    discover::AuthorizationServer,
    register::{Registration, register},
};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::{SigningKeys, connect::ProviderError, service_key::ServiceKey};

/// How long one registration may be under way: the endpoint's timeout (10 s) with room to write.
const TURN: Duration = Duration::from_mins(1);
/// How often those who wait for it look, and how often at most.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 150;

#[derive(Debug)]
pub struct Registrar {
    pub upstream: UpstreamName,
    /// What our own documents and registrations say.
    pub profile: Profile,
    pub registrations: Arc<dyn RegistrationStore>,
    /// Its hour decides whose turn it is.
    pub credentials: Arc<dyn CredentialStore>,
    pub seal: Arc<ServiceKey>,
    pub keys: Arc<SigningKeys>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// Us, to the authorization servers of one upstream.
#[derive(Clone, Debug)]
pub struct Profile {
    pub client_name: String,
    pub redirect_uri: Url,
    /// Where our document is: our client id (OC-8).
    pub document: Url,
    pub jwks_uri: Url,
    /// Whether servers elsewhere can reach the two: `public_url` is https and not of this machine.
    pub is_public: bool,
    /// Register also where a server would read our document.
    pub prefers_registration: bool,
}

impl Profile {
    /// The document at [`Profile::document`], where servers can reach it. It declares what is done.
    pub(crate) fn client_id_metadata_document(
        &self,
        method: AuthMethod,
    ) -> Option<ClientIdMetadataDocument> {
        let document = ClientIdMetadataDocument::new(&self.document, &self.ourselves(), method);
        document.ok().filter(|_| self.is_public)
    }

    fn ourselves(&self) -> Ourselves<'_> {
        Ourselves {
            client_name: &self.client_name,
            redirect_uri: &self.redirect_uri,
            jwks_uri: self.is_public.then_some(&self.jwks_uri),
        }
    }
}

impl Registrar {
    /// Us at `server`, registered there if need be. `refused` is a client that it does not know any
    /// more.
    pub(super) async fn client(
        &self,
        server: &AuthorizationServer,
        scopes: &[String],
        refused: Option<&str>,
        outbound: &dyn Outbound,
    ) -> Result<Client, ProviderError> {
        for _ in 0..LOOKS {
            let (over, registration) = self.find().await?;
            let stands = registration.as_ref().filter(|one| Some(&*one.client_id) != refused);
            let known = Known {
                by_hand: None,
                registration: stands,
                publishes_document: self.profile.is_public && !self.profile.prefers_registration,
                publishes_keys: self.profile.is_public,
            };
            let choice = choose(server, known, self.clock.now())
                .map_err(|error| ProviderError::Refused(error.reason()))?;
            match choice {
                ClientChoice::Document(method) => {
                    let authentication = match method {
                        AuthMethod::PrivateKeyJwt => {
                            ClientAuthentication::PrivateKeyJwt(self.signer(server).await?)
                        }
                        _ => ClientAuthentication::None,
                    };
                    return Ok(Client { id: self.profile.document.to_string(), authentication });
                }
                ClientChoice::Registered(registration) => {
                    return self.registered(registration, server).await;
                }
                ClientChoice::Register { endpoint, method } => {
                    if let Some(turn) = self.claim(over).await? {
                        let metadata = ClientMetadata::new(&self.profile.ourselves(), method)
                            .map_err(|_| ProviderError::Refused(Reason::Misconfigured))?
                            .with_scopes(scopes);
                        let fresh = self.register(&turn, server, endpoint, &metadata, outbound);
                        return self.registered(&fresh.await?, server).await;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                ClientChoice::ByHand => return Err(ProviderError::Refused(Reason::Misconfigured)),
            }
        }
        Err(ProviderError::Unavailable { retry_after: None })
    }

    async fn registered(
        &self,
        registration: &Registration,
        server: &AuthorizationServer,
    ) -> Result<Client, ProviderError> {
        let signer = match registration.method {
            AuthMethod::PrivateKeyJwt => Some(self.signer(server).await?),
            _ => None,
        };
        registration.client(signer.as_ref()).ok_or(ProviderError::Refused(Reason::Misconfigured))
    }

    async fn signer(&self, server: &AuthorizationServer) -> Result<AssertionSigner, ProviderError> {
        Ok(AssertionSigner {
            key: self.keys.current().await?,
            audience: server.issuer.clone(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        })
    }

    async fn claim(&self, over: Option<Version>) -> Result<Option<Turn>, StoreError> {
        let mut holder = [0; 16];
        self.random.fill(&mut holder);
        let now = self.credentials.now(self.clock.now()).await?;
        self.registrations.claim(&self.upstream, over, holder, now, now.plus(TURN)).await
    }

    async fn register(
        &self,
        turn: &Turn,
        server: &AuthorizationServer,
        endpoint: &Url,
        metadata: &ClientMetadata,
        outbound: &dyn Outbound,
    ) -> Result<Registration, ProviderError> {
        match register(outbound, &server.issuer, endpoint, metadata, None).await {
            Ok(registration) => {
                self.keep(turn, &registration).await?;
                tracing::info!(upstream = %self.upstream, issuer = %server.issuer, "registered");
                Ok(registration)
            }
            Err(error) => {
                tracing::warn!(upstream = %self.upstream, %error, "not registered");
                if let Err(error) = self.registrations.release(turn).await {
                    tracing::warn!(%error, "a turn to register was not given back; it will run out");
                }
                Err(error.into())
            }
        }
    }

    async fn keep(&self, turn: &Turn, registration: &Registration) -> Result<(), ProviderError> {
        let after = turn.over.map_or(Version(0), Version::next);
        let version = Version::first(self.clock.now()).max(after);
        let place = RegistrationPlace { upstream: &self.upstream, version };
        let sealed = seal::seal(&*self.seal.obtain().await?, &place, &write(registration));
        Ok(self.registrations.put(turn, &SealedRegistration { version, sealed }).await?)
    }

    /// What is registered, and what a new registration has to replace: also one that does not open,
    /// because the key that sealed it was given up.
    async fn find(&self) -> Result<(Option<Version>, Option<Registration>), ProviderError> {
        let Some(stored) = self.registrations.find(&self.upstream).await? else {
            return Ok((None, None));
        };
        let SealedRegistration { version, sealed } = stored;
        let place = RegistrationPlace { upstream: &self.upstream, version };
        let opened = seal::open(&*self.seal.obtain().await?, &place, &sealed);
        let registration = opened.ok().and_then(|plaintext| read(&plaintext));
        if registration.is_none() {
            tracing::error!(upstream = %self.upstream, "our registration cannot be opened");
        }
        Ok((Some(version), registration))
    }
}

/// The inside of a sealed registration.
#[derive(Serialize, Deserialize)]
struct Plaintext<'a> {
    issuer: Cow<'a, str>,
    client_id: Cow<'a, str>,
    method: AuthMethod,
    client_secret: Option<Cow<'a, str>>,
    secret_expires_at: Option<i64>,
}

/// Room for an id and a secret, so that growing the buffer does not leave copies.
const USUAL_SIZE: usize = 9 * 1024;

fn write(registration: &Registration) -> Zeroizing<Vec<u8>> {
    let plaintext = Plaintext {
        issuer: Cow::Borrowed(registration.issuer.as_str()),
        client_id: Cow::Borrowed(&registration.client_id),
        method: registration.method,
        client_secret: registration.client_secret.as_ref().map(|one| Cow::Borrowed(one.expose())),
        secret_expires_at: registration.secret_expires_at.map(|at| at.0),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_SIZE));
    #[expect(clippy::expect_used, reason = "plain strings and numbers into memory")]
    serde_json::to_writer(&mut *bytes, &plaintext).expect("a registration is valid JSON");
    bytes
}

fn read(bytes: &[u8]) -> Option<Registration> {
    let plaintext: Plaintext<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Registration {
        issuer: IssuerId::new(&*plaintext.issuer),
        client_id: plaintext.client_id.into_owned(),
        method: plaintext.method,
        client_secret: plaintext.client_secret.map(|secret| Secret::new(secret.into_owned())),
        secret_expires_at: plaintext.secret_expires_at.map(Timestamp),
    })
}
