//! The gateway's token endpoint, for its own command line (RFC 6749 section 5).

use std::time::Duration;

use attache_core::{Clock as _, Secret, SystemClock};
use http::StatusCode;
use serde_json::Value;

use super::{
    super::{remote::Remote, sign_in::SignIn},
    CLIENT_ID,
};
use crate::Failure;

pub(crate) enum Answer {
    Tokens(SignIn),
    Refused(Refusal),
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The person did not decide yet.
    Pending,
    SlowDown,
    /// The person said no.
    Denied,
    /// What was brought is good no more.
    Ended,
    /// Perhaps later.
    Unavailable,
    Other,
}

/// What a person is told whose sign-in is over.
pub(crate) fn ended(gateway: &str) -> String {
    format!("your sign-in has ended: `attache login --url {gateway}` begins another")
}

/// Asks for tokens; the client says who it is.
pub(crate) async fn ask(remote: &Remote, form: &[(&str, &str)]) -> Result<Answer, Failure> {
    let form: Vec<_> = form.iter().copied().chain([("client_id", CLIENT_ID)]).collect();
    let (status, answer) = remote.post("/oauth/token", &form).await?;
    if status != StatusCode::OK {
        return Ok(Answer::Refused(refusal(status, &answer)));
    }
    read(remote.origin(), &answer).map(Answer::Tokens).ok_or_else(|| {
        Failure::Failed("the gateway's answer has no tokens that can be used".to_owned())
    })
}

pub(crate) async fn refresh(remote: &Remote, token: &Secret) -> Result<Answer, Failure> {
    ask(remote, &[("grant_type", "refresh_token"), ("refresh_token", token.expose())]).await
}

/// Ends everything of this sign-in at the gateway (RFC 7009).
pub(crate) async fn revoke(remote: &Remote, token: &Secret) -> Result<(), Failure> {
    let form = [("token", token.expose()), ("client_id", CLIENT_ID)];
    match remote.post("/oauth/revoke", &form).await? {
        (StatusCode::OK, _) => Ok(()),
        (status, _) => Err(Failure::Failed(format!("the gateway answered {status}"))),
    }
}

fn refusal(status: StatusCode, answer: &Value) -> Refusal {
    match answer.get("error").and_then(Value::as_str) {
        Some("authorization_pending") => Refusal::Pending,
        Some("slow_down") => Refusal::SlowDown,
        Some("access_denied") => Refusal::Denied,
        Some("invalid_grant" | "expired_token") => Refusal::Ended,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Refusal::Unavailable
        }
        _ => Refusal::Other,
    }
}

fn read(gateway: &str, answer: &Value) -> Option<SignIn> {
    let text = |name| answer.get(name).and_then(Value::as_str);
    let is_bearer = text("token_type")?.eq_ignore_ascii_case("bearer");
    let lives = Duration::from_secs(answer.get("expires_in")?.as_u64()?);
    is_bearer.then_some(SignIn {
        gateway: gateway.to_owned(),
        access_token: Secret::new(text("access_token")?),
        expires_at: SystemClock.now().plus(lives),
        refresh_token: Secret::new(text("refresh_token")?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_a_word_of_ours() {
        for (status, error, expected) in [
            (400, "authorization_pending", Refusal::Pending),
            (400, "slow_down", Refusal::SlowDown),
            (400, "access_denied", Refusal::Denied),
            (400, "expired_token", Refusal::Ended),
            (400, "invalid_grant", Refusal::Ended),
            (503, "temporarily_unavailable", Refusal::Unavailable),
            (429, "temporarily_unavailable", Refusal::Unavailable),
            (502, "", Refusal::Unavailable),
            (400, "anything else", Refusal::Other),
            (401, "invalid_client", Refusal::Other),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refusal(status, &json!({ "error": error })), expected, "{status} {error}");
        }
    }
}
