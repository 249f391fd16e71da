//! The people's door: what is connected, connect, disconnect.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Account, AccountName, ConnectionName, Credential, CredentialKey, ObtainedVia, Principal,
    RequestId, Secret, Slot, Timestamp, UpstreamName, UserId, Validity,
    audit::{Action, AuditEvent, Outcome, Reason},
    changes::{Change, Memory as _},
    principal::SessionDigest,
    store::{ConnectFlow, ConnectFlowStore, Health, Record, StoreError, Stored, Version},
};
use attache_crypto::{
    digest::{base64url, hmac_sha256, sha256},
    random,
};
use attache_oauth::{
    auth_method::AuthMethod,
    callback::{Callback, CallbackOutcome},
    client_auth::ClientAuthentication,
    client_metadata::ClientIdMetadataDocument,
    scope,
};
use url::Url;

use crate::{
    account::{self, Accounts},
    authority::Terms,
    broker::{Broker, ObtainError},
    condition::{Condition, is_ending, validity},
    connect::{Asked, OauthConnect, ProviderError},
    demands::Demands,
    disconnect::{Disconnect, revoke},
    notices::Written,
    replacement::end_lapsed,
    term,
    upstream::{Brokered, Mode},
    vault::{Vault, VaultError},
};

/// How long a person may take at the authorization server (OC-12).
pub const FLOW_LIFE: Duration = Duration::from_mins(10);
/// Consents one person may have under way; the oldest gives way.
const FLOWS_PER_PERSON: u32 = 10;
/// Accounts of one upstream that one person may connect, the first one among them. Compared before
/// they are sent off and again when they come back; who comes back twice at once may have one more.
pub const ACCOUNTS_PER_UPSTREAM: usize = 8;

/// The browser a person signed in with. A flow begun in it ends in it (OC-16).
#[derive(Clone, Debug)]
pub struct BrowserSession {
    pub digest: SessionDigest,
    /// The session cookie's value: PKCE verifiers are derived from it, so that the store holds
    /// none.
    pub secret: Secret,
}

/// A person acts on one of their connections: what the audit says of it.
#[derive(Clone, Debug)]
pub struct Act {
    pub who: Arc<Principal>,
    pub server: ConnectionName,
    /// Of the request that asked for it.
    pub request_id: Option<RequestId>,
}

/// One line of "my connections".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub server: ConnectionName,
    /// `auth_broker.mode`.
    pub mode: &'static str,
    pub status: Status,
    /// `None` where nothing is connected.
    pub condition: Option<Condition>,
    /// Why the status is not good, or does not say all: a connection that works may lack scopes.
    pub reason: Option<Reason>,
    /// Whose it is at the provider; also of a connection that has ended.
    pub account: Option<Account>,
    /// Where people sign in to the provider: a host name, as far as it is known.
    pub provider: Option<String>,
    /// Another connection of theirs that is this very account at the provider.
    pub same_account_as: Option<ConnectionName>,
    pub token_type: Option<String>,
    pub scopes: Vec<String>,
    /// What the upstream wants besides, while it waits for the person (OC-14).
    pub wanted_scopes: Vec<String>,
    pub audience: Option<String>,
    pub obtained_via: Option<ObtainedVia>,
    pub expires_at: Option<Timestamp>,
    /// When the connection ends unless it is used or made again before, as far as that is known.
    pub ends_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

impl Connection {
    fn is_same_account_as(&self, other: &Self) -> bool {
        match (&self.account, &other.account) {
            (Some(one), Some(two)) => {
                self.server.upstream == other.server.upstream && !one.is_other_than(two)
            }
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Connected,
    /// The token ran out and there is none to renew it with.
    Expired,
    NotConnected,
    NeedsReconnect,
    /// It is there and cannot be used now; the person cannot mend that.
    Unavailable,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Expired => "expired",
            Self::NotConnected => "not_connected",
            Self::NeedsReconnect => "needs_reconnect",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the connect page puts before a person.
#[derive(Clone, Debug)]
pub struct Offer {
    pub server: ConnectionName,
    /// Where their browser will be sent.
    pub authorization_endpoint: Url,
    /// What will be asked for; empty leaves it to the authorization server.
    pub scopes: Vec<String>,
    /// What of it the upstream wants beyond what they gave (OC-14).
    pub wanted: Vec<String>,
    /// What they gave, in the authorization server's words.
    pub granted: Vec<String>,
    pub status: Status,
    /// As whom they are, or were, connected.
    pub account: Option<Account>,
    /// What they may choose from, the shortest first.
    pub lengths: Vec<Duration>,
    /// Whether it may last until they disconnect.
    pub is_open_ended: bool,
}

/// Why a connect flow stopped. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not connected: {}", .0.as_str())]
pub struct ConnectError(pub Reason);

impl ConnectError {
    pub fn reason(self) -> Reason {
        self.0
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self(ObtainError::from(error).reason())
    }
}

impl From<ProviderError> for ConnectError {
    fn from(error: ProviderError) -> Self {
        Self(error.reason())
    }
}

impl From<VaultError> for ConnectError {
    fn from(error: VaultError) -> Self {
        Self(ObtainError::from(error).reason())
    }
}

/// What a consent came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    Connected,
    /// It is of another account than the connected one:
    /// [`undecided`](Connections::undecided) until the person says which to keep.
    Undecided,
}

/// How an attempt to connect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which of the person's accounts it was for, as far as that is known.
    pub server: ConnectionName,
    pub outcome: Result<Finished, ConnectError>,
}

/// What a disconnect did beyond deleting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    Revoked,
    /// The provider could not be told; the person may want to look there.
    Failed(Reason),
}

#[derive(Debug)]
pub struct Connections {
    pub(crate) broker: Arc<Broker>,
    flows: Arc<dyn ConnectFlowStore>,
    upstreams: Vec<Arc<Brokered>>,
    accounts: Accounts,
}

impl Connections {
    pub fn new(
        broker: Arc<Broker>,
        flows: Arc<dyn ConnectFlowStore>,
        upstreams: Vec<Arc<Brokered>>,
    ) -> Self {
        for upstream in &upstreams {
            broker.parts.metrics.expect(&upstream.name);
        }
        Self { broker, flows, upstreams, accounts: Accounts::new() }
    }

    /// Every brokered upstream this person may use, each followed by the further accounts that they
    /// connected there.
    pub async fn list(&self, who: &Principal) -> Result<Vec<Connection>, StoreError> {
        let store = &self.broker.parts.store;
        let held = store.list(&who.user).await?;
        let mut listed = Vec::new();
        for upstream in self.upstreams.iter().filter(|upstream| upstream.permits(who, None)) {
            end_lapsed(&self.broker, upstream, &who.user, &held).await?;
            let named = accounts(&held, &upstream.name).filter_map(|name| name.account.as_ref());
            for account in std::iter::once(None).chain(named.map(Some)) {
                let key = upstream.key(who, account);
                let seen = self.vault().seen(&key);
                listed.push((upstream, account, key, seen));
            }
        }
        // Once more, now that it is known what was seen of each before.
        let held_now = store.list(&who.user).await?;
        let demanded = self.broker.parts.demands.list(&who.user).await?;
        let mut connections: Vec<Connection> = Vec::new();
        for (upstream, account, key, seen) in listed {
            let found = held_now.iter().find(|(slot, _)| *slot == key.slot);
            let found = found.map(|(_, stored)| stored);
            if account.is_some() && found.is_none() {
                continue;
            }
            let demanded = demanded.iter().filter(|(slot, _)| *slot == key.slot);
            let demands = Demands::new(demanded.map(|(_, scope)| scope.clone()));
            let mut connection = self.describe(who, upstream, account, found, &demands, seen).await;
            let twin = connections.iter().find(|other| other.is_same_account_as(&connection));
            connection.same_account_as = twin.map(|twin| twin.server.clone());
            connections.push(connection);
        }
        Ok(connections)
    }

    /// Something else of this person's ended, such as a token: what is open for them is looked at
    /// again.
    pub fn look_again(&self, user: &UserId) {
        self.broker.heed(&Change::Person(user.clone()));
    }

    /// The brokered upstreams this person may use, by name.
    pub fn servers(&self, who: &Principal) -> Vec<UpstreamName> {
        let permitted = self.upstreams.iter().filter(|upstream| upstream.permits(who, None));
        permitted.map(|upstream| upstream.name.clone()).collect()
    }

    /// `None` for an upstream that is not there, or not for this person: the two look the same.
    pub async fn find(
        &self,
        who: &Principal,
        server: &ConnectionName,
    ) -> Result<Option<Connection>, StoreError> {
        let Some(upstream) = self.permitted(who, server) else { return Ok(None) };
        let account = server.account.as_ref();
        let key = upstream.key(who, account);
        let seen = self.vault().seen(&key);
        let stored = self.broker.parts.store.find(&key).await?;
        let demands = self.demands(&key).await?;
        Ok(Some(self.describe(who, upstream, account, stored.as_ref(), &demands, seen).await))
    }

    /// What we publish about ourselves as the client of an upstream's authorization server, whoever
    /// asks (OC-8). `None` where we are another client, or do not know.
    pub async fn client_id_metadata_document(
        &self,
        server: &UpstreamName,
    ) -> Option<ClientIdMetadataDocument> {
        let connect = self.upstream(server)?.connect()?;
        let profile = connect.authority.profile()?;
        let terms = connect.terms().await.ok()?;
        let method = match terms.token.client.authentication {
            _ if terms.token.client.id != profile.document.as_str() => return None,
            ClientAuthentication::PrivateKeyJwt(_) | ClientAuthentication::Certificate(_) => {
                AuthMethod::PrivateKeyJwt
            }
            _ => AuthMethod::None,
        };
        profile.client_id_metadata_document(method)
    }

    /// What the connect page shows where people consent; `None` elsewhere, and as in
    /// [`Connections::find`].
    pub async fn offer(
        &self,
        who: &Principal,
        server: &ConnectionName,
    ) -> Result<Option<Offer>, ConnectError> {
        let Ok((upstream, connect)) = self.consented(who, server) else { return Ok(None) };
        let key = upstream.key(who, server.account.as_ref());
        let Some(connection) = self.find(who, server).await? else { return Ok(None) };
        let terms = connect.terms().await?;
        Ok(Some(Offer {
            server: connection.server,
            authorization_endpoint: terms.authorization_endpoint.clone(),
            scopes: self.asked_for(&key, &terms).await?,
            wanted: connection.wanted_scopes,
            granted: connection.scopes,
            status: connection.status,
            account: connection.account,
            lengths: term::lengths(connect.longest),
            is_open_ended: connect.longest.is_none(),
        }))
    }

    /// Stores a pending flow and says where the browser goes next. What is connected lasts for
    /// `wished`, or as long as the operator lets it.
    pub async fn begin(
        &self,
        who: &Principal,
        browser: &BrowserSession,
        server: &ConnectionName,
        wished: Option<Duration>,
    ) -> Result<Url, ConnectError> {
        let (upstream, connect) = self.consented(who, server)?;
        // Nobody is sent to approve what could not be kept afterwards.
        let key = upstream.key(who, server.account.as_ref());
        self.vault().can_seal_for(&key).await?;
        check_room(&self.broker.parts.store.list(&who.user).await?, server)?;
        let terms = connect.terms().await?;
        let now = self.broker.parts.clock.now();
        let lasting = [wished, connect.longest].into_iter().flatten().min();
        let state = term::in_state(random::token(&*self.broker.parts.random), lasting);
        let flow = ConnectFlow {
            state: sha256(state.as_bytes()),
            user: who.user.clone(),
            session: browser.digest,
            connection: server.clone(),
            issuer: terms.issuer.clone(),
            redirect_uri: connect.redirect_uri.clone(),
            scopes: self.asked_for(&key, &terms).await?,
            resource: terms.resource.clone(),
            created_at: now,
            expires_at: now.plus(FLOW_LIFE),
        };
        self.flows.insert(&flow, FLOWS_PER_PERSON, now).await?;
        let verifier = verifier(browser, &state);
        let nonce = account::nonce(browser, &state, &flow.scopes, flow.issuer.as_ref());
        let url =
            connect.authorization_url(&terms, &flow.scopes, &state, &verifier, nonce.as_ref());
        let url = url.await;
        if matches!(url, Err(ProviderError::Refused(Reason::InvalidScope))) {
            self.broker.demands_refused(&key).await;
        }
        Ok(url?)
    }

    /// What came back from the authorization server, in the browser of the one who acts. Whoever
    /// may not finish a flow does not spend it either (EL-3). Written to the audit before it is
    /// stored: there is no credential that the audit does not know.
    ///
    /// To be driven to its end: the code is redeemed once, and a consent dropped in between is
    /// lost. So a caller runs it on a task of its own, which the person's leaving does not end.
    pub async fn callback(&self, mut act: Act, browser: &BrowserSession, query: &str) -> Ended {
        let outcome = self.conclude(&mut act, browser, query).await;
        Ended { server: act.server, outcome }
    }

    /// From here on `act` says which account the consent is for, once that is known.
    async fn conclude(
        &self,
        act: &mut Act,
        browser: &BrowserSession,
        query: &str,
    ) -> Result<Finished, ConnectError> {
        let (upstream, credential) = match self.finish(act, browser, query).await {
            Ok(granted) => granted,
            Err(ConnectError(reason)) => {
                if reason == Reason::InvalidScope {
                    let (user, server) = (act.who.user.clone(), act.server.clone());
                    self.broker.demands_refused(&CredentialKey::upstream(user, server)).await;
                }
                let denied = reason == Reason::AccessDenied;
                let action = if denied { Action::Deny } else { Action::Connect };
                self.audit(act, action, Outcome::Failure(reason)).await?;
                return Err(ConnectError(reason));
            }
        };
        let kept = self.keep(act, browser, upstream, &credential).await;
        if let Err(ConnectError(reason)) = kept {
            // What cannot be kept must not live on at the provider.
            revoke(upstream, ObtainedVia::ConnectFlow, &credential).await;
            self.audit(act, Action::Connect, Outcome::Failure(reason)).await?;
        }
        kept
    }

    /// Deletes the credential and what is pending, then tells the provider (RFC 7009) as well as
    /// it can. `None` when nothing was connected. Also for somebody who may not use the upstream
    /// any more: what is theirs they may end.
    ///
    /// It is done to its end even when nobody waits for it any more. Whoever waits is told of the
    /// provider what the provider said.
    pub async fn disconnect(&self, act: &Act) -> Result<Option<Option<Revocation>>, StoreError> {
        if self.permitted(&act.who, &act.server).is_none() {
            // The same look for one that is not there: nobody can tell the two apart by their time.
            let key = CredentialKey::upstream(act.who.user.clone(), act.server.clone());
            if self.broker.parts.store.find(&key).await?.is_none() {
                return Ok(None);
            }
        }
        let Some(upstream) = self.upstream(&act.server.upstream) else { return Ok(None) };
        let disconnect = Disconnect {
            broker: Arc::clone(&self.broker),
            flows: Arc::clone(&self.flows),
            upstream: Arc::clone(upstream),
            user: act.who.user.clone(),
            server: act.server.clone(),
            request_id: act.request_id.clone(),
        };
        let ended = self.broker.parts.tasks.finish(disconnect.run()).await;
        ended.unwrap_or_else(|panicked| Err(StoreError::Unavailable(Box::new(panicked))))
    }

    async fn finish(
        &self,
        act: &mut Act,
        browser: &BrowserSession,
        query: &str,
    ) -> Result<(&Arc<Brokered>, Credential), ConnectError> {
        let Act { who, server, .. } = act;
        let refuse = |reason| Err(ConnectError(reason));
        let (upstream, connect) = self.consented(who, server)?;
        let Ok(callback) = Callback::parse(query, &connect.dialect) else {
            return refuse(Reason::MalformedCallback);
        };
        let state = sha256(callback.state.as_bytes());
        let Some(flow) = self.flows.find(state).await? else {
            return refuse(Reason::FlowUnknown);
        };
        if flow.user != who.user {
            return refuse(Reason::WrongPerson);
        }
        if flow.session != browser.digest {
            return refuse(Reason::WrongBrowser);
        }
        if flow.connection.upstream != server.upstream {
            return refuse(Reason::WrongUpstream);
        }
        server.clone_from(&flow.connection);
        // From here on the state is spent, whatever the outcome.
        let Some(flow) = self.flows.take(state).await? else {
            return refuse(Reason::FlowUnknown);
        };
        if self.broker.parts.clock.now() >= flow.expires_at {
            return refuse(Reason::FlowExpired);
        }
        let terms = connect.terms().await?;
        if flow.issuer != terms.issuer || terms.check_issuer(callback.iss.as_deref()).is_err() {
            return refuse(Reason::WrongIssuer);
        }
        let code = match callback.outcome {
            CallbackOutcome::Code(code) => code,
            CallbackOutcome::Error(reason) => return refuse(reason),
        };
        let asked = Asked {
            redirect_uri: &flow.redirect_uri,
            scopes: &flow.scopes,
            resource: flow.resource.as_deref(),
        };
        let verifier = verifier(browser, &callback.state);
        let mut granted =
            connect.exchange_code(&terms, &code, &verifier, asked, &callback.captured).await?;
        granted.credential.origin = Some(upstream.origin.clone());
        let given = granted.credential.obtained_at;
        granted.credential.term =
            term::of_state(&callback.state).map(|length| Validity::of(given, length));
        self.broker.breakers.answered(&upstream.name);
        let nonce = account::nonce(browser, &callback.state, &flow.scopes, flow.issuer.as_ref());
        match self.accounts.of(connect, &terms, &granted, nonce.as_ref()).await {
            Ok(account) => granted.credential.account = account,
            Err(error) => {
                revoke(upstream, ObtainedVia::ConnectFlow, &granted.credential).await;
                return Err(error);
            }
        }
        Ok((upstream, granted.credential))
    }

    pub(crate) async fn store(
        &self,
        key: &CredentialKey,
        credential: &Credential,
        obtained_via: ObtainedVia,
    ) -> Result<(), ConnectError> {
        let record = self.broker.put(key, credential, obtained_via).await?;
        self.remember_term(key, credential).await;
        self.broker.demands_approved(key, record.version).await;
        self.plan(key, &record, credential);
        Ok(())
    }

    async fn demands(&self, key: &CredentialKey) -> Result<Demands, StoreError> {
        self.broker.parts.demands.find(key).await.map(Demands::new)
    }

    /// What an approval asks for: what every first one does, and what the upstream wanted since.
    async fn asked_for(
        &self,
        key: &CredentialKey,
        terms: &Terms,
    ) -> Result<Vec<String>, StoreError> {
        let demanded = self.demands(key).await?.asked_for(self.broker.parts.clock.now());
        if terms.scopes.is_empty() && !demanded.is_empty() {
            // The authorization server chose at first: what it gave then is no part of the demand.
            let held = self.held(key).await.ok().flatten();
            let granted = held.map(|held| held.credential.scopes).unwrap_or_default();
            return Ok(scope::union(&granted, &demanded));
        }
        Ok(scope::union(&terms.scopes, &demanded))
    }

    /// What there will be to tell of it.
    pub(crate) fn plan(&self, key: &CredentialKey, record: &Record, credential: &Credential) {
        let Slot::Upstream(name) = &key.slot else { return };
        let Some(upstream) = self.upstream(&name.upstream) else { return };
        let written = Written {
            key,
            version: record.version,
            credential,
            health: record.health,
            upstream,
            at: record.updated_at,
        };
        self.broker.parts.agenda.plan(&self.broker.parts.tasks, &written);
    }

    /// A record's state as its owner sees it.
    async fn describe(
        &self,
        who: &Principal,
        upstream: &Brokered,
        account: Option<&AccountName>,
        stored: Option<&Stored>,
        demands: &Demands,
        seen: Option<Version>,
    ) -> Connection {
        let mut connection = Connection {
            server: upstream.connection(account),
            mode: upstream.mode(),
            status: Status::NotConnected,
            condition: None,
            reason: None,
            account: None,
            provider: None,
            same_account_as: None,
            token_type: None,
            scopes: Vec::new(),
            wanted_scopes: demands.waiting(self.broker.parts.clock.now()),
            audience: None,
            obtained_via: None,
            expires_at: None,
            ends_at: None,
            updated_at: None,
        };
        if let Mode::TokenExchange(_) = upstream.mode {
            // Had for whoever calls, as they call.
            connection.status = Status::Connected;
            connection.obtained_via = Some(upstream.obtained_via());
            return connection;
        }
        let known = upstream.connect().and_then(|connect| connect.authority.known());
        let host = |terms: &Arc<Terms>| terms.authorization_endpoint.host_str().map(str::to_owned);
        connection.provider = known.as_ref().and_then(host);
        let of_today = |stored: &&Stored| stored.record.obtained_via == upstream.obtained_via();
        let Some(Stored { record, .. }) = stored.filter(of_today) else { return connection };
        connection.obtained_via = Some(record.obtained_via);
        connection.expires_at = record.expires_at;
        connection.updated_at = Some(record.updated_at);

        let key = upstream.key(who, account);
        let credential = match self.vault().open(&key, record, seen, None).await {
            Ok(credential) => credential,
            Err(error) => {
                let error = ObtainError::from(error);
                connection.status = Status::Unavailable;
                connection.condition = Some(error.into());
                connection.reason = Some(error.reason());
                return connection;
            }
        };
        let renewable = credential.refresh_token.is_some()
            && known.is_none_or(|terms| terms.is_issuer_of(&credential));
        let now = self.broker.parts.clock.now();
        let dialect = upstream.connect().map(|connect| &*connect.dialect);
        let validity = dialect.and_then(|dialect| validity(&credential, dialect));
        connection.ends_at = validity.map(|validity| validity.until);
        let trouble = renewable.then(|| self.trouble(&key, &upstream.name)).flatten();
        (connection.status, connection.reason) = if upstream.is_home_of(&credential) {
            self.status(upstream, &key, record, &credential, renewable, trouble)
        } else {
            (Status::NeedsReconnect, Some(Reason::UpstreamMoved))
        };
        connection.condition = Some(match (connection.status, trouble) {
            (Status::NotConnected | Status::NeedsReconnect | Status::Expired, _) => {
                Condition::NeedsReconnect
            }
            (_, Some(error)) => error.into(),
            (_, None) if validity.is_some_and(|validity| is_ending(validity, now)) => {
                Condition::Expiring
            }
            (Status::Connected | Status::Unavailable, None) => Condition::Connected,
        });
        if connection.status == Status::Connected && !connection.wanted_scopes.is_empty() {
            connection.reason = Some(Reason::InsufficientScope);
        }
        connection.account = credential.account;
        connection.token_type = Some(credential.token_type);
        connection.scopes = credential.scopes;
        connection.audience = credential.audience;
        connection
    }

    fn status(
        &self,
        upstream: &Brokered,
        key: &CredentialKey,
        record: &Record,
        credential: &Credential,
        renewable: bool,
        trouble: Option<ObtainError>,
    ) -> (Status, Option<Reason>) {
        let now = self.broker.parts.clock.now();
        let expired = credential.expires_at.is_some_and(|end| now >= end);
        let rejection = self.broker.rejection(key, record.version);
        let beyond_refresh = |tried: bool| !renewable || tried;
        match record.health {
            Health::NeedsReconnect(reason) => (Status::NeedsReconnect, Some(reason)),
            Health::Good if credential.is_over(now) => (Status::Expired, Some(Reason::TermEnded)),
            Health::Good if rejection.is_some_and(|r| beyond_refresh(r.refreshed_at.is_some())) => {
                (Status::NeedsReconnect, Some(upstream.rejection()))
            }
            Health::Good if expired && !renewable => {
                (Status::Expired, Some(Reason::NeedsReconnect))
            }
            Health::Good => match trouble {
                Some(error) if expired => (Status::Unavailable, Some(error.reason())),
                _ => (Status::Connected, None),
            },
        }
    }

    /// What keeps this credential from being renewed now: its own last failure, or what is the
    /// matter with the provider for all.
    fn trouble(&self, key: &CredentialKey, upstream: &UpstreamName) -> Option<ObtainError> {
        let now = self.broker.parts.clock.now();
        let rest = self.broker.resting(key, now);
        rest.or_else(|| self.broker.breakers.shut(upstream, key, now)).map(|rest| rest.error)
    }

    pub(crate) fn permitted(
        &self,
        who: &Principal,
        server: &ConnectionName,
    ) -> Option<&Arc<Brokered>> {
        let upstream = self.upstream(&server.upstream)?;
        upstream.permits(who, server.account.as_ref()).then_some(upstream)
    }

    /// An upstream whose people consent at its authorization server.
    fn consented(
        &self,
        who: &Principal,
        server: &ConnectionName,
    ) -> Result<(&Arc<Brokered>, &Arc<OauthConnect>), ConnectError> {
        let upstream = self.permitted(who, server).ok_or(ConnectError(Reason::WrongUpstream))?;
        Ok((upstream, upstream.connect().ok_or(ConnectError(Reason::WrongUpstream))?))
    }

    pub(crate) fn upstream(&self, name: &UpstreamName) -> Option<&Arc<Brokered>> {
        self.upstreams.iter().find(|upstream| upstream.name == *name)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.broker.parts.vault
    }

    pub(crate) async fn audit(
        &self,
        act: &Act,
        action: Action,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let upstream = self.upstream(&act.server.upstream).map(|upstream| &**upstream);
        let by = (&act.who.user, act.request_id.as_ref());
        let of = upstream.map(|upstream| (upstream, &act.server));
        audit(&self.broker, by, of, action, outcome).await
    }
}

/// The accounts of `upstream` among what a person has.
fn accounts<'a>(
    held: &'a [(Slot, Stored)],
    upstream: &'a UpstreamName,
) -> impl Iterator<Item = &'a ConnectionName> {
    held.iter().filter_map(move |(slot, _)| match slot {
        Slot::Upstream(name) if name.upstream == *upstream => Some(name),
        _ => None,
    })
}

/// What is connected already can always be connected again.
pub(crate) fn check_room(
    held: &[(Slot, Stored)],
    server: &ConnectionName,
) -> Result<(), ConnectError> {
    let others = accounts(held, &server.upstream).filter(|name| *name != server).count();
    if others < ACCOUNTS_PER_UPSTREAM { Ok(()) } else { Err(ConnectError(Reason::TooManyAccounts)) }
}

/// A security act: written before the answer, and the answer fails with it. A server that is not
/// configured is somebody's text, and is not named.
pub(crate) async fn audit(
    broker: &Broker,
    (user, request_id): (&UserId, Option<&RequestId>),
    of: Option<(&Brokered, &ConnectionName)>,
    action: Action,
    outcome: Outcome,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at: broker.parts.clock.now(),
        user: Some(user.clone()),
        server: of.map(|(_, server)| server.clone()),
        method: of.map(|(upstream, _)| upstream.method()),
        action,
        outcome,
        request_id: request_id.cloned(),
        count: None,
    };
    broker.parts.audit.record(event).await
}

/// The PKCE verifier of a flow (RFC 7636 section 4.1: 43 characters), which only the browser that
/// began it can bring back.
fn verifier(browser: &BrowserSession, state: &str) -> Secret {
    let key = browser.secret.expose().as_bytes();
    let parts: [&[u8]; 2] = [b"connect pkce verifier", state.as_bytes()];
    Secret::new(base64url(&hmac_sha256(key, &parts)))
}
