//! `attache health`: what `/readyz` says, for a container that holds no other program to ask it.

use std::{sync::Arc, time::Duration};

use attache_core::outbound::{Limits, Outbound as _};
use attache_net::{address::EgressRules, outbound::ControlClient, tls::Trust};
use bytes::Bytes;
use http::Request;

use crate::{Failure, cli::Health, terminal::Terminal};

/// A little more than the gateway gives its store; what it answers is a line.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(4), max_body: 4 * 1024 };

pub(crate) async fn run(health: &Health, terminal: Terminal) -> Result<(), Failure> {
    // Which gateway is meant is for whoever asks to say.
    let anywhere = ["0.0.0.0/0", "::/0"].map(str::parse).into_iter().flatten();
    let rules = Arc::new(EgressRules { allow_private: anywhere.collect() });
    let client = ControlClient::new(rules, &Trust::load(None).map_err(Failure::failed)?);
    let request = Request::get(format!("http://{}/readyz", health.admin)).body(Bytes::new());
    let answer = client
        .fetch(request.map_err(Failure::failed)?, LIMITS)
        .await
        .map_err(|_| Failure::Failed(format!("no gateway answers at {}", health.admin)))?;
    let said = String::from_utf8_lossy(answer.body()).trim().to_owned();
    if !answer.status().is_success() {
        return Err(Failure::Failed(said));
    }
    terminal.line(said);
    Ok(())
}
