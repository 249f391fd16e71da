//! One address for all of a person's servers, as the official clients see it.

use crate::support::{
    clients::{Client, RustClient},
    people::Person,
    stage::{Setting, journey},
};

#[test]
fn every_client_has_all_servers_at_one_address() {
    for server in ["mcp-server-ts.mjs", "mcp-server-2.mjs"] {
        journey(Setting { server, ..Setting::CALM }, |stage| {
            let mut ada = Person::new(stage, "ada");
            let all = format!("{}/mcp", stage.url);
            // Two that are to be connected first; one that nobody answers at, and one that answers
            // nothing of MCP, which nobody is told about here.
            for client in [Client::TypeScript, Client::TypeScript2] {
                let heard = client.calls(&all, &ada.bearer, "connect_notes");
                assert_eq!(heard.tools, ["connect_found", "connect_notes"], "{client:?}");
                let connect = format!("{}/connect/notes", stage.url);
                assert!(heard.result.is_error && heard.result.text.contains(&connect), "{heard:?}");
            }

            // A client that is there already finds what was connected meanwhile.
            let session = RustClient::connect(&all, &ada.bearer);
            ada.connect("notes");
            assert_eq!(session.tools(), ["connect_found", "notes__whoami", "notes__echo"]);
            assert_eq!(session.call("notes__whoami", &serde_json::json!({})).text, "ada");
            ada.connect("found");
            let tools = ["found__whoami", "found__echo", "notes__whoami", "notes__echo"];
            let whoami = ["notes__whoami", "found__whoami"].into_iter().cycle();
            for (client, tool) in Client::ALL.into_iter().zip(whoami) {
                let heard = client.calls(&all, &ada.bearer, tool);
                assert_eq!(heard.tools, tools, "{client:?}");
                assert_eq!(heard.result.text, "ada", "{client:?}: {heard:?}");
            }
            let heard = Client::TypeScript2.calls(&all, &ada.bearer, "notes__whoami");
            assert_eq!(heard.result.text, "ada", "{heard:?}");
            let grace = Person::new(stage, "grace");
            let heard = Client::TypeScript.calls(&all, &grace.bearer, "notes__whoami");
            assert_eq!(heard.tools, ["connect_found", "connect_notes"]);
            assert!(heard.result.is_error, "{heard:?}");
        });
    }
}
