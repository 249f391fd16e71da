//! One call of `whoami`, and what came of it.

use std::time::Duration;

use reqwest::blocking::Client;

use crate::http::json;

/// Nothing takes longer: a call waits a minute for a refresh whose process died.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The name that belongs to the token which arrived.
    Name(String),
    /// 403: the person should connect again.
    Connect,
    /// 503, and why: the same call may succeed later.
    Later(String),
    /// The replica went away before it answered.
    Broken,
}

/// How a program calls the upstream `api`.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: Client,
    host: String,
    bearer: String,
}

impl Caller {
    /// `public_url` is where the gateway believes to be, whichever replica is called.
    pub(crate) fn new(public_url: &str, bearer: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let host = public_url.trim_start_matches("http://").to_owned();
        Self { client, host, bearer: bearer.to_owned() }
    }

    /// By the way of `url`: the front's, or one replica's.
    pub(crate) fn whoami(&self, url: &str) -> Heard {
        let asked = self.client.get(format!("{url}/http/api/whoami")).bearer_auth(&self.bearer);
        let Ok(answer) = asked.header("host", &self.host).send() else { return Heard::Broken };
        match answer.status().as_u16() {
            200 => answer.text().map_or(Heard::Broken, Heard::Name),
            403 => {
                let problem = json(answer);
                assert!(problem["connect_url"].is_string(), "{problem}");
                Heard::Connect
            }
            503 => Heard::Later(json(answer)["detail"].as_str().expect("words").to_owned()),
            other => panic!("{other}: {}", answer.text().unwrap_or_default()),
        }
    }
}
