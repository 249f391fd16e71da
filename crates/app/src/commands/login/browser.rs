//! The usual `attache login`: a browser on this machine comes back to a port that only this program
//! listens on (RFC 8252 section 7.3), with a code that only it can redeem (RFC 7636).

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use attache_core::{Dialect, Secret};
use attache_crypto::{
    digest::{base64url, same, sha256},
    random::{SystemRandom, token},
};
use attache_identity::authorization_server::{SCOPE, command_line::CALLBACK};
use attache_net::{
    serve::{Limits, Server},
    shutdown::Shutdown,
};
use attache_oauth::callback::{Callback, CallbackOutcome, check_issuer};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::sync::mpsc;
use url::form_urlencoded;

use super::{
    super::{
        remote::{Remote, open_browser},
        sign_in::SignIn,
    },
    API, CLIENT_ID,
    token::{self as endpoint, Answer, Refusal},
};
use crate::{Failure, terminal::Terminal};

/// How long the person may take: a little longer than the gateway lets them.
const PATIENCE: Duration = Duration::from_mins(11);
/// For the browser to take the last page.
const GRACE: Duration = Duration::from_secs(2);
/// A browser opens a few connections; whoever else knocks waits.
const CONNECTIONS: usize = 8;

pub(super) async fn sign_in(remote: &Remote, terminal: Terminal) -> Result<SignIn, Failure> {
    let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(anywhere, limits).map_err(Failure::failed)?;
    let redirect_uri = format!("http://{}{CALLBACK}", server.local_addr());
    let (state, verifier) = (token(&SystemRandom), token(&SystemRandom));
    let page = request(remote, &redirect_uri, &state, &verifier);
    terminal.message(format_args!("Opening {page}"));
    if !open_browser(&page) {
        terminal.message(
            "There is no browser here: open the address yourself, or use `attache login --device`.",
        );
    }
    let code = match answered(server, remote.origin(), &state).await? {
        CallbackOutcome::Code(code) => code,
        CallbackOutcome::Error(reason) => {
            return Err(Failure::Failed(format!("you were not signed in: {}", reason.as_str())));
        }
    };
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", &verifier),
    ];
    match endpoint::ask(remote, &form).await? {
        Answer::Tokens(sign_in) => Ok(sign_in),
        Answer::Refused(Refusal::Unavailable) => {
            Err(Failure::Failed("the gateway cannot sign anybody in just now".to_owned()))
        }
        Answer::Refused(_) => {
            Err(Failure::Failed("the gateway refused what the browser brought".to_owned()))
        }
    }
}

fn request(remote: &Remote, redirect_uri: &str, state: &str, verifier: &str) -> String {
    let challenge = base64url(&sha256(verifier.as_bytes()));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("resource", &remote.url(API))
        .append_pair("scope", SCOPE)
        .append_pair("state", state)
        .finish();
    remote.url(&format!("/oauth/authorize?{query}"))
}

/// Waits for the answer to our own question. What else comes to the port, from another page or
/// program, changes nothing.
async fn answered(server: Server, issuer: &str, state: &str) -> Result<CallbackOutcome, Failure> {
    let (told, mut heard) = mpsc::channel(1);
    let expected = Arc::new((issuer.to_owned(), Secret::new(state)));
    let service = service_fn(move |request: Request<Incoming>| {
        let (told, expected) = (told.clone(), Arc::clone(&expected));
        async move {
            let (issuer, state) = &*expected;
            let outcome = (request.uri().path() == CALLBACK)
                .then(|| outcome(request.uri().query().unwrap_or_default(), issuer, state))
                .flatten();
            let response = match outcome {
                None => page(StatusCode::NOT_FOUND, "Nothing is here."),
                Some(outcome) => {
                    let words = match &outcome {
                        CallbackOutcome::Code(_) => "Go back to the terminal: it goes on there.",
                        CallbackOutcome::Error(_) => "It was not let in.",
                    };
                    // Of two answers the first counts.
                    drop(told.try_send(outcome));
                    page(StatusCode::OK, words)
                }
            };
            Ok::<_, Infallible>(response)
        }
    });
    let shutdown = Shutdown::new(GRACE);
    let waiting = async {
        let heard = tokio::time::timeout(PATIENCE, heard.recv()).await;
        shutdown.begin();
        heard.ok().flatten()
    };
    let (ended, heard) = tokio::join!(server.serve(&shutdown, service), waiting);
    ended.map_err(Failure::failed)?;
    heard.ok_or_else(|| Failure::Failed("nobody signed in within ten minutes".to_owned()))
}

/// What came back, if it is an answer to us: with our `state`, from the gateway that was asked
/// (RFC 9207).
fn outcome(query: &str, issuer: &str, state: &Secret) -> Option<CallbackOutcome> {
    let callback = Callback::parse(query, &Dialect::default()).ok()?;
    let ours = same(callback.state.as_bytes(), state.expose().as_bytes());
    let asked = check_issuer(callback.iss.as_deref(), Some(issuer), true).is_ok();
    (ours && asked).then_some(callback.outcome)
}

fn page(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><title>attache</title>\
         <meta name=\"color-scheme\" content=\"light dark\"><p>{words}</p></html>"
    );
    let mut response = Response::new(Full::from(html));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_our_question_counts() {
        let gateway = "https://gw.example.com";
        let state = Secret::new("s");
        for (query, counts) in [
            ("code=c&state=s&iss=https%3A%2F%2Fgw.example.com", true),
            ("error=access_denied&state=s&iss=https%3A%2F%2Fgw.example.com", true),
            ("code=c&state=t&iss=https%3A%2F%2Fgw.example.com", false),
            ("code=c&iss=https%3A%2F%2Fgw.example.com", false),
            ("code=c&state=s&iss=https%3A%2F%2Fevil.example", false),
            ("code=c&state=s", false),
            ("code=c&code=d&state=s&iss=https%3A%2F%2Fgw.example.com", false),
            ("code=c&error=access_denied&state=s&iss=https%3A%2F%2Fgw.example.com", false),
            ("", false),
        ] {
            assert_eq!(outcome(query, gateway, &state).is_some(), counts, "{query}");
        }
    }
}
