//! `attache login` as a person types it, and whoever would like to be in its place.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use attache_sandbox::Page;
use http::StatusCode;
use serde_json::Value;
use tokio::task::spawn_blocking;
use url::Url;

use crate::{
    app::{App, error, press},
    visitor::Visitor,
    world::World,
};

const CLI: &str = "attache-cli";

/// Where somebody works: what they keep there, and no browser that opens by itself.
struct Machine {
    state: PathBuf,
    gateway: String,
}

impl Machine {
    fn of(world: &World) -> Self {
        let state = world.home.config_file().with_file_name("state");
        Self { state, gateway: world.origin.origin().ascii_serialization() }
    }

    fn attache(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
        for name in ["ATTACHE_URL", "ATTACHE_TOKEN", "ATTACHE_OUTPUT"] {
            command.env_remove(name);
        }
        command.args(arguments).env("XDG_STATE_HOME", &self.state).env("PATH", "");
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.attache(arguments);
        spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic")
    }

    /// `attache login`, which waits for a browser.
    fn login(&self, arguments: &[&str]) -> Login {
        let mut command = self.attache(&[&["login", "--url", &self.gateway], arguments].concat());
        let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Login { child, stderr }
    }

    /// The whole way with a browser.
    async fn signed_in(&self, person: &mut Visitor) {
        let login = self.login(&[]);
        let (login, page) = login.says("Opening ").await;
        let callback = approved(person, &page).await;
        let last = person.open(&callback).await;
        assert!(last.body.contains("Go back to the terminal"), "{} {}", last.status, last.body);
        let (code, words) = login.ends().await;
        assert_eq!(
            (code, words.as_str()),
            (Some(0), &*format!("You are signed in to {}\n", self.gateway))
        );
    }

    /// The only file that is kept.
    fn file(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.state.join("attache/sign-ins")).into_iter().flatten();
        let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        assert!(files.len() <= 1, "{files:?}");
        files.into_iter().next()
    }

    /// What is in it, which nobody else ever sees.
    fn kept(&self, world: &World) -> Value {
        let file = self.file().expect("a file");
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let kept = serde_json::from_slice(&fs::read(file).expect("it is ours")).expect("JSON");
        for token in ["access_token", "refresh_token"] {
            drop(world.program_with(text(&kept, token)));
        }
        kept
    }

    /// As after an hour.
    fn age(&self) {
        let file = self.file().expect("a file");
        let kept = fs::read(&file).expect("it is ours");
        let mut kept: Value = serde_json::from_slice(&kept).expect("JSON");
        kept.as_object_mut().expect("an object").insert("expires_at_ms".to_owned(), 0.into());
        fs::write(file, kept.to_string()).expect("it is ours");
    }
}

struct Login {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Login {
    /// Reads up to the line that begins so: the rest of it.
    async fn says(mut self, beginning: &'static str) -> (Self, String) {
        let read = spawn_blocking(move || {
            loop {
                let mut line = String::new();
                let length = self.stderr.read_line(&mut line).expect("text");
                assert!(length > 0, "it ended without {beginning:?}");
                if let Some(rest) = line.strip_prefix(beginning) {
                    break (self, rest.trim_end().to_owned());
                }
            }
        });
        read.await.expect("it says so")
    }

    /// The exit code, and the last line.
    async fn ends(mut self) -> (Option<i32>, String) {
        let ended = spawn_blocking(move || {
            let (mut line, mut last) = (String::new(), String::new());
            while self.stderr.read_line(&mut line).expect("text") > 0 {
                last = std::mem::take(&mut line);
            }
            (self.child.wait().expect("it was ours").code(), last)
        });
        ended.await.expect("no panic")
    }
}

/// Says yes on the consent page: where the browser then goes.
async fn approved(person: &mut Visitor, page: &str) -> Url {
    let page = person.open(&Url::parse(page).expect("a URL")).await;
    assert!(page.body.contains("It can use no server"), "{}", page.body);
    assert!(page.body.contains("attache on the command line"), "{}", page.body);
    let decided = press(person, &page, "allow").await;
    let here = |url: &Url| url.path() == "/callback" && url.host_str() == Some("127.0.0.1");
    let back = person.follow_until(decided, here).await;
    back.location().expect("the way back")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).expect("a text")
}

fn servers(output: &Output) -> Vec<String> {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let listed = listed.get("credentials").and_then(Value::as_array).expect("a list").clone();
    listed.iter().map(|one| text(one, "server").to_owned()).collect()
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const LIST: [&str; 4] = ["credential", "list", "-o", "json"];

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_once_and_goes_on() {
    let mut world = World::new().await;
    let machine = Machine::of(&world);
    let before = failed(&machine.run(&LIST).await, 2);
    assert!(before.contains("which gateway?"), "{before}");
    let url = ["--url", machine.gateway.as_str()];
    let before = failed(&machine.run(&[&LIST[..], &url].concat()).await, 2);
    assert!(before.contains("attache login --url"), "{before}");

    let mut ada = world.stranger(attache_sandbox::people::ADA);
    machine.signed_in(&mut ada).await;
    let first = machine.kept(&world);
    // No gateway is named: there is one only.
    assert!(servers(&machine.run(&LIST).await).contains(&"notes".to_owned()));

    machine.age();
    world.later(std::time::Duration::from_mins(16));
    world.restart().await;
    assert!(servers(&machine.run(&LIST).await).contains(&"vip".to_owned()), "Ada is an engineer");
    let second = machine.kept(&world);
    assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));

    // Whoever signs in again leaves no other way in behind.
    machine.signed_in(&mut ada).await;
    let third = machine.kept(&world);
    let mut app = App::new(&world).await;
    app.id = CLI.to_owned();
    let stray = app.refresh(text(&second, "refresh_token")).await;
    assert_eq!(error(&stray), (400, "invalid_grant".to_owned()));

    let out = machine.run(&["logout"]).await;
    assert!(out.status.success(), "{out:?}");
    assert_eq!(machine.file(), None);
    let over = app.refresh(text(&third, "refresh_token")).await;
    assert_eq!(error(&over), (400, "invalid_grant".to_owned()));
    let program = world.program_with(text(&third, "access_token"));
    let listed = program.get("/api/v1/user/credentials").await;
    assert_eq!(listed.status, StatusCode::UNAUTHORIZED, "at once");
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// Any page in any browser can send requests to a port of this machine.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_answer_to_its_own_question_signs_anybody_in() {
    let world = World::new().await;
    let machine = Machine::of(&world);
    let (mut ada, mut eve) = (world.ada().await, world.grace().await);
    let (login, page) = machine.login(&[]).says("Opening ").await;
    let (other, elsewhere) = machine.login(&[]).says("Opening ").await;
    let genuine = approved(&mut ada, &page).await;
    // Eve's own code, so that Ada's commands would be Eve's.
    let hers = approved(&mut eve, &elsewhere).await;
    let with = |change: &dyn Fn(&mut Url)| {
        let mut url = genuine.clone();
        change(&mut url);
        url
    };
    for (what, url) in [
        ("another login's answer", with(&|url| url.set_query(hers.query()))),
        ("no answer", with(&|url| url.set_query(None))),
        ("no state", with(&|url| url.set_query(Some("code=x")))),
        ("an error of a stranger", with(&|url| url.set_query(Some("error=access_denied&state=x")))),
        ("another path", with(&|url| url.set_path("/"))),
    ] {
        let page: Page = ada.open(&url).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{what}");
    }
    assert_eq!(ada.open(&genuine).await.status, StatusCode::OK);
    assert_eq!(login.ends().await.0, Some(0));
    drop(machine.kept(&world));
    // And who is refused is told, and keeps what they had.
    let error = format!("error=access_denied&{}", hers.query().expect("a query"));
    let error: Vec<_> = error.split('&').filter(|pair| !pair.starts_with("code=")).collect();
    let mut refused = hers.clone();
    refused.set_query(Some(&error.join("&")));
    eve.open(&refused).await;
    let (code, words) = other.ends().await;
    assert_eq!(code, Some(1));
    assert!(words.contains("access_denied"), "{words}");
    assert!(!servers(&machine.run(&LIST).await).is_empty());
    drop(machine.kept(&world));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_browser_a_code_is_typed_elsewhere() {
    let world = World::new().await;
    let machine = Machine::of(&world);
    let mut ada = world.ada().await;
    for (decision, code, words) in
        [("refuse", 1, "it was not let in"), ("allow", 0, "You are signed in")]
    {
        let (login, user_code) = machine.login(&["--device"]).says("    ").await;
        let page = ada.visit(&format!("/device?user_code={user_code}")).await;
        let form = page.forms().into_iter().find(|form| form.action.path() == "/device").unwrap();
        let asked = ada.browser.submit(&page, &form, form.buttons.first()).await.unwrap();
        let form = asked.forms();
        let form = form.iter().find(|form| form.action.path() == "/device/decision").unwrap();
        let button = form.buttons.iter().find(|button| button.value == decision);
        ada.browser.submit(&asked, form, button).await.unwrap();
        let (ended, said) = login.ends().await;
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(machine.file().is_some(), decision == "allow");
    }
    drop(machine.kept(&world));
    assert!(!servers(&machine.run(&LIST).await).is_empty());
    world.end().await;
}

/// A sign-in that was ended elsewhere is gone here too, and says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_was_ended_says_so() {
    let world = World::new().await;
    let machine = Machine::of(&world);
    let mut ada = world.ada().await;
    machine.signed_in(&mut ada).await;
    let kept = machine.kept(&world);
    let mut app = App::new(&world).await;
    app.id = CLI.to_owned();
    assert_eq!(app.revoke(text(&kept, "refresh_token")).await.status, StatusCode::OK);
    let words = failed(&machine.run(&LIST).await, 1);
    assert!(words.contains("your sign-in has ended"), "{words}");
    machine.age();
    let words = failed(&machine.run(&LIST).await, 1);
    assert!(words.contains("attache login --url"), "{words}");
    assert_eq!(machine.file(), None);
    world.end().await;
}

/// Tokens go to the gateway that gave them, by a way that nobody reads along on.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_to_another_gateway_by_mistake() {
    let world = World::new().await;
    let machine = Machine::of(&world);
    let named = machine.gateway.replace("127.0.0.1", "localhost");
    for url in [&*named, world.idp.issuer(), "http://gw.example.com", "ftp://127.0.0.1"] {
        let output = machine.run(&["login", "--url", url]).await;
        assert!(!output.status.success(), "{url}");
    }
    let mut ada = world.ada().await;
    machine.signed_in(&mut ada).await;
    drop(machine.kept(&world));
    // The other name is another gateway, for which there is nothing.
    let words = failed(&machine.run(&[&LIST[..], &["--url", &named]].concat()).await, 2);
    assert!(words.contains("you are not signed in"), "{words}");
    // Nor is a token sent to the gateway that happens to be known.
    let words = failed(&machine.run(&[&LIST[..], &["--token", "of-another"]].concat()).await, 2);
    assert!(words.contains("Name the gateway"), "{words}");
    world.end().await;
}
