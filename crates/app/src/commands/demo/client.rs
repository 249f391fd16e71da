//! What a person's programs do: an MCP client and a script, each with that person's token.

use attache_core::Secret;
use attache_sandbox::{Browser, BrowserError, Page};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};
use url::Url;

/// What a tool said, and whether it was an error.
pub(super) struct ToolResult {
    pub text: String,
    pub is_error: bool,
}

/// Calls a tool of an MCP server as `bearer`.
pub(super) async fn call_tool(
    endpoint: &Url,
    bearer: &Secret,
    tool: &str,
    arguments: Value,
) -> Result<ToolResult, BrowserError> {
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    });
    let page = send(Method::POST, endpoint, bearer, Bytes::from(message.to_string())).await?;
    let answer = page.json().unwrap_or_default();
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
    Ok(ToolResult {
        text: text.map_or_else(|| format!("{} {}", page.status, page.body), str::to_owned),
        is_error: answer
            .pointer("/result/isError")
            .and_then(Value::as_bool)
            .unwrap_or(text.is_none()),
    })
}

/// Any request as `bearer`.
pub(super) async fn send(
    method: Method,
    url: &Url,
    bearer: &Secret,
    body: Bytes,
) -> Result<Page, BrowserError> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url.as_str().parse().map_err(|_| BrowserError::NotPlainHttp)?;
    let headers = request.headers_mut();
    if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", bearer.expose())) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let both = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(header::ACCEPT, both);
    Browser::new().send(request).await
}
