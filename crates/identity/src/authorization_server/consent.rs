//! What a person decided in one browser (AS-11 to AS-14). Nothing of it is stored: a form carries a
//! ticket and, from the decision until the client has its code, the browser a cookie. Both are proved
//! by a cookie that only this browser and we have seen.

use std::time::Duration;

use attache_core::{Principal, Secret, Timestamp, principal::AuthenticatedBy};
use attache_crypto::{
    digest::{base64url, hmac_sha256, same, sha256},
    random::{self, Random},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// How long a person may take to decide, and then to sign in and to connect.
pub(super) const LIFE: Duration = Duration::from_mins(10);
/// How far the clocks of two replicas are apart.
const SKEW: Duration = Duration::from_mins(2);

/// The value of the consent cookie: one for all tabs of a browser.
#[derive(Debug)]
pub(super) struct Browser(pub(super) Secret);

/// What was approved: a request, as it was sent, in a browser that was `signed_in` or not.
#[derive(Debug)]
pub(super) struct Approval {
    pub(super) query: String,
    /// SHA-256 of the whole, to be spent before anything else.
    pub(super) digest: [u8; 32],
    /// No replica takes it from here on.
    pub(super) over_at: Timestamp,
}

impl Browser {
    pub(super) fn new(random: &dyn Random) -> Self {
        Self(Secret::new(random::token(random)))
    }

    /// From a cookie, if that has the form of one of ours.
    pub(super) fn known(cookie: Secret) -> Option<Self> {
        let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let text = cookie.expose();
        (text.len() == TOKEN_LENGTH && text.bytes().all(ours)).then_some(Self(cookie))
    }

    /// For the form that asks `who` about `query`.
    pub(super) fn ticket(&self, query: &str, who: Option<&Principal>, now: Timestamp) -> String {
        let asked = now.0.to_string();
        let proof = self.proof("ticket", &[&asked, &session(who), query]);
        format!("{asked}.{proof}")
    }

    /// Whether the form was shown in this browser, to this person, about this, and lately.
    pub(super) fn showed(
        &self,
        ticket: &str,
        query: &str,
        who: Option<&Principal>,
        now: Timestamp,
    ) -> bool {
        let Some((asked, proof)) = ticket.split_once('.') else { return false };
        let good = self.proof("ticket", &[asked, &session(who), query]);
        same(proof.as_bytes(), good.as_bytes()) && is_recent(asked, now).is_some()
    }

    /// The cookie of an approval. `once` makes each another.
    pub(super) fn approve(
        &self,
        query: &str,
        who: Option<&Principal>,
        now: Timestamp,
        random: &dyn Random,
    ) -> Secret {
        let (at, session) = (now.0.to_string(), session(who));
        let once = random::token(random);
        let request = base64url(query.as_bytes());
        let proof = self.proof("approval", &[&at, &session, &once, &request]);
        Secret::new(format!("{at}.{session}.{once}.{request}.{proof}"))
    }

    /// What was approved in this browser lately: by `who`, or before they signed in.
    pub(super) fn approved(
        &self,
        cookie: &Secret,
        who: &Principal,
        now: Timestamp,
    ) -> Option<Approval> {
        let parts: Vec<&str> = cookie.expose().split('.').collect();
        let [at, of, once, request, proof] = parts.as_slice() else { return None };
        let good = self.proof("approval", &[at, of, once, request]);
        if !same(proof.as_bytes(), good.as_bytes()) {
            return None;
        }
        if !of.is_empty() && *of != session(Some(who)) {
            return None;
        }
        let at = is_recent(at, now)?;
        Some(Approval {
            query: String::from_utf8(URL_SAFE_NO_PAD.decode(request).ok()?).ok()?,
            digest: sha256(cookie.expose().as_bytes()),
            over_at: at.plus(LIFE + SKEW),
        })
    }

    fn proof(&self, usage: &str, parts: &[&str]) -> String {
        let parts: Vec<&[u8]> =
            std::iter::once(usage).chain(parts.iter().copied()).map(str::as_bytes).collect();
        base64url(&hmac_sha256(self.0.expose().as_bytes(), &parts))
    }
}

/// Of [`random::token`]: 256 bits in base64url.
const TOKEN_LENGTH: usize = 43;

fn is_recent(moment: &str, now: Timestamp) -> Option<Timestamp> {
    let moment = Timestamp(moment.parse().ok()?);
    (moment <= now.plus(SKEW) && now < moment.plus(LIFE)).then_some(moment)
}

/// The session of somebody who is signed in; nothing for nobody.
fn session(who: Option<&Principal>) -> String {
    match who.map(|who| &who.authenticated_by) {
        Some(AuthenticatedBy::Session(digest)) => digest.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use attache_core::{IssuerId, Reach, UserId, principal::SessionDigest};
    use attache_crypto::random::SystemRandom;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_435_200_000);

    fn person(session: u8) -> Principal {
        Principal {
            user: UserId::new("ada"),
            issuer: IssuerId::new("https://idp"),
            subject: "ada".to_owned(),
            email: None,
            name: None,
            groups: Vec::new(),
            authenticated_by: AuthenticatedBy::Session(SessionDigest([session; 32])),
            reach: Reach::everything(),
            expires_at: NOW,
        }
    }

    #[test]
    fn a_ticket_is_of_one_browser_one_person_and_one_request() {
        let (browser, ada, grace) = (Browser::new(&SystemRandom), person(1), person(2));
        let ticket = browser.ticket("q", Some(&ada), NOW);
        assert!(browser.showed(&ticket, "q", Some(&ada), NOW));
        for (browser, query, who, now) in [
            (&Browser::new(&SystemRandom), "q", Some(&ada), NOW),
            (&browser, "p", Some(&ada), NOW),
            (&browser, "q", Some(&grace), NOW),
            (&browser, "q", None, NOW),
            (&browser, "q", Some(&ada), NOW.plus(LIFE)),
        ] {
            assert!(!browser.showed(&ticket, query, who, now), "{query} {who:?} {now}");
        }
        assert!(!browser.showed("", "q", Some(&ada), NOW));
    }

    #[test]
    fn an_approval_is_of_one_browser_and_whoever_gave_it() {
        let (browser, ada, grace) = (Browser::new(&SystemRandom), person(1), person(2));
        let hers = browser.approve("q", Some(&ada), NOW, &SystemRandom);
        let nobodys = browser.approve("q", None, NOW, &SystemRandom);
        let query = |browser: &Browser, cookie: &Secret, who: &Principal, now| {
            browser.approved(cookie, who, now).map(|approval| approval.query)
        };
        let good = Some("q".to_owned());
        assert_eq!(query(&browser, &hers, &ada, NOW), good);
        assert_eq!(query(&browser, &nobodys, &grace, NOW), good, "she signed in afterwards");
        assert_eq!(query(&browser, &hers, &grace, NOW), None);
        assert_eq!(query(&browser, &hers, &ada, NOW.plus(LIFE)), None);
        assert_eq!(query(&Browser::new(&SystemRandom), &hers, &ada, NOW), None);
        // A ticket is no approval, nor is one bent to be of nobody.
        let ticket = Secret::new(browser.ticket("q", Some(&ada), NOW));
        assert_eq!(query(&browser, &ticket, &ada, NOW), None);
        let session = session(Some(&ada));
        let bent = Secret::new(hers.expose().replace(&session, ""));
        assert_eq!(query(&browser, &bent, &grace, NOW), None);
    }
}
