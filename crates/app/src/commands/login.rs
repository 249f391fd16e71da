//! `attache login` and `attache logout`: a person's sign-in to a gateway, on this machine.

mod browser;
mod device;
pub(super) mod token;

use attache_identity::authorization_server::{API, command_line::CLIENT_ID};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{gateway::gateway_url, remote::Remote, sign_in::SignIns};
use crate::{
    Failure,
    cli::{Global, Login},
    terminal::Terminal,
};

pub(crate) async fn run(login: &Login, global: &Global, terminal: Terminal) -> Result<(), Failure> {
    let all = SignIns::here()?;
    let remote = Remote::new(&gateway_url(global)?)?;
    lets_people_in(&remote).await?;
    let sign_in = if login.device {
        device::sign_in(&remote, terminal).await?
    } else {
        browser::sign_in(&remote, terminal).await?
    };
    // What was there before is ended where it can be, so that it is no stray way in.
    if let Some(before) = all.find(remote.origin())? {
        drop(token::revoke(&remote, &before.refresh_token).await);
    }
    all.keep(&sign_in)?;
    said(&remote, "signed_in", "You are signed in to", terminal);
    Ok(())
}

pub(crate) async fn out(global: &Global, terminal: Terminal) -> Result<(), Failure> {
    let all = SignIns::here()?;
    let remote = Remote::new(&gateway_url(global)?)?;
    let Some(sign_in) = all.find(remote.origin())? else {
        return Err(Failure::Failed(format!("you are not signed in to {}", remote.origin())));
    };
    // Here first: whatever happens there, this machine can no longer act for the person.
    all.forget(remote.origin())?;
    if token::revoke(&remote, &sign_in.refresh_token).await.is_err() {
        return Err(Failure::Failed(format!(
            "signed out here, but the gateway could not be told: end it at {}",
            remote.url("/ui/programs")
        )));
    }
    said(&remote, "signed_out", "You are signed out of", terminal);
    Ok(())
}

/// Whether it is the gateway it is called, and serves clients: said before a browser opens.
async fn lets_people_in(remote: &Remote) -> Result<(), Failure> {
    let path = "/.well-known/oauth-authorization-server";
    let (status, metadata) = remote.call(Method::GET, path, None).await?;
    let issuer = metadata.get("issuer").and_then(Value::as_str);
    match (status, issuer) {
        (StatusCode::OK, Some(issuer)) if issuer == remote.origin() => Ok(()),
        (StatusCode::OK, Some(_)) => Err(Failure::Failed(format!(
            "what answers at {} has another name: use the gateway's public_url",
            remote.origin()
        ))),
        _ => Err(Failure::Failed(format!(
            "nobody can sign in at {}: it is no gateway, its authorization_server is off, or its \
             public_url is another",
            remote.origin()
        ))),
    }
}

fn said(remote: &Remote, word: &str, words: &str, terminal: Terminal) {
    if terminal.is_machine() {
        terminal.data(&json!({ "gateway": remote.origin(), "status": word }), Vec::new);
    } else {
        terminal.message(format_args!("{words} {}", remote.origin()));
    }
}
