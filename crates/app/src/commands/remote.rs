//! A gateway somewhere, as a person's own programs reach it.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use attache_core::{
    PublicOrigin, Secret,
    outbound::{Limits, Outbound as _},
};
use attache_net::{address::EgressRules, outbound::ControlClient, tls::Trust};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::Failure;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(30), max_body: 1024 * 1024 };

pub(super) struct Remote {
    origin: PublicOrigin,
    client: ControlClient,
}

impl Remote {
    /// Where their own gateway is, is the person's to say.
    pub(super) fn new(url: &Url) -> Result<Self, Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Usage(
                "the gateway's URL begins with https:// (or http:// on this machine)".to_owned(),
            ));
        }
        let anywhere = ["0.0.0.0/0", "::/0"].map(str::parse).into_iter().flatten();
        let rules = Arc::new(EgressRules { allow_private: anywhere.collect() });
        let client = ControlClient::new(rules, &Trust::load(None).map_err(Failure::failed)?);
        Ok(Self { origin: PublicOrigin::new(url), client })
    }

    pub(super) fn origin(&self) -> &str {
        self.origin.as_str()
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.origin.url(path)
    }

    /// Status and JSON of the answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
    ) -> Result<(StatusCode, Value), Failure> {
        let mut request = Request::builder().method(method).uri(self.url(path));
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
                .map_err(|_| Failure::Usage("the token has characters no token has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        self.send(request.body(Bytes::new()).map_err(Failure::failed)?).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Value), Failure> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(self.url(path))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .map_err(Failure::failed)?;
        self.send(request).await
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<(StatusCode, Value), Failure> {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json);
        let answer = self.client.fetch(request, LIMITS).await.map_err(Failure::failed)?;
        Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null)))
    }
}

/// The program gets the address as one argument; no shell reads it (CVE-2025-6514).
pub(super) fn open_browser(page: &str) -> bool {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(opener)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    quiet.is_ok()
}
