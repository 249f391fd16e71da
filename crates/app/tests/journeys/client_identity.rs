//! As whom a gateway that servers can reach asks them for tokens: by its documents, by what it
//! registered, with its keys, and by requests that no browser carries (OC-8, OC-9, OC-10, OC-15).

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    brokered,
    gateway::Gateway,
    http::http,
    peers::{Browser, Peer, free_port, run},
    people::Person,
};

/// Where people and servers find it; what ends TLS there and leads to it is played by the peers.
const GATEWAY: &str = "https://gw.example.com";
const HOST: &str = "gw.example.com";
const TOKEN_LIFE: Duration = Duration::from_secs(3);

#[test]
fn by_the_document_that_it_publishes() {
    let mut stage = Stage::new(
        &json!({ "documents": true, "registers": false, "pushed": true, "proved": true }),
    );
    stage.connect_and_renew();
    let stats = stage.authorization_server.page("/stats");
    let id = format!("{GATEWAY}/oauth/clients/found/metadata.json");
    let us = json!({ "id": id, "method": "private_key_jwt" });
    assert_eq!(stats["clients"], json!([us]));
    assert_eq!(stats["pushed"], 1);
    stage.disconnect();
}

#[test]
fn by_a_registration_that_names_its_keys() {
    let mut stage = Stage::new(&json!({ "pushed": true, "proved": true }));
    stage.connect_and_renew();
    let stats = stage.authorization_server.page("/stats");
    assert_eq!((&stats["registered"], &stats["pushed"]), (&json!(1), &json!(1)));
    assert_eq!(stats["clients"][0]["method"], "private_key_jwt");
    stage.disconnect();
}

/// Everything of one person.
struct Stage {
    authorization_server: Peer,
    ada: Person,
    local: String,
    _others: (Peer, Peer),
    gateway: Gateway,
}

impl Stage {
    fn new(how: &Value) -> Self {
        let port = free_port();
        let local = format!("http://127.0.0.1:{port}");
        let origins = json!({ GATEWAY: local });
        let idp = Peer::start(
            "idp.mjs",
            &json!({ "redirect_uris": [format!("{GATEWAY}/login/callback")], "resources": [GATEWAY] }),
        );
        let server_port = free_port();
        let mut how = how.clone();
        how["origins"] = origins.clone();
        how["resources"] = json!([format!("http://127.0.0.1:{server_port}/mcp")]);
        how["access_token_ttl"] = json!(TOKEN_LIFE.as_secs());
        let authorization_server = Peer::start("upstream-as.mjs", &how);
        let issuer = authorization_server.says("url");
        let server =
            Peer::start("mcp-server-ts.mjs", &json!({ "port": server_port, "issuer": issuer }));

        let configuration = format!(
            "{}\n[[upstream]]\nname = \"found\"\nurl = \"{}\"\n[upstream.auth_broker]\nmode = \"oauth_connect\"\n",
            brokered::identity(&idp, GATEWAY),
            server.says("resource"),
        );
        let secrets = vec![("IDP_SECRET", idp.says("client_secret").to_owned())];
        let gateway = Gateway::replica(GATEWAY, port, &Gateway::key(), &configuration, secrets);
        let asked = json!({ "issuer": idp.says("url"), "resource": GATEWAY, "person": "ada" });
        let browser = Browser::start_where(&origins).of("ada");
        let ada = Person::with(&run("sign-in.mjs", &asked), "ada", browser, GATEWAY);
        Self { authorization_server, ada, local, _others: (idp, server), gateway }
    }

    /// Her token is renewed before the second call.
    fn connect_and_renew(&mut self) {
        self.ada.connect("found");
        assert_eq!(self.whoami(), "ada");
        thread::sleep(TOKEN_LIFE + Duration::from_millis(500));
        assert_eq!(self.whoami(), "ada");
        let stats = self.authorization_server.page("/stats");
        assert_eq!(stats["authorization_code"], json!({ "granted": 1, "refused": 0 }));
        assert_eq!(stats["refresh_token"], json!({ "granted": 1, "refused": 0 }));
    }

    /// Who is revoked proves who asks, too.
    fn disconnect(mut self) {
        let path = "/api/v1/user/credentials/found";
        let gone = http().delete(format!("{}{path}", self.local)).header("host", HOST);
        let gone = gone.bearer_auth(&self.ada.bearer).send().expect("the gateway answers");
        assert!(gone.status().is_success(), "{gone:?}");
        assert_ne!(self.authorization_server.page("/stats")["revocations"], 0);
        self.gateway.stop();
        self.gateway.forget();
    }

    fn whoami(&self) -> String {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "whoami", "arguments": {} } });
        let request = http()
            .post(format!("{}/mcp/found", self.local))
            .header("host", HOST)
            .bearer_auth(&self.ada.bearer)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(call.to_string());
        let answer = request.send().expect("the gateway answers");
        assert!(answer.status().is_success(), "{answer:?}");
        let events = answer.text().expect("a whole answer");
        let message = events.lines().find_map(|line| line.strip_prefix("data: "));
        let message: Value = serde_json::from_str(message.unwrap_or(&events)).expect("JSON");
        message["result"]["content"][0]["text"].as_str().expect("words").to_owned()
    }
}
