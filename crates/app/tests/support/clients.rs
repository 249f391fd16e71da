//! The official MCP clients, all asked the same: connect, list the tools, call one.

use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::RunningService,
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

use super::peers::run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Rust,
    /// SDK 1.x, up to 2025-11-25.
    TypeScript,
    /// SDK 2.x, which tries 2026-07-28 first.
    TypeScript2,
    /// The same, when it has forgotten all earlier revisions.
    TypeScript2Alone,
    Python,
}

/// Calls that one Rust client has under way.
const AT_ONCE: usize = 100;

/// What a client made of it.
#[derive(Debug)]
pub(crate) struct Heard {
    pub tools: Vec<String>,
    pub result: ToolResult,
}

#[derive(Debug)]
pub(crate) struct ToolResult {
    pub is_error: bool,
    /// Of its first block of content.
    pub text: String,
}

impl Client {
    pub(crate) const ALL: [Self; 4] =
        [Self::Rust, Self::TypeScript, Self::TypeScript2, Self::Python];

    /// Calls `whoami` at `url` in a session of its own.
    pub(crate) fn whoami(self, url: &str, token: &str) -> Heard {
        self.calls(url, token, "whoami")
    }

    /// The same with `echo`, which needs a scope that is not asked for at first.
    pub(crate) fn echo(self, url: &str, token: &str, text: &str) -> Heard {
        self.calls_with(url, token, "echo", &json!({ "text": text }))
    }

    /// The same with any tool that needs no arguments.
    pub(crate) fn calls(self, url: &str, token: &str, tool: &str) -> Heard {
        self.calls_with(url, token, tool, &json!({}))
    }

    fn calls_with(self, url: &str, token: &str, tool: &str, arguments: &Value) -> Heard {
        let script = match self {
            Self::Rust => {
                let client = RustClient::connect(url, token);
                return Heard { tools: client.tools(), result: client.call(tool, arguments) };
            }
            Self::TypeScript => "mcp-client-ts.mjs",
            Self::TypeScript2 | Self::TypeScript2Alone => "mcp-client-2.mjs",
            Self::Python => "mcp_client.py",
        };
        let mut asked = json!({ "url": url, "token": token, "tool": tool, "args": arguments });
        if self == Self::TypeScript2Alone {
            asked["mode"] = json!({ "pin": "2026-07-28" });
        }
        let said = run(script, &asked);
        let (Some(tools), Some([result])) =
            (said["tools"].as_array(), said["results"].as_array().map(Vec::as_slice))
        else {
            panic!("{self:?} did not get a result: {said}")
        };
        let names = tools.iter().filter_map(Value::as_str).map(ToOwned::to_owned);
        Heard { tools: names.collect(), result: ToolResult::from(result) }
    }
}

impl From<&Value> for ToolResult {
    fn from(result: &Value) -> Self {
        let text = result["content"][0]["text"].as_str().expect("a result has words");
        Self { is_error: result["isError"] == true, text: text.to_owned() }
    }
}

/// A session of the Rust SDK that is kept.
#[derive(Debug)]
pub(crate) struct RustClient {
    service: RunningService<RoleClient, ()>,
    runtime: Runtime,
}

impl RustClient {
    pub(crate) fn connect(url: &str, token: &str) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config = StreamableHttpClientTransportConfig::with_uri(url)
            .auth_header(token)
            .max_concurrent_requests(AT_ONCE);
        let direct = reqwest::Client::builder().no_proxy().build().expect("a client");
        let service = runtime.block_on(async {
            ().serve(StreamableHttpClientTransport::with_client(direct, config)).await
        });
        let service = service.expect("the client connects");
        Self { service, runtime }
    }

    pub(crate) fn tools(&self) -> Vec<String> {
        let tools = self.runtime.block_on(self.service.list_all_tools()).expect("it lists tools");
        tools.into_iter().map(|tool| tool.name.into_owned()).collect()
    }

    pub(crate) fn whoami(&self) -> ToolResult {
        self.whoami_at_once(1).remove(0)
    }

    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> ToolResult {
        self.at_once(1, tool, arguments).remove(0)
    }

    /// The same call `count` times, none waiting for another.
    pub(crate) fn whoami_at_once(&self, count: usize) -> Vec<ToolResult> {
        self.at_once(count, "whoami", &json!({}))
    }

    fn at_once(&self, count: usize, tool: &str, arguments: &Value) -> Vec<ToolResult> {
        let mut asked = CallToolRequestParams::new(tool.to_owned());
        asked.arguments = arguments.as_object().cloned();
        let call = |_| {
            let (peer, asked) = (self.service.peer().clone(), asked.clone());
            self.runtime.spawn(async move { peer.call_tool(asked).await.expect("it is answered") })
        };
        let calls: Vec<_> = (0..count).map(call).collect();
        let answered = calls.into_iter().map(|call| self.runtime.block_on(call));
        answered
            .map(|result| serde_json::to_value(result.expect("no panic")).expect("JSON"))
            .map(|result| ToolResult::from(&result))
            .collect()
    }
}
