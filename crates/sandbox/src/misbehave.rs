//! Behaviour that a test or a demo asks for: what the next answers of a peer are to be.

use std::{collections::VecDeque, time::Duration};

use crate::shared::Shared;

/// What an attacker who owns a remote server writes wherever it lets them. It must not turn up in
/// a page, an answer or a log of anybody else.
pub const MARKER: &str = "sandbox-marker-5b1f<script>alert(1)</script>";

/// Answers that can wait in one script; more are dropped.
const MAX_SCRIPT: usize = 1_000;

/// The next answers of one endpoint, in order; when they run out, it behaves.
#[derive(Clone, Debug, Default)]
pub struct Script<T>(Shared<VecDeque<T>>);

impl<T: Clone + Default> Script<T> {
    /// Once, after those that wait already.
    pub fn next(&self, answer: T) {
        self.repeat(answer, 1);
    }

    pub fn repeat(&self, answer: T, times: usize) {
        self.0.with(|script| {
            let room = MAX_SCRIPT.saturating_sub(script.len());
            script.extend(std::iter::repeat_n(answer, times.min(room)));
        });
    }

    /// Behave from now on.
    pub fn clear(&self) {
        self.0.with(VecDeque::clear);
    }

    pub(crate) fn take(&self) -> T {
        self.0.with(VecDeque::pop_front).unwrap_or_default()
    }
}

/// What a token endpoint answers. Those of the first group leave the grant as it was; those of the
/// second come after it was used: a code is spent, a refresh token rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenAnswer {
    #[default]
    Normal,

    /// 200 with this `error`, and [`MARKER`] as its description.
    OkWithError(&'static str),
    /// 400 `invalid_grant`, with [`MARKER`] as its description.
    InvalidGrant,
    /// 401 `invalid_client`.
    InvalidClient,
    /// 429 with `Retry-After`.
    TooManyRequests(Duration),
    Status500,
    /// 200 with a page.
    Html,
    /// 307 to `/trap`, which counts what arrives there.
    Redirect,
    /// 200 with a hundred megabytes of JSON.
    Huge,
    /// No answer for ten minutes.
    Hang,
    /// The connection is closed without an answer.
    DropConnection,

    /// The answer is lost after the grant was used: the connection is closed.
    LoseAnswer,
    /// The access token goes on with a line break and a header.
    CrLfToken,
    /// `token_type` is not `Bearer`.
    WrongTokenType,
    /// `expires_in` is a string.
    ExpiresInString,
    NoExpiresIn,
    /// No refresh token in the answer; the one presented stays good.
    NoRefreshToken,
    /// No ID token in an identity provider's answer to a refresh (`OpenID` Connect Core section 12.2).
    NoIdToken,
}

/// What an identity provider answers who is asked for an ID-JAG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdJagAnswer {
    #[default]
    Normal,
    /// 400 with this `error`, and [`MARKER`] as its description.
    Error(&'static str),
    /// 200 with this `issued_token_type` after the last colon, and this `token_type`.
    Typed(&'static str, &'static str),
    /// 503.
    Away,
}

/// What an authorization endpoint sends the browser back with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallbackAnswer {
    #[default]
    Normal,
    /// A code, and somebody else's `iss` (RFC 9207).
    WrongIssuer,
    /// A code, and no `iss` although the metadata promise one.
    NoIssuer,
    /// A code, and no `state`.
    NoState,
    /// `code` occurs twice.
    CodeTwice,
    /// This `error` instead of a code, with [`MARKER`] as its description.
    Error(&'static str),
    /// The same from somebody else's `iss`.
    ErrorOfWrongIssuer(&'static str),
}

/// What an authorization server does with scopes that it does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownScopes {
    /// `invalid_scope` (RFC 6749 section 4.1.2.1).
    #[default]
    Refuse,
    /// As if it listed them.
    Grant,
    /// Without a word, as it may (RFC 6749 section 3.3).
    LeaveOut,
}

/// What an ID token says (`OpenID` Connect Core section 3.1.3.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdTokenAnswer {
    #[default]
    Normal,
    WrongNonce,
    NoNonce,
    WrongIssuer,
    WrongAudience,
    Expired,
    /// Signed by a key that the key set does not have.
    UnknownKey,
    /// `"alg": "none"`.
    Unsigned,
    /// It says so in `hd`, as Google does of accounts that an organization manages.
    HostedDomain(&'static str),
}
