//! The whole story without a browser window, each step checked: one line each, in plain words.

use std::fs;

use attache_core::Secret;
use attache_sandbox::{
    Browser, BrowserError, Person,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{
    cast::Cast,
    client::{ToolResult, call_tool, send},
};
use crate::{Failure, terminal::Terminal};

/// Calls at the moment the token runs out.
const CROWD: usize = 20;

pub(super) async fn play(cast: &Cast, terminal: Terminal) -> Result<(), Failure> {
    terminal.line(
        "Ada and Grace work at one company. Both keep notes at \"Sandbox Notes\", each in an",
    );
    terminal.line("account of her own. Their AI assistants reach it through attache, the gateway.");
    terminal.line("");
    let mut story = Story {
        cast,
        terminal,
        step: 0,
        ada: cast.bearer(ADA),
        grace: cast.bearer(GRACE),
        browser: Browser::of(ADA),
    };
    match story.tell().await {
        Ok(()) => {
            terminal.line("");
            terminal.line(
                "Every step did what it says. Run `attache demo` to play it yourself in a browser.",
            );
            Ok(())
        }
        Err(Off(what)) => Err(Failure::Failed(format!("step {}: {what}", story.step + 1))),
    }
}

struct Story<'a> {
    cast: &'a Cast,
    terminal: Terminal,
    step: u32,
    ada: Secret,
    grace: Secret,
    browser: Browser,
}

/// What was not as the story says.
struct Off(String);

impl From<BrowserError> for Off {
    fn from(error: BrowserError) -> Self {
        Self(error.to_string())
    }
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<(), Off> {
        let connect = self.cast.url("/connect/notes");

        let told = self.whoami(&self.ada).await?;
        expect(told.is_error && told.text.contains(connect.as_str()), &told.text)?;
        expect(self.cast.mcp.recorder().arrived() == 0, "the notes server was called")?;
        self.done(&format!(
            "Ada's assistant asks the notes server who she is. She has not connected it yet, so the\n   \
             gateway sends nothing on; it answers with the page where she can connect:\n   {connect}"
        ));

        self.connect(ADA, "notes").await?;
        expect(self.status(&self.ada, "notes").await? == "connected", "ada is not connected")?;
        self.done(
            "Ada opens that page, signs in at her company, and allows the gateway at Sandbox Notes.\n   \
             That is the only time she is asked.",
        );

        let told = self.whoami(&self.ada).await?;
        expect(told.text == "You are ada at Sandbox Notes", &told.text)?;
        self.done(
            "The same call again. The notes server answers: \"You are ada at Sandbox Notes\".",
        );

        let told = self.whoami(&self.grace).await?;
        expect(told.is_error && told.text.contains(connect.as_str()), &told.text)?;
        self.done("Grace's assistant calls. Ada's connection is no use to her: she is told where to connect.");

        self.connect(GRACE, "notes").await?;
        let told = self.whoami(&self.grace).await?;
        expect(told.text == "You are grace at Sandbox Notes", &told.text)?;
        let told = self.whoami(&self.ada).await?;
        expect(told.text == "You are ada at Sandbox Notes", &told.text)?;
        self.done("Grace connects too. Her calls arrive as grace, and Ada's still arrive as ada.");

        self.write(&self.ada, "the engine weaves").await?;
        self.write(&self.grace, "found a moth").await?;
        let (adas, graces) = (self.notes(&self.ada).await?, self.notes(&self.grace).await?);
        expect(
            adas == "the engine weaves" && graces == "found a moth",
            &format!("{adas} / {graces}"),
        )?;
        self.done("Each writes a note, and each finds only her own.");

        self.plain_api().await?;
        self.refresh().await?;
        self.secrets_stay_home()?;
        self.disconnect().await
    }

    async fn plain_api(&mut self) -> Result<(), Off> {
        let me = self.cast.url("/http/notes-api/me");
        let refused = send(Method::GET, &me, &self.ada, Bytes::new()).await?;
        let problem = refused.json().unwrap_or_default();
        let connect = self.cast.url("/connect/notes-api");
        expect(refused.status == StatusCode::FORBIDDEN, refused.status.as_str())?;
        let url = problem.get("connect_url").and_then(Value::as_str);
        expect(url == Some(connect.as_str()), &refused.body)?;

        self.connect(ADA, "notes-api").await?;
        let answer = send(Method::GET, &me, &self.ada, Bytes::new()).await?;
        expect(answer.status.is_success() && answer.body.contains("ada"), &answer.body)?;
        self.done(
            "A script of Ada's uses the service's plain HTTP API through the gateway: first it gets a\n   \
             403 that says where to connect, and once she has, an answer for ada.",
        );
        Ok(())
    }

    async fn refresh(&mut self) -> Result<(), Off> {
        let before = self.cast.provider.stats().refreshes;
        self.cast.provider.expire_access_tokens();
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..CROWD {
            let (endpoint, bearer) = (self.cast.url("/mcp/notes"), self.ada.clone());
            calls.spawn(async move { call_tool(&endpoint, &bearer, "whoami", json!({})).await });
        }
        for told in calls.join_all().await {
            let told = told?;
            expect(told.text == "You are ada at Sandbox Notes", &told.text)?;
        }
        let refreshes = self.cast.provider.stats().refreshes - before;
        expect(refreshes == 1, &format!("{refreshes} refreshes"))?;
        self.done(&format!(
            "The provider ends Ada's access token early, and {CROWD} calls come at once. All of them\n   \
             succeed; the gateway renewed her credential exactly once. Nobody clicked anything."
        ));
        Ok(())
    }

    fn secrets_stay_home(&mut self) -> Result<(), Off> {
        for bearer in [&self.ada, &self.grace] {
            let seen = [self.cast.mcp.recorder(), self.cast.api.recorder()];
            let leaked = seen.iter().any(|recorder| recorder.mentions(bearer.expose()));
            expect(!leaked, "a caller's own token reached an upstream")?;
        }
        self.done("Looking at every request the notes service got: none carries Ada's or Grace's company token.");

        let mut files = 0_u32;
        for entry in fs::read_dir(&self.cast.folder).map_err(|error| Off(error.to_string()))? {
            let path = entry.map_err(|error| Off(error.to_string()))?.path();
            let bytes = fs::read(&path).map_err(|error| Off(error.to_string()))?;
            files += 1;
            for secret in self.cast.provider.secrets() {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                expect(!found, &format!("a token lies open in {}", path.display()))?;
            }
        }
        expect(files > 1, "the store is not where it should be")?;
        self.done(
            "Looking into the gateway's files: no token of the provider lies there unencrypted.",
        );
        Ok(())
    }

    async fn disconnect(&mut self) -> Result<(), Off> {
        let url = self.cast.url("/api/v1/user/credentials/notes");
        let answer = send(Method::DELETE, &url, &self.ada, Bytes::new()).await?;
        expect(answer.status.is_success(), &answer.body)?;
        expect(self.cast.provider.stats().revocations > 0, "the provider was not told")?;
        let told = self.whoami(&self.ada).await?;
        expect(told.is_error && told.text.contains("/connect/notes"), &told.text)?;
        let told = self.whoami(&self.grace).await?;
        expect(told.text == "You are grace at Sandbox Notes", &told.text)?;
        self.done(
            "Ada disconnects. The credential is deleted here and revoked at Sandbox Notes; her next call\n   \
             is told where to connect, and Grace's still arrives as grace.",
        );
        Ok(())
    }

    /// In a browser of theirs: open the connect page, sign in, continue, allow.
    async fn connect(&mut self, person: Person, server: &str) -> Result<(), Off> {
        self.browser = Browser::of(person);
        let page = self.browser.visit(&self.cast.url(&format!("/connect/{server}"))).await?;
        let form =
            page.forms().into_iter().find(|form| form.action.path().starts_with("/connect/"));
        let form = form.ok_or_else(|| Off(format!("{} has no form to connect", page.url)))?;
        let page = self.browser.submit(&page, &form, form.buttons.first()).await?;
        let page = self.browser.follow(page).await?;
        let arrived =
            page.url.query().is_some_and(|query| query.contains("credential_connected=1"));
        expect(arrived, page.url.path())
    }

    async fn whoami(&self, bearer: &Secret) -> Result<ToolResult, Off> {
        Ok(call_tool(&self.cast.url("/mcp/notes"), bearer, "whoami", json!({})).await?)
    }

    async fn write(&self, bearer: &Secret, note: &str) -> Result<(), Off> {
        let endpoint = self.cast.url("/mcp/notes");
        let told = call_tool(&endpoint, bearer, "add_note", json!({ "text": note })).await?;
        expect(!told.is_error, &told.text)
    }

    async fn notes(&self, bearer: &Secret) -> Result<String, Off> {
        let endpoint = self.cast.url("/mcp/notes");
        Ok(call_tool(&endpoint, bearer, "list_notes", json!({})).await?.text)
    }

    async fn status(&self, bearer: &Secret, server: &str) -> Result<String, Off> {
        let url: Url = self.cast.url("/api/v1/user/credentials");
        let page = send(Method::GET, &url, bearer, Bytes::new()).await?;
        let listed = page.json().unwrap_or_default();
        let credentials = listed.get("credentials").and_then(Value::as_array);
        let one = credentials.into_iter().flatten().find(|one| one["server"] == server);
        let status = one.and_then(|one| one.get("status")).and_then(Value::as_str);
        status.map(str::to_owned).ok_or_else(|| Off(page.body.clone()))
    }

    fn done(&mut self, what: &str) {
        self.step += 1;
        self.terminal.line(format_args!("{:>2} {what}", self.step));
    }
}

fn expect(holds: bool, otherwise: &str) -> Result<(), Off> {
    if holds { Ok(()) } else { Err(Off(otherwise.to_owned())) }
}
