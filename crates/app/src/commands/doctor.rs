//! `attache doctor`: what will not work and what to change, before any person is annoyed.
//!
//! It asks what a gateway would ask and changes nothing: it registers no client, migrates no table
//! and has nobody consent. Its report holds no secret and no text of another server.

mod address;
mod authorization_server;
mod client;
mod clock;
mod explain;
mod gateway;
mod identity_provider;
mod journal;
mod print;
mod registration;
mod report;
mod resource;
mod scopes;
mod subject_token;
mod upstream;

use std::sync::Arc;

use attache_config::{Config, model::Upstream};
use attache_core::{Clock, SystemClock, outbound::Outbound};
use attache_crypto::random::{Random, SystemRandom};
use attache_net::{address::EgressRules, outbound::ControlClient, tls::Trust};

use self::{
    journal::Journal,
    report::{Report, Section},
};
use super::accepted;
use crate::{
    Failure,
    cli::{Doctor, Global},
    telemetry,
    terminal::Terminal,
};

/// What an examination is made with.
struct Tools<'a> {
    config: &'a Config,
    rules: &'a EgressRules,
    trust: &'a Trust,
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Whether token endpoints may be asked with a code that nobody issued.
    probes: bool,
}

impl Tools<'_> {
    /// An empty one, in front of the network.
    fn journal(&self) -> Journal {
        Journal::new(&self.outbound, &self.clock)
    }
}

pub(crate) async fn run(
    doctor: &Doctor,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    telemetry::install(global, terminal, true);
    let (file, config, problems) = accepted(doctor.config.as_deref(), terminal)?;
    let trust = Trust::load(None).map_err(Failure::failed)?;
    let rules = Arc::new(EgressRules { allow_private: config.egress.allow_private.clone() });
    let tools = Tools {
        config: &config,
        rules: &rules,
        trust: &trust,
        outbound: Arc::new(ControlClient::new(Arc::clone(&rules), &trust)),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        probes: !doctor.no_probe,
    };
    let sections = if let Some(name) = &doctor.upstream {
        vec![upstream::examine(named(&config, name)?, &tools).await]
    } else {
        let mut sections = vec![gateway::examine(&file, &problems, &tools).await];
        sections.extend(everything_beyond(&tools).await);
        sections
    };
    let report = Report::new(tools.clock.now(), config.public_url.to_string(), sections);
    if terminal.is_machine() {
        terminal.data(&report, Vec::new);
    } else {
        for line in print::lines(&report) {
            terminal.line(line);
        }
    }
    match report.wrong {
        0 => Ok(()),
        wrong => Err(Failure::Failed(format!("{wrong} of what was looked at will not work"))),
    }
}

/// Identity providers first: without them nobody gets as far as an upstream.
async fn everything_beyond(tools: &Tools<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let identity = &tools.config.identity;
    if let Some(oidc) = &identity.oidc {
        sections.push(identity_provider::examine(oidc, tools).await);
    }
    let mut seen: Vec<_> = identity.oidc.iter().map(|oidc| &oidc.issuer).collect();
    for jwt in &identity.jwt {
        if !seen.contains(&&jwt.issuer) {
            seen.push(&jwt.issuer);
            sections.push(identity_provider::examine_issuer(&jwt.issuer, tools).await);
        }
    }
    for upstream in &tools.config.upstreams {
        sections.push(upstream::examine(upstream, tools).await);
    }
    sections
}

fn named<'a>(config: &'a Config, name: &str) -> Result<&'a Upstream, Failure> {
    let found = config.upstreams.iter().find(|upstream| upstream.name.as_str() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = config.upstreams.iter().map(|one| one.name.as_str()).collect();
        Failure::Usage(format!("there is no upstream {name}; there are: {}", names.join(", ")))
    })
}
