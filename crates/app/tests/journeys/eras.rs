//! Clients and servers of which each speaks one era of MCP, and the gateway between them (PX-3).

use crate::support::{
    clients::{Client, RustClient},
    people::Person,
    stage::{Setting, journey},
};

/// Whoever tries what is theirs first, and whoever knows nothing else.
const CLIENTS: [Client; 5] = [
    Client::TypeScript,
    Client::TypeScript2Alone,
    Client::TypeScript2,
    Client::Rust,
    Client::Python,
];

#[test]
fn every_client_uses_a_server_without_sessions() {
    play(Setting { server: "mcp-server-2.mjs", how: &["only_modern"], ..Setting::CALM });
}

#[test]
fn every_client_uses_a_server_of_sessions() {
    play(Setting { how: &["sessions"], ..Setting::CALM });
}

/// The transport of 2024-11-05.
#[test]
fn every_client_uses_a_server_of_the_first_transport() {
    play(Setting { server: "mcp-server-sse.mjs", protocol: "sse", ..Setting::CALM });
}

fn play(setting: Setting) {
    journey(setting, |stage| {
        let people = ["ada", "grace"].map(|name| {
            let mut person = Person::new(stage, name);
            person.connect("notes");
            (name, person)
        });
        for (client, (name, person)) in CLIENTS.into_iter().zip(people.iter().cycle()) {
            let heard = client.whoami(&stage.notes(), &person.bearer);
            assert_eq!(heard.tools, ["whoami", "echo"], "{client:?}");
            assert_eq!(heard.result.text, *name, "{client:?} called as somebody else");
        }
        let [(_, ada), (_, grace)] = &people;
        let all = format!("{}/mcp", stage.url);
        let heard = Client::TypeScript2Alone.calls(&all, &grace.bearer, "notes__whoami");
        assert_eq!(heard.result.text, "grace", "{heard:?}");
        // Many at once, in one session or in none.
        let session = RustClient::connect(&stage.notes(), &ada.bearer);
        for result in session.whoami_at_once(20) {
            assert_eq!(result.text, "ada");
        }
    });
}
