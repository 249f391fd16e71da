//! JWT access tokens (RFC 9068; RS-9, RS-10, RS-11, RS-13, RS-15).

use std::{sync::Arc, time::Duration};

use attache_core::{
    ClaimName, IssuerId, Reach, Secret, Timestamp, authenticator::AuthnError, principal::Presented,
};
use attache_crypto::{
    digest::sha256,
    jose::{self, Algorithm, JwtError, Verified},
};
use attache_oauth::issuer::Issuer;
use serde_json::{Map, Value};

use crate::{audience::Audiences, claims::Claims};

/// How far two honest clocks are apart (RS-10).
pub(crate) const SKEW: Duration = Duration::from_mins(1);

/// What an access token of an issuer must say, whether it is signed or asked about.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) issuer: IssuerId,
    pub(crate) audiences: Audiences,
    pub(crate) subject_claim: String,
    pub(crate) groups_claim: ClaimName,
    pub(crate) is_exchanged: bool,
    /// As of browser sign-in at the same issuer.
    pub(crate) hosted_domains: Vec<String>,
}

/// The signed access tokens of one issuer.
#[derive(Debug)]
pub(crate) struct Accepts {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) terms: Terms,
    /// Our client id at this issuer, whom its ID tokens are for.
    pub(crate) sign_in_client: Option<String>,
}

/// One that was checked.
pub(crate) struct AccessToken {
    pub(crate) issuer: IssuerId,
    pub(crate) subject: String,
    pub(crate) reach: Reach,
    pub(crate) presented: Option<Arc<Presented>>,
    /// `None`: its issuer does not say.
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) claims: Map<String, Value>,
    /// Where they say the person's groups.
    pub(crate) groups_claim: ClaimName,
}

impl Terms {
    /// What `token` says, which somebody vouches for.
    pub(crate) fn read(
        &self,
        token: &str,
        said: Map<String, Value>,
        now: Timestamp,
    ) -> Result<AccessToken, AuthnError> {
        let claims = Claims(&said);
        if claims.text("iss") != Some(self.issuer.as_str()) {
            return rejected("the token is of another issuer");
        }
        let Some(reach) = self.audiences.reach(claims) else {
            return rejected("the token is not for this gateway");
        };
        // Whoever sends it would have to prove that they hold a key (RS-16).
        if claims.has("cnf") {
            return rejected("the token is bound to a key and cannot be used as a bearer token");
        }
        if !claims.is_hosted_at(&self.hosted_domains) {
            return rejected("the token is of somebody of another organization");
        }
        let Some(expires_at) = claims.time("exp") else {
            return rejected("the token has no end");
        };
        if expires_at.plus(SKEW) <= now {
            return rejected("the token has expired");
        }
        if claims.has("nbf")
            && claims.time("nbf").is_none_or(|not_before| not_before > now.plus(SKEW))
        {
            return rejected("the token is not valid yet");
        }
        let Some(subject) = claims.subject(&self.subject_claim) else {
            return rejected("the token does not say whose it is");
        };
        let presented = self.is_exchanged.then(|| {
            let (token, digest) = (Secret::new(token), sha256(token.as_bytes()));
            let tenant = claims.text("tid").map(str::to_owned);
            Arc::new(Presented { issuer: self.issuer.clone(), tenant, token, digest })
        });
        Ok(AccessToken {
            issuer: self.issuer.clone(),
            subject,
            reach,
            presented,
            issued_at: claims.time("iat").or_else(|| claims.time("nbf")),
            expires_at,
            claims: said,
            groups_claim: self.groups_claim.clone(),
        })
    }
}

impl Accepts {
    pub(crate) async fn check(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<AccessToken, AuthnError> {
        let Verified { typ, claims, .. } = verify(&self.issuer, token).await?;
        let read = self.terms.read(token, claims, now)?;
        self.refuse_other_types(typ.as_deref(), Claims(&read.claims))?;
        Ok(read)
    }

    /// An ID token proves to a client that somebody signed in; it is no permission to call (RS-13).
    /// Issuers that do not mark their access tokens as such (RFC 9068 section 2.1) are believed
    /// when nothing speaks against it.
    fn refuse_other_types(&self, typ: Option<&str>, claims: Claims<'_>) -> Result<(), AuthnError> {
        let typ = typ.map(str::to_ascii_lowercase);
        match typ.as_deref() {
            Some("at+jwt" | "application/at+jwt") => return Ok(()),
            Some("jwt") | None => {}
            Some(_) => return rejected("the token is not an access token"),
        }
        // Entra's access tokens may be for the same client id, but say what they permit.
        let for_client = self.sign_in_client.as_ref().is_some_and(|id| claims.lists("aud", id));
        let permits = claims.has("scp") || claims.has("scope");
        let of_a_sign_in = ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.has(name));
        if of_a_sign_in || (for_client && !permits) {
            return rejected("an ID token is not an access token");
        }
        Ok(())
    }
}

/// What a key of `issuer` signed.
pub(crate) async fn verify(issuer: &Issuer, token: &str) -> Result<Verified, AuthnError> {
    let keys = issuer.keys().await?;
    let verified = match jose::verify(token, &keys, Algorithm::ALL) {
        Err(JwtError::UnknownKey) => {
            let keys = issuer.keys_newer_than(&keys).await?;
            jose::verify(token, &keys, Algorithm::ALL)
        }
        verified => verified,
    };
    verified.map_err(|error| {
        AuthnError::Rejected(match error {
            JwtError::Malformed => "the token is not a signed JSON web token",
            JwtError::UnknownKey => "the token is signed with a key its issuer does not have",
            JwtError::Algorithm => "the token is signed with an algorithm not allowed here",
            JwtError::Signature => "the signature of the token is wrong",
        })
    })
}

pub(super) fn rejected<T>(why: &'static str) -> Result<T, AuthnError> {
    Err(AuthnError::Rejected(why))
}
