//! `attache login --device`: the browser is somewhere else (RFC 8628).

use std::time::Duration;

use attache_core::{Clock as _, Secret, SystemClock};
use attache_identity::authorization_server::DEVICE_PAGE;
use http::StatusCode;
use serde_json::Value;

use super::{
    super::{remote::Remote, sign_in::SignIn},
    API, CLIENT_ID,
    token::{self, Answer, Refusal},
};
use crate::{Failure, terminal::Terminal};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What a gateway may say of how often it is asked, and for how long.
const INTERVAL: (u64, u64) = (1, 60);
const LONGEST: u64 = 3_600;
/// Added whenever it was too often (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

pub(super) async fn sign_in(remote: &Remote, terminal: Terminal) -> Result<SignIn, Failure> {
    let resource = remote.url(API);
    let form = [("client_id", CLIENT_ID), ("resource", &*resource)];
    let begun = match remote.post("/oauth/device_authorization", &form).await? {
        (StatusCode::OK, answer) => Begun::read(&answer),
        (StatusCode::TOO_MANY_REQUESTS, _) => {
            return Err(Failure::Failed("too many sign-ins begin there: try again".to_owned()));
        }
        (status, _) => return Err(Failure::Failed(format!("the gateway answered {status}"))),
    };
    let begun = begun.ok_or_else(|| {
        Failure::Failed("the gateway's answer has no code that can be shown".to_owned())
    })?;
    // Its own page, whatever the answer says.
    terminal.message(format_args!(
        "Open {} in a browser, on any device, and type\n\n    {}\n",
        remote.url(DEVICE_PAGE),
        begun.user_code
    ));
    wait(remote, begun).await
}

async fn wait(remote: &Remote, begun: Begun) -> Result<SignIn, Failure> {
    let until = SystemClock.now().plus(begun.lives);
    let mut pause = begun.interval;
    let form = [("grant_type", GRANT_TYPE), ("device_code", begun.device_code.expose())];
    while SystemClock.now() < until {
        tokio::time::sleep(pause).await;
        // A gateway that is away for a while may be back in time.
        let Ok(answer) = token::ask(remote, &form).await else { continue };
        match answer {
            Answer::Tokens(sign_in) => return Ok(sign_in),
            Answer::Refused(Refusal::Pending | Refusal::Unavailable) => {}
            Answer::Refused(Refusal::SlowDown) => pause += SLOWER,
            Answer::Refused(Refusal::Denied) => {
                return Err(Failure::Failed("it was not let in".to_owned()));
            }
            Answer::Refused(Refusal::Ended) => break,
            Answer::Refused(Refusal::Other) => {
                return Err(Failure::Failed("the gateway does not know this program".to_owned()));
            }
        }
    }
    Err(Failure::Failed("nobody typed the code in time: begin again".to_owned()))
}

/// What the gateway gave the device (RFC 8628 section 3.2).
struct Begun {
    device_code: Secret,
    user_code: String,
    interval: Duration,
    lives: Duration,
}

impl Begun {
    fn read(answer: &Value) -> Option<Self> {
        let text = |name| answer.get(name).and_then(Value::as_str);
        let number = |name| answer.get(name).and_then(Value::as_u64);
        let user_code = text("user_code")?;
        let is_code = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if user_code.is_empty() || user_code.len() > 32 || !user_code.chars().all(is_code) {
            return None;
        }
        let (least, most) = INTERVAL;
        Some(Self {
            device_code: Secret::new(text("device_code")?),
            user_code: user_code.to_owned(),
            interval: Duration::from_secs(number("interval").unwrap_or(5).clamp(least, most)),
            lives: Duration::from_secs(number("expires_in")?.min(LONGEST)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_code_is_shown() {
        let begun = |user_code: &str, interval: u64| {
            let answer = json!({ "device_code": "d", "user_code": user_code, "expires_in": 600,
                "interval": interval, "verification_uri": "https://evil.example" });
            Begun::read(&answer).map(|begun| begun.interval.as_secs())
        };
        assert_eq!(begun("WDJB-MJHT", 5), Some(5));
        assert_eq!(begun("WDJB-MJHT", 0), Some(1));
        assert_eq!(begun("WDJB-MJHT", 9_999), Some(60));
        for odd in ["", "\u{1b}[2J", "AB CD", "https://evil.example", &"A".repeat(33)] {
            assert_eq!(begun(odd, 5), None, "{odd}");
        }
    }
}
