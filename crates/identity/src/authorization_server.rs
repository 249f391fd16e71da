//! The authorization server for MCP clients (OAuth 2.1; AS-1 to AS-24), which has people sign in at
//! the identity provider.
//!
//! A client is looked up ([`client`]), a person is asked about it ([`consent`]) before they sign in,
//! and what they approve is a grant, of which the client gets tokens ([`token`]). Nothing is stored
//! before somebody who is signed in approved something.

mod access_token;
mod client;
mod client_proof;
pub mod command_line;
mod consent;
mod device;
mod document;
mod error;
mod grants;
mod id_jag;
mod keys;
mod metadata;
mod params;
mod redirect_uri;
mod refresh_token;
mod registration;
mod request;
mod resource;
mod token;
mod user_code;

use std::{net::IpAddr, sync::Arc, time::Duration};

use attache_core::{
    Clock, ConnectionName, GrantId, Principal, PublicOrigin, RequestId, Timestamp, UserId,
    audit::{Action, AuditEvent, Outcome, Reason},
    changes::Change,
    outbound::Outbound,
    store::{
        AuditStore, ClientStore, Code, Grant, GrantStore, PersonStore, SpentLoginStore, Stores,
    },
};
use attache_crypto::{
    digest::sha256,
    random::{self, Random},
};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

pub(crate) use self::{
    access_token::{OwnToken, OwnTokens},
    id_jag::Asserter,
};
use self::{
    client::{Client, Clients},
    consent::{Approval, Browser},
    device::Devices,
    document::Documents,
    params::Params,
    registration::Registrar,
    request::AuthorizationRequest,
    resource::Resources,
};
pub use self::{
    client::{ClientError, ConfiguredClient, Vouched},
    device::{AskedDevice, DeviceError, PAGE as DEVICE_PAGE},
    error::OAuthError,
    grants::LetIn,
    keys::{KeysUnavailable, TokenKeys},
    redirect_uri::{Destination, InvalidRedirectUri, RedirectUri},
    request::{Answer, RequestError, SCOPE},
    resource::{API, Opens},
    token::Tokens,
};
use crate::{
    admission::Admission,
    bearer::Bearers,
    cookie::{Cookies, Name},
    metrics::Metrics,
};

/// How long a client may take to redeem a code (AS-9).
const CODE_LIFE: Duration = Duration::from_mins(1);
/// How long a grant is kept whose code nobody redeemed.
const UNREDEEMED: Duration = Duration::from_mins(10);
/// Grants of one person; the oldest gives way.
const MAX_GRANTS: u32 = 100;
/// How long a client is kept that somebody approved: longer than the grant may live.
const APPROVED: Duration = Duration::from_hours(100 * 24);
/// Approvals remembered that were used, in all; the oldest gives way, which only its own browser
/// could use again.
const SPENT: u32 = 10_000;

/// What an operator decides about the authorization server.
#[expect(clippy::struct_excessive_bools, reason = "switches of the operator's, each its own")]
#[derive(Clone, Debug)]
pub struct AuthorizationServerSettings {
    pub dynamic_registration: bool,
    pub client_id_metadata_documents: bool,
    /// Whether clients come in by what the identity provider asserts of people (AS-25).
    pub id_jag: bool,
    /// Whose client-id metadata documents are accepted; empty: everyone's.
    pub document_hosts: Vec<String>,
    /// What they are fetched through.
    pub document_outbound: Arc<dyn Outbound>,
    /// Schemes of programs to which browsers may be sent, such as `cursor`.
    pub private_schemes: Vec<String>,
    pub clients: Vec<ConfiguredClient>,
    pub access_token_ttl: Duration,
    pub refresh_grace: Duration,
    /// Whether a token may be for the whole gateway.
    pub gateway_audience: bool,
    /// Whether one for several servers at once may be of any client.
    pub all_servers_for_anybody: bool,
    /// The path of the only upstream, where there is one: clients that name no resource mean it.
    pub only: Option<String>,
    pub keys: Arc<dyn TokenKeys>,
    pub metrics: Metrics,
}

/// One that a person is asked about.
#[derive(Debug)]
pub struct Asked {
    pub client: String,
    pub vouched: Vouched,
    pub destination: Destination,
    pub opens: Opens,
    /// For the form: the request, and what proves that it was shown.
    pub request: String,
    pub ticket: String,
    pub cookie: HeaderValue,
}

#[derive(Debug)]
pub enum Decided {
    /// The browser goes to where the person signs in and the client gets its code, with this
    /// cookie.
    Approved(HeaderValue),
    Refused(Answer),
}

/// The browser takes the answer to the client; the header clears the approval's cookie.
#[derive(Debug)]
pub struct Finished {
    pub answer: Answer,
    pub cookie: HeaderValue,
}

#[derive(Debug)]
pub struct AuthorizationServer {
    own: Arc<OwnTokens>,
    bearers: Arc<Bearers>,
    /// Where assertions are taken.
    asserter: Option<Asserter>,
    clients: Clients,
    registrar: Option<Registrar>,
    devices: Devices,
    keys: Arc<dyn TokenKeys>,
    grants: Arc<dyn GrantStore>,
    registered: Arc<dyn ClientStore>,
    people: Arc<dyn PersonStore>,
    spent: Arc<dyn SpentLoginStore>,
    audit: Arc<dyn AuditStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    admission: Admission,
    cookies: Cookies,
    refresh_grace: Duration,
    documents: bool,
}

impl AuthorizationServer {
    /// The request that a browser brought, to be put to `who` or to somebody who is not signed in.
    pub async fn ask(
        &self,
        query: &str,
        headers: &HeaderMap,
        who: Option<&Principal>,
    ) -> Result<Asked, RequestError> {
        let request = self.parse(query).await?;
        let browser = self.browser(headers).unwrap_or_else(|| Browser::new(&*self.random));
        let now = self.clock.now();
        Ok(Asked {
            client: request.client.name.clone(),
            vouched: request.client.vouched.clone(),
            destination: Destination::of(&request.redirect_uri),
            opens: request.resource.opens,
            request: query.to_owned(),
            ticket: browser.ticket(query, who, now),
            cookie: self.cookies.set(Name::Consent, &browser.0, consent::LIFE),
        })
    }

    /// What the person said in the form.
    pub async fn decide(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        who: Option<&Principal>,
        request_id: Option<RequestId>,
    ) -> Result<Decided, RequestError> {
        let params = Params::parse(form);
        let (Some(query), Some(ticket)) = (params.get("request"), params.get("ticket")) else {
            return Err(BEGIN_AGAIN);
        };
        let browser = self.browser(headers).ok_or(BEGIN_AGAIN)?;
        let now = self.clock.now();
        if !browser.showed(ticket, query, who, now) {
            return Err(BEGIN_AGAIN);
        }
        let request = self.parse(query).await?;
        if params.get("decision") == Some("allow") {
            let approval = browser.approve(query, who, now, &*self.random);
            return Ok(Decided::Approved(self.cookies.set(
                Name::Approved,
                &approval,
                consent::LIFE,
            )));
        }
        // Nobody's word is not written down: strangers could fill the log with it.
        if let Some(who) = who {
            let refused = Outcome::Failure(Reason::AccessDenied);
            let user = Some(who.user.clone());
            let upstream = request.resource.opens.upstream().cloned();
            self.write(Action::ClientApprove, refused, user, upstream, request_id).await?;
        }
        Ok(Decided::Refused(request.refused("access_denied", self.own.issuer())))
    }

    /// What this browser was approved for lately and is not finished: the upstream, if it is one.
    /// `None` when there is nothing.
    pub fn under_way(
        &self,
        headers: &HeaderMap,
        who: &Principal,
    ) -> Option<Option<ConnectionName>> {
        let approval = self.approval(headers, who)?;
        let params = Params::parse(approval.query.as_bytes());
        let resource = self.resources().asked(params.get("resource"))?;
        Some(resource.opens.upstream().cloned())
    }

    /// Gives the client its code, once for each approval.
    pub async fn finish(
        &self,
        headers: &HeaderMap,
        who: &Principal,
        request_id: Option<RequestId>,
    ) -> Result<Finished, RequestError> {
        let approval = self.approval(headers, who).ok_or(BEGIN_AGAIN)?;
        let request = self.parse(&approval.query).await?;
        let now = self.clock.now();
        if !self.spent.spend(approval.digest, approval.over_at, SPENT, now).await? {
            return Err(BEGIN_AGAIN);
        }
        let code = random::token(&*self.random);
        let grant = self.unredeemed(&request.client, &request.resource.url, who, now);
        let issued = Code {
            digest: sha256(code.as_bytes()),
            challenge: request.challenge.clone(),
            redirect_uri: request.redirect_uri.clone(),
            expires_at: now.plus(CODE_LIFE),
        };
        self.grants.insert(&grant, &issued, MAX_GRANTS, now).await?;
        if request.client.vouched == Vouched::Nobody {
            self.registered.keep(&request.client.id, now.plus(APPROVED)).await?;
        }
        let user = Some(who.user.clone());
        let upstream = request.resource.opens.upstream().cloned();
        self.write(Action::ClientApprove, Outcome::Success, user, upstream, request_id).await?;
        let answer = request.allowed(&code, self.own.issuer());
        Ok(Finished { answer, cookie: self.cookies.clear(Name::Approved) })
    }

    /// What `who` lets the client do, until somebody redeems its code.
    fn unredeemed(
        &self,
        client: &Client,
        resource: &str,
        who: &Principal,
        now: Timestamp,
    ) -> Grant {
        Grant {
            id: GrantId::new(random::token(&*self.random)),
            user: who.user.clone(),
            client_id: client.id.clone(),
            client_name: client.name.clone(),
            resource: resource.to_owned(),
            scopes: vec![SCOPE.to_owned()],
            created_at: now,
            expires_at: now.plus(UNREDEEMED),
        }
    }

    /// Registers a client (RFC 7591): the answer, as JSON.
    pub async fn register(
        &self,
        body: &[u8],
        address: Option<IpAddr>,
        request_id: Option<RequestId>,
    ) -> Result<Value, OAuthError> {
        let registrar = self.registrar.as_ref().ok_or(OAuthError::Unavailable)?;
        let registered = registrar.register(body, address).await?;
        let outcome = Outcome::Success;
        self.write(Action::ClientRegister, outcome, None, None, request_id).await?;
        Ok(registered)
    }

    pub fn registers(&self) -> bool {
        self.registrar.is_some()
    }

    /// The key set that access tokens are verified with.
    pub async fn key_set(&self) -> Result<Value, KeysUnavailable> {
        self.keys.published().await
    }

    fn resources(&self) -> &Resources {
        &self.own.resources
    }

    async fn parse(&self, query: &str) -> Result<AuthorizationRequest, RequestError> {
        AuthorizationRequest::parse(query, &self.clients, self.resources()).await
    }

    fn browser(&self, headers: &HeaderMap) -> Option<Browser> {
        self.cookies.read(headers, Name::Consent).and_then(Browser::known)
    }

    fn approval(&self, headers: &HeaderMap, who: &Principal) -> Option<Approval> {
        let cookie = self.cookies.read(headers, Name::Approved)?;
        self.browser(headers)?.approved(&cookie, who, self.clock.now())
    }

    /// Ends a grant here and in every memory of it.
    async fn end(
        &self,
        grant: &Grant,
        action: Action,
        outcome: Outcome,
        request: Option<RequestId>,
    ) -> attache_core::store::Result<()> {
        self.grants.remove(&grant.id).await?;
        self.bearers.heed(&Change::Person(grant.user.clone()));
        self.record(action, outcome, grant, request).await
    }

    /// As it was shown, should no more be given for it today.
    fn opened_by(&self, grant: &Grant) -> Opens {
        let resource = self.resources().parse(&grant.resource);
        resource.map_or(Opens::Everything, |resource| resource.opens)
    }

    async fn record(
        &self,
        action: Action,
        outcome: Outcome,
        grant: &Grant,
        request: Option<RequestId>,
    ) -> attache_core::store::Result<()> {
        let user = Some(grant.user.clone());
        let upstream = self.opened_by(grant).upstream().cloned();
        self.write(action, outcome, user, upstream, request).await
    }

    /// Before the answer: without it, nothing is given.
    async fn write(
        &self,
        action: Action,
        outcome: Outcome,
        user: Option<UserId>,
        server: Option<ConnectionName>,
        request_id: Option<RequestId>,
    ) -> attache_core::store::Result<()> {
        let at = self.clock.now();
        let method = None;
        let event =
            AuditEvent { at, user, server, method, action, outcome, request_id, count: None };
        self.audit.append(&[event]).await
    }
}

const BEGIN_AGAIN: RequestError = RequestError::Unanswerable(
    "This was begun in another browser, by somebody else, or too long ago, or it is finished. Go \
     back to the program and begin again.",
);

/// What it takes beside the settings.
pub(crate) struct Surroundings<'a> {
    pub(crate) origin: &'a PublicOrigin,
    pub(crate) stores: &'a Stores,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) random: &'a Arc<dyn Random>,
    pub(crate) admission: &'a Admission,
    pub(crate) cookies: Cookies,
}

impl AuthorizationServerSettings {
    /// What makes and takes our access tokens.
    pub(crate) fn own_tokens(&self, around: &Surroundings<'_>) -> Arc<OwnTokens> {
        let origin = around.origin.clone();
        let only = self.only.as_ref().map(|path| origin.url(path));
        Arc::new(OwnTokens {
            resources: Resources {
                origin,
                whole: self.gateway_audience,
                several_for_anybody: self.all_servers_for_anybody,
                only,
            },
            keys: Arc::clone(&self.keys),
            grants: Arc::clone(&around.stores.grants),
            people: Arc::clone(&around.stores.people),
            admission: around.admission.clone(),
            random: Arc::clone(around.random),
            lifetime: self.access_token_ttl,
        })
    }

    pub(crate) fn server(
        self,
        around: &Surroundings<'_>,
        own: Arc<OwnTokens>,
        bearers: Arc<Bearers>,
        provider: Option<Asserter>,
    ) -> AuthorizationServer {
        let Surroundings { stores, clock, random, .. } = around;
        let documents = self.client_id_metadata_documents.then(|| {
            Documents::new(
                self.document_outbound,
                Arc::clone(clock),
                self.document_hosts,
                self.private_schemes.clone(),
            )
        });
        let configured = self.clients.into_iter().map(Client::from);
        let configured = std::iter::once(command_line::client()).chain(configured);
        let configured = configured.map(|client| (client.id.clone(), Arc::new(client))).collect();
        let registers = self.dynamic_registration;
        AuthorizationServer {
            own,
            bearers,
            asserter: provider.filter(|_| self.id_jag),
            documents: documents.is_some(),
            clients: Clients {
                configured,
                documents,
                registered: registers.then(|| Arc::clone(&stores.clients)),
                clock: Arc::clone(clock),
            },
            registrar: registers.then(|| {
                Registrar::new(
                    Arc::clone(&stores.clients),
                    Arc::clone(clock),
                    Arc::clone(random),
                    self.private_schemes,
                    self.metrics,
                )
            }),
            devices: Devices::new(Arc::clone(&stores.devices)),
            keys: self.keys,
            grants: Arc::clone(&stores.grants),
            registered: Arc::clone(&stores.clients),
            people: Arc::clone(&stores.people),
            spent: Arc::clone(&stores.logins),
            audit: Arc::clone(&stores.audit),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            admission: around.admission.clone(),
            cookies: around.cookies,
            refresh_grace: self.refresh_grace,
        }
    }
}
