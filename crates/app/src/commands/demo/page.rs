//! The story for a person to play: a page with Ada's and Grace's assistants on it, and what the
//! notes server saw of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use askama::Template;
use attache_core::Secret;
use attache_sandbox::{
    Person,
    people::{ADA, EVERYBODY, GRACE},
    recorder::Recorded,
};
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, State},
    response::{Html, IntoResponse, Redirect},
    routing::{get, post},
};
use bytes::Bytes;
use http::{Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{
    cast::Cast,
    client::{call_tool, send},
};
use crate::{Failure, terminal::Terminal};

/// Requests of the notes server that the page shows.
const SHOWN: usize = 8;
/// Tokens whose holders are remembered.
const REMEMBERED: usize = 1_000;
/// Bytes of a form with two short fields.
const MAX_FORM: usize = 4 * 1024;

/// Serves the page until the person has seen enough.
pub(super) async fn show(cast: &Arc<Cast>, terminal: Terminal) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Failure::failed)?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    let stage = Arc::new(Stage {
        cast: Arc::clone(cast),
        bearers: [(ADA, cast.bearer(ADA)), (GRACE, cast.bearer(GRACE))],
        said: Mutex::default(),
        known: Mutex::default(),
    });
    let routes = Router::new()
        .route("/", get(page))
        .route("/style.css", get(style))
        .route("/call", post(call))
        .route("/disconnect", post(disconnect))
        .route("/expire", post(expire))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(stage);

    terminal
        .line(format_args!("Open http://{address}/ in your browser: Ada and Grace wait there.\n"));
    terminal.line(format_args!("The gateway              {}", cast.gateway_url));
    terminal.line(format_args!("  an MCP server          {}", cast.url("/mcp/notes")));
    terminal.line(format_args!("  a plain HTTP API       {}", cast.url("/http/notes-api/me")));
    terminal.line(format_args!("  my connections         {}", cast.url("/ui/connections")));
    terminal.line(format_args!(
        "  its configuration      {}",
        cast.folder.join("attache.toml").display()
    ));
    terminal.line(format_args!("Sandbox sign-in          {}", cast.idp.url()));
    terminal.line(format_args!("Sandbox Notes            {}", cast.provider.url()));
    terminal.line(format_args!(
        "\nBe Ada in a terminal:\n  export ATTACHE_URL={} ATTACHE_TOKEN=$(cat {})\n  \
         attache credential list",
        cast.gateway_url,
        cast.token_file(ADA).display(),
    ));
    terminal.line("\nCtrl-C ends it. `attache demo --check` plays the whole story by itself.");

    let served = axum::serve(listener, routes).with_graceful_shutdown(async {
        told_to_stop().await;
    });
    served.await.map_err(Failure::failed)
}

/// Ctrl-C, or whatever else ends programs politely.
async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

struct Stage {
    cast: Arc<Cast>,
    bearers: [(Person, Secret); 2],
    said: Mutex<Option<Said>>,
    /// Whose tokens were that the page has shown.
    known: Mutex<HashMap<String, String>>,
}

/// What came of the last thing that was done.
#[derive(Clone)]
struct Said {
    what: String,
    answer: String,
    means: &'static str,
    tone: &'static str,
    connect_url: Option<String>,
    person: &'static str,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct Page {
    said: Option<Said>,
    people: Vec<Shown>,
    seen: Vec<Seen>,
    refreshes: u64,
    connect_url: String,
    gateway: String,
    config: String,
}

struct Shown {
    id: &'static str,
    name: &'static str,
    short: &'static str,
    connected: bool,
    state: String,
    tone: &'static str,
}

struct Seen {
    request: String,
    token: String,
    holder: String,
}

#[derive(Deserialize)]
struct Asked {
    person: String,
    tool: Option<String>,
}

async fn page(State(stage): State<Arc<Stage>>) -> impl IntoResponse {
    let mut people = Vec::new();
    for (person, bearer) in &stage.bearers {
        people.push(stage.shown(*person, bearer).await);
    }
    let page = Page {
        said: stage.said.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        people,
        seen: stage.seen(),
        refreshes: stage.cast.provider.stats().refreshes,
        connect_url: stage.cast.url("/connect/notes").to_string(),
        gateway: stage.cast.gateway_url.to_string(),
        config: stage.cast.folder.join("attache.toml").display().to_string(),
    };
    Html(page.render().unwrap_or_else(|error| error.to_string()))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], include_str!("../../../templates/demo.css"))
}

async fn call(State(stage): State<Arc<Stage>>, Form(asked): Form<Asked>) -> Redirect {
    let tool = asked.tool.as_deref().unwrap_or("whoami");
    let Some((person, bearer)) = stage.person(&asked.person) else { return Redirect::to("/") };
    let (deed, arguments) = match tool {
        "add_note" => ("writes down a note", json!({ "text": "a note from the demo" })),
        "list_notes" => ("reads her notes", json!({})),
        _ => ("asks the notes server “who am I?”", json!({})),
    };
    let short = short(person);
    let what = format!("{short}'s assistant {deed}. The answer:");
    let said = match call_tool(&stage.cast.url("/mcp/notes"), bearer, tool, arguments).await {
        Ok(result) if result.is_error => Said {
            what,
            answer: result.text,
            means: "The gateway has no credential of hers for Sandbox Notes, and it never uses \
                    anybody else's. So it sent nothing on, and said where she can connect.",
            tone: "warn",
            connect_url: Some(stage.cast.url("/connect/notes").to_string()),
            person: short,
        },
        Ok(result) => Said {
            what,
            answer: if result.text.is_empty() { "(no notes)".to_owned() } else { result.text },
            means: "The call went through the gateway, which put her own credential on it.",
            tone: "good",
            connect_url: None,
            person: short,
        },
        Err(error) => Said {
            what,
            answer: error.to_string(),
            means: "The gateway could not be reached.",
            tone: "warn",
            connect_url: None,
            person: short,
        },
    };
    stage.say(said)
}

async fn disconnect(State(stage): State<Arc<Stage>>, Form(asked): Form<Asked>) -> Redirect {
    let Some((person, bearer)) = stage.person(&asked.person) else { return Redirect::to("/") };
    let url = stage.cast.url("/api/v1/user/credentials/notes");
    let answer = send(Method::DELETE, &url, bearer, Bytes::new()).await;
    stage.say(Said {
        what: format!("{} disconnects. The receipt:", short(person)),
        answer: answer.map_or_else(|error| error.to_string(), |page| page.body),
        means: "Her credential is deleted from the gateway and revoked at Sandbox Notes.",
        tone: "good",
        connect_url: None,
        person: short(person),
    })
}

async fn expire(State(stage): State<Arc<Stage>>) -> Redirect {
    stage.cast.provider.expire_access_tokens();
    stage.say(Said {
        what: "Sandbox Notes ended every access token.".to_owned(),
        answer: "Try a call: nobody will have to click anything.".to_owned(),
        means: "The gateway notices the first refusal, renews the credential once, and asks again.",
        tone: "good",
        connect_url: None,
        person: "",
    })
}

impl Stage {
    fn person(&self, id: &str) -> Option<(Person, &Secret)> {
        let found = self.bearers.iter().find(|(person, _)| person.id == id);
        found.map(|(person, bearer)| (*person, bearer))
    }

    fn say(&self, said: Said) -> Redirect {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        Redirect::to("/")
    }

    async fn shown(&self, person: Person, bearer: &Secret) -> Shown {
        let url = self.cast.url("/api/v1/user/credentials");
        let listed = send(Method::GET, &url, bearer, Bytes::new()).await;
        let listed = listed.ok().and_then(|page| page.json()).unwrap_or_default();
        let credentials = listed.get("credentials").and_then(Value::as_array);
        let notes = credentials.into_iter().flatten().find(|one| one["server"] == "notes");
        let status = notes.and_then(|one| one.get("status")).and_then(Value::as_str);
        let connected = status == Some("connected");
        Shown {
            id: person.id,
            name: person.name,
            short: short(person),
            connected,
            state: if connected { "Connected to Sandbox Notes" } else { "Not connected" }
                .to_owned(),
            tone: if connected { "good" } else { "warn" },
        }
    }

    /// The newest first, with only the beginning of each token.
    fn seen(&self) -> Vec<Seen> {
        let requests = self.cast.mcp.recorder().requests();
        requests.iter().rev().take(SHOWN).map(|request| self.describe(request)).collect()
    }

    fn describe(&self, request: &Recorded) -> Seen {
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let word = |pointer| message.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let holder = bearer.map(|token| self.holder(token));
        Seen {
            request: format!("{} {} {}", request.method, word("/method"), word("/params/name")),
            token: bearer.map_or_else(
                || "none".to_owned(),
                |token| format!("{}…", token.chars().take(9).collect::<String>()),
            ),
            holder: holder.unwrap_or_default(),
        }
    }

    /// Whose a token is, or was when it was looked at before.
    fn holder(&self, token: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = self.cast.provider.tokens().check(token) {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(token.to_owned(), holder.account.clone());
            return holder.account;
        }
        let before = known.get(token).map(|account| format!("{account} (ended since)"));
        before.unwrap_or_else(|| "an ended token".to_owned())
    }
}

fn short(person: Person) -> &'static str {
    EVERYBODY
        .into_iter()
        .find(|one| one.id == person.id)
        .and_then(|one| one.name.split(' ').next())
        .unwrap_or(person.id)
}
