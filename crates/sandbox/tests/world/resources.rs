use std::sync::Arc;

use attache_sandbox::{AuthorizationServer, Browser, BrowserError, HttpApi, McpServer, Notes};
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

async fn access_token(notes: &AuthorizationServer, resource: &str) -> String {
    let issued = token(notes, &for_code(&code_of_ada(notes, resource).await)).await;
    member(&issued, "access_token")
}

fn tool(name: &str, arguments: &Value) -> String {
    json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": name, "arguments": arguments, "_meta": { "progressToken": "p" } },
    })
    .to_string()
}

#[tokio::test]
async fn an_mcp_server_knows_whose_token_it_is_and_that_it_is_for_it() {
    let (authorization_server, _) = notes().await;
    let mcp = McpServer::start(ANYWHERE, authorization_server.tokens(), Arc::new(Notes::default()))
        .await
        .unwrap();
    let endpoint = mcp.endpoint();
    let whoami = tool("whoami", &json!({}));

    let stranger = call(Method::POST, endpoint, None, whoami.clone()).await;
    assert_eq!(stranger.status, 401);
    let challenge = stranger.header("www-authenticate").unwrap();
    assert!(!challenge.contains("error"), "{challenge}");
    let (_, metadata) = challenge.split_once("resource_metadata=\"").unwrap();
    let metadata = metadata.split_once('"').unwrap().0.parse().unwrap();
    let metadata = Browser::new().open(&metadata).await.unwrap().json().unwrap();
    assert_eq!(metadata["resource"], endpoint.as_str());
    assert_eq!(metadata["authorization_servers"], json!([authorization_server.issuer()]));

    let elsewhere = access_token(&authorization_server, "http://127.0.0.1:9/mcp").await;
    let refused = call(Method::POST, endpoint, Some(&elsewhere), whoami.clone()).await;
    assert_eq!(refused.status, 401, "for another resource");

    let token = access_token(&authorization_server, endpoint.as_str()).await;
    let answer = call(Method::POST, endpoint, Some(&token), whoami.clone()).await;
    let text = answer.json().unwrap()["result"]["content"][0]["text"].clone();
    assert_eq!(text, "You are ada at Sandbox Notes");

    mcp.refuse_next(1);
    let statuses = [401, 200];
    for status in statuses {
        let answer = call(Method::POST, endpoint, Some(&token), whoami.clone()).await;
        assert_eq!(answer.status, status);
    }
    assert!(mcp.recorder().mentions(&token) && mcp.recorder().mentions("whoami"));
    assert!(!mcp.recorder().mentions("hush"));
    assert_eq!(mcp.recorder().arrived(), 6);

    mcp.stop().await;
    let request = http::Request::get(endpoint.as_str()).body(bytes::Bytes::new()).unwrap();
    let gone = Browser::new().send(request).await;
    assert!(matches!(gone, Err(BrowserError::Unreachable(_))), "{gone:?}");
}

#[tokio::test]
async fn an_mcp_server_speaks_2025_11_25() {
    let (authorization_server, _) = notes().await;
    let mcp = McpServer::start(ANYWHERE, authorization_server.tokens(), Arc::new(Notes::default()))
        .await
        .unwrap();
    let token = access_token(&authorization_server, "").await;
    let rpc = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    };
    let initialize = rpc("initialize", json!({ "protocolVersion": "2099-01-01" }));
    let cases = [
        (initialize, 200, "/result/protocolVersion", json!("2025-11-25")),
        (
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(),
            202,
            "",
            Value::Null,
        ),
        (rpc("ping", json!({})), 200, "/result", json!({})),
        (rpc("tools/list", json!({})), 200, "/result/tools/3/name", json!("slow_count")),
        (rpc("server/discover", json!({})), 200, "/error/code", json!(-32601)),
        (tool("format_disk", &json!({})), 200, "/error/code", json!(-32602)),
        (tool("add_note", &json!({ "text": "milk" })), 200, "/result/isError", json!(false)),
        (tool("list_notes", &json!({})), 200, "/result/content/0/text", json!("milk")),
        ("[]".to_owned(), 400, "/error/code", json!(-32600)),
        ("{".to_owned(), 400, "/error/code", json!(-32700)),
    ];
    for (message, status, pointer, expected) in cases {
        let answer = call(Method::POST, mcp.endpoint(), Some(&token), message.clone()).await;
        assert_eq!(answer.status, status, "{message}");
        let json = answer.json().unwrap_or_default();
        assert_eq!(json.pointer(pointer), Some(&expected), "{message}");
    }
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(call(method, mcp.endpoint(), Some(&token), "").await.status, 405);
    }
    let counted = tool("slow_count", &json!({ "to": 2, "pause_ms": 1 }));
    let stream = call(Method::POST, mcp.endpoint(), Some(&token), counted).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let events: Vec<&str> = stream.body.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(events.len(), 3);
    assert!(events[1].contains(r#""progress":2"#) && events[2].contains("Counted to 2"));
}

#[tokio::test]
async fn an_api_says_what_arrived_but_not_the_token() {
    let (authorization_server, _) = notes().await;
    let notes = Arc::new(Notes::default());
    let api = HttpApi::start(ANYWHERE, authorization_server.tokens(), notes).await.unwrap();
    let token = access_token(&authorization_server, api.url().as_str()).await;
    let at = |path: &str| api.url().join(path).unwrap();

    assert_eq!(call(Method::GET, &at("/me"), None, "").await.status, 401);
    assert_eq!(member(&call(Method::GET, &at("/me"), Some(&token), "").await, "account"), "ada");
    let written = call(Method::POST, &at("/notes"), Some(&token), r#"{"text":"eggs"}"#).await;
    assert_eq!(written.status, 201);
    let read = call(Method::GET, &at("/notes"), Some(&token), "").await;
    assert_eq!(read.json().unwrap()["notes"], json!(["eggs"]));
    let echo = call(Method::PATCH, &at("/echo?q=1"), Some(&token), "hello").await;
    assert_eq!(member(&echo, "body"), "hello");
    assert!(!echo.body.contains(&token));
    let large = vec![b'x'; 3 * 1024 * 1024];
    let upload = call(Method::PUT, &at("/upload"), Some(&token), large).await;
    assert_eq!(upload.json().unwrap()["bytes"], 3 * 1024 * 1024);
    assert_eq!(call(Method::GET, &at("/status/418"), Some(&token), "").await.status, 418);
    let stream = call(Method::GET, &at("/stream"), Some(&token), "").await;
    assert!(stream.body.ends_with("line 10\n"));
    let redirect = call(Method::GET, &at("/redirect"), Some(&token), "").await;
    assert_eq!(redirect.location(), Some(at("/me")));

    api.set_nasty(true);
    let nasty = call(Method::GET, &at("/me"), Some(&token), "").await;
    assert_eq!(nasty.header("connection"), Some("x-hop"));
    assert!(nasty.header("set-cookie").is_some());
}
