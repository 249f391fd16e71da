//! Devices without a browser (RFC 8628): they show a code, which a person who is signed in elsewhere
//! types and compares. Only for clients that the operator vouches for, since whoever begins can be
//! anywhere and send anybody a link.

use std::{net::IpAddr, sync::Arc, time::Duration};

use attache_core::{
    Principal, RequestId, Timestamp, UserId,
    audit::{Action, Outcome, Reason},
    store::{Code, Decision, Device, DeviceStore, StoreError},
};
use attache_crypto::{digest::sha256, random};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{
    AuthorizationServer, MAX_GRANTS,
    client::{Client, ClientError},
    consent::{self, Browser},
    document::Asker,
    error::OAuthError,
    params::Params,
    request::SCOPE,
    resource::Opens,
    token::Tokens,
    user_code::UserCode,
};
use crate::{
    cookie::Name,
    throttle::{Pace, Throttle, network},
};

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Where a person types the code.
pub const PAGE: &str = "/device";

/// How long a code can be typed and redeemed.
const LIFE: Duration = Duration::from_mins(10);
/// How often a device is told to ask, and how often it may: its clock and ours differ.
const INTERVAL: Duration = Duration::from_secs(5);
const EACH_DEVICE: Pace = Pace { burst: 1, interval: Duration::from_secs(4) };
const ALL_DEVICES: Pace = Pace { burst: 1_000, interval: Duration::from_millis(2) };
/// Codes that wait, or waited and have not been swept.
const MAX_WAITING: u32 = 1_000;
/// Codes begun from one address, an office among them; and from all.
const EACH_ADDRESS: Pace = Pace { burst: 10, interval: Duration::from_secs(30) };
const ALL_ADDRESSES: Pace = Pace { burst: 100, interval: Duration::from_secs(1) };
/// Codes typed by one person, and by all (RFC 8628 section 5.1).
const EACH_PERSON: Pace = Pace { burst: 10, interval: Duration::from_mins(1) };
const ALL_PEOPLE: Pace = Pace { burst: 100, interval: Duration::from_secs(1) };

#[derive(Debug)]
pub(super) struct Devices {
    store: Arc<dyn DeviceStore>,
    begun: Throttle<Option<IpAddr>>,
    typed: Throttle<UserId>,
    polled: Throttle<[u8; 32]>,
}

impl Devices {
    pub(super) fn new(store: Arc<dyn DeviceStore>) -> Self {
        Self {
            store,
            begun: Throttle::new(EACH_ADDRESS, ALL_ADDRESSES),
            typed: Throttle::new(EACH_PERSON, ALL_PEOPLE),
            polled: Throttle::new(EACH_DEVICE, ALL_DEVICES),
        }
    }
}

/// One that a person is asked about.
#[derive(Debug)]
pub struct AskedDevice {
    pub client: String,
    pub opens: Opens,
    /// As the device shows it.
    pub user_code: String,
    /// From where, and when, the device asked.
    pub address: Option<String>,
    pub asked_at: Timestamp,
    /// For the form: what proves that it was shown.
    pub ticket: String,
    pub cookie: HeaderValue,
}

#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("no device waits with this code")]
    UnknownCode,
    #[error("too many codes were tried")]
    TooManyCodes,
    #[error("the form was shown in another browser, to somebody else, or too long ago")]
    NotShown,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthorizationServer {
    /// A device that asks from `address` begins (RFC 8628 section 3.2): the answer, as JSON.
    pub async fn begin_device(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<Value, OAuthError> {
        let params = Params::parse(form);
        if params.is_repeated("resource") {
            return Err(OAuthError::InvalidTarget);
        }
        if params.has_repeated() {
            return Err(OAuthError::InvalidRequest("a parameter is there twice"));
        }
        let client = self.client(&params, headers).await?;
        if !client.is_trusted() {
            return Err(OAuthError::UnauthorizedClient);
        }
        let scopes = params.get("scope").map(attache_oauth::scope::parse);
        if scopes.is_some_and(|scopes| !scopes.iter().any(|one| one == SCOPE)) {
            return Err(OAuthError::InvalidScope);
        }
        let resource = self.resources().asked(params.get("resource"));
        let resource =
            resource.filter(|resource| self.resources().are_for(&client, &resource.opens));
        let resource = resource.ok_or(OAuthError::InvalidTarget)?;
        let now = self.clock.now();
        if !self.devices.begun.permits(&address.map(network), now) {
            return Err(OAuthError::Busy);
        }
        let device_code = random::token(&*self.random);
        let user_code = UserCode::new(&*self.random);
        let device = Device {
            device_code: sha256(device_code.as_bytes()),
            user_code: user_code.digest(),
            client_id: client.id.clone(),
            resource: resource.url,
            address: address.map(|address| address.to_canonical().to_string()),
            decision: None,
            created_at: now,
            expires_at: now.plus(LIFE),
        };
        if !self.devices.store.insert(&device, MAX_WAITING, now).await? {
            return Err(OAuthError::Busy);
        }
        let page = self.resources().origin.url(PAGE);
        Ok(json!({
            "device_code": device_code,
            "user_code": user_code.to_string(),
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": LIFE.as_secs(),
            "interval": INTERVAL.as_secs(),
        }))
    }

    /// The device that shows what was typed, to be put to `who`.
    pub async fn ask_device(
        &self,
        typed: &str,
        headers: &HeaderMap,
        who: &Principal,
    ) -> Result<AskedDevice, DeviceError> {
        let (code, device) = self.waiting(typed, who).await?;
        let client = self.clients.find(&device.client_id, Asker::Stranger).await?;
        let resource = self.resources().parse(&device.resource).ok_or(DeviceError::UnknownCode)?;
        let browser = self.browser(headers).unwrap_or_else(|| Browser::new(&*self.random));
        Ok(AskedDevice {
            client: client.name.clone(),
            opens: resource.opens,
            user_code: code.to_string(),
            address: device.address,
            asked_at: device.created_at,
            ticket: browser.ticket(&shown(code), Some(who), self.clock.now()),
            cookie: self.cookies.set(Name::Consent, &browser.0, consent::LIFE),
        })
    }

    /// What the person said in the form, and whether that lets the device in.
    pub async fn decide_device(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        who: &Principal,
        request_id: Option<RequestId>,
    ) -> Result<Decision, DeviceError> {
        let params = Params::parse(form);
        let typed = params.get("user_code").unwrap_or_default();
        let code = UserCode::parse(typed).ok_or(DeviceError::NotShown)?;
        let ticket = params.get("ticket").unwrap_or_default();
        let now = self.clock.now();
        let was_shown = self
            .browser(headers)
            .is_some_and(|browser| browser.showed(ticket, &shown(code), Some(who), now));
        if !was_shown {
            return Err(DeviceError::NotShown);
        }
        let (_, device) = self.waiting(typed, who).await?;
        let client = self.clients.find(&device.client_id, Asker::Stranger).await?;
        let decision = match params.get("decision") {
            Some("allow") => Decision::Approved,
            _ => Decision::Refused,
        };
        if !self.devices.store.decide(device.device_code, decision, now).await? {
            return Err(DeviceError::UnknownCode);
        }
        let outcome = match decision {
            Decision::Approved => {
                self.let_in(&device, &client, who, now).await?;
                Outcome::Success
            }
            Decision::Refused => Outcome::Failure(Reason::AccessDenied),
        };
        let resource = self.resources().parse(&device.resource);
        let upstream = resource.and_then(|resource| resource.opens.upstream().cloned());
        let user = Some(who.user.clone());
        self.write(Action::ClientApprove, outcome, user, upstream, request_id).await?;
        Ok(decision)
    }

    /// A device asks whether it is let in yet (RFC 8628 section 3.4).
    pub(super) async fn redeem_device(
        &self,
        client: &Client,
        params: &Params,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let code = params.get("device_code");
        let code = code.ok_or(OAuthError::InvalidRequest("device_code is missing"))?;
        let (digest, now) = (sha256(code.as_bytes()), self.clock.now());
        let issued = self.grants.find_code(digest, now).await?;
        let issued = issued.filter(|issued| is_of_device(&issued.code));
        let Some(issued) = issued.filter(|issued| issued.grant.client_id == client.id) else {
            return Err(self.not_let_in(client, digest, now).await?);
        };
        if !self.devices.polled.permits(&digest, now) {
            return Err(OAuthError::SlowDown);
        }
        if issued.redeemed {
            return self.replayed(&issued.grant, request).await;
        }
        if now >= issued.code.expires_at {
            return Err(OAuthError::ExpiredToken);
        }
        self.fits(client, &issued.grant, params)?;
        self.is_let_in(&issued.grant).await?;
        self.issue(digest, issued.grant, request).await
    }

    /// Why not. One that is let in, but of whom nothing else is written yet, waits a moment longer.
    async fn not_let_in(
        &self,
        client: &Client,
        code: [u8; 32],
        now: Timestamp,
    ) -> Result<OAuthError, StoreError> {
        let device = self.devices.store.find(code).await?;
        let Some(device) = device.filter(|device| device.client_id == client.id) else {
            return Ok(OAuthError::InvalidGrant("there is no such device code"));
        };
        // Only of codes that exist: whoever makes some up slows nobody down.
        if !self.devices.polled.permits(&code, now) {
            return Ok(OAuthError::SlowDown);
        }
        Ok(match device {
            device if now >= device.expires_at => OAuthError::ExpiredToken,
            Device { decision: Some(Decision::Refused), .. } => OAuthError::AccessDenied,
            _ => OAuthError::AuthorizationPending,
        })
    }

    /// The device whose code `who` typed. Who tries many finds none.
    async fn waiting(
        &self,
        typed: &str,
        who: &Principal,
    ) -> Result<(UserCode, Device), DeviceError> {
        let now = self.clock.now();
        let code = UserCode::parse(typed).ok_or(DeviceError::UnknownCode)?;
        if !self.devices.typed.permits(&who.user, now) {
            return Err(DeviceError::TooManyCodes);
        }
        let found = self.devices.store.find_by_user_code(code.digest(), now).await?;
        Ok((code, found.ok_or(DeviceError::UnknownCode)?))
    }

    async fn let_in(
        &self,
        device: &Device,
        client: &Client,
        who: &Principal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let grant = self.unredeemed(client, &device.resource, who, now);
        let code = Code {
            digest: device.device_code,
            challenge: String::new(),
            redirect_uri: String::new(),
            expires_at: device.expires_at,
        };
        self.grants.insert(&grant, &code, MAX_GRANTS, now).await
    }
}

/// What a ticket is about: no authorization request reads so.
fn shown(code: UserCode) -> String {
    format!("device {code}")
}

/// Of nobody who was sent anywhere: no authorization request can have such a code, nor can such a
/// one be redeemed as theirs.
fn is_of_device(code: &Code) -> bool {
    code.redirect_uri.is_empty() && code.challenge.is_empty()
}
