//! What `tests/peers/lib/trace.mjs` does, on the official Rust SDK.

#![expect(deprecated, reason = "servers ask for a model and roots for years to come (SEP-2577)")]

use std::{
    future::{Future, ready},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rmcp::{
    ClientHandler, ErrorData, RoleClient, ServiceError,
    model::{
        CallToolRequest, CallToolRequestParams, ClientConfig, ClientRequest,
        CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult,
        GetPromptRequestParams, ListRootsResult, ProgressNotificationParam, ProtocolVersion,
        ReadResourceRequestParams, ResourceUpdatedNotificationParam, SubscribeRequestParams,
        SubscriptionFilter,
    },
    service::{
        ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions,
        RequestContext, RunningService,
    },
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::runtime;

const WATCHED: &str = "test://watched-resource";
const LARGE: usize = 6 * 1024 * 1024;
/// For something to happen at the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// In a stateless revision, or in a session.
pub(crate) fn trace(url: &str, token: &str, stateless: bool) -> Value {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(play(url, token, stateless))
}

/// Whoever the server asks, and what they were told.
#[derive(Clone, Debug, Default)]
struct Client {
    progress: Arc<Mutex<Vec<Value>>>,
    updated: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        read(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "sampling": {}, "elicitation": { "form": {} }, "roots": {} },
            "clientInfo": { "name": "peer-rust", "version": "1.0.0" },
        }))
    }

    fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> impl Future<Output = Result<CreateMessageResult, ErrorData>> + Send + '_ {
        let asked = plain(&params);
        let text = asked.pointer("/messages/0/content/text").and_then(Value::as_str);
        let text = format!("About: {}", text.expect("a text"));
        ready(Ok(read(json!({
            "role": "assistant", "content": { "type": "text", "text": text }, "model": "none",
        }))))
    }

    fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> impl Future<Output = Result<ListRootsResult, ErrorData>> + Send + '_ {
        ready(Ok(read(json!({ "roots": [{ "uri": "file:///home/ada", "name": "home" }] }))))
    }

    fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> impl Future<Output = Result<ElicitResult, ErrorData>> + Send + '_ {
        let asked = plain(&request);
        let properties = asked["requestedSchema"]["properties"].as_object().expect("a form");
        let filled = properties.iter().map(|(name, about)| {
            let value = json!(format!("my {name}"));
            (name.clone(), if about["type"] == "boolean" { json!(true) } else { value })
        });
        let content: serde_json::Map<_, _> = filled.collect();
        ready(Ok(read(json!({ "action": "accept", "content": content }))))
    }

    fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        let progress = json!([params.progress, params.total]);
        self.progress.lock().expect("nobody panicked").push(progress);
        ready(())
    }

    fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        self.updated.lock().expect("nobody panicked").push(params.uri);
        ready(())
    }
}

async fn play(url: &str, token: &str, stateless: bool) -> Value {
    let heard = Client::default();
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let direct = reqwest::Client::builder().no_proxy().build().expect("a client");
    let transport = StreamableHttpClientTransport::with_client(direct, config);
    let lifecycle = if stateless {
        ClientLifecycleMode::Discover { preferred_versions: vec![version("2026-07-28")] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let client =
        heard.clone().serve_with_lifecycle(transport, lifecycle).await.expect("it connects");
    let call = async |name: &str, arguments: Value| {
        let asked = read(json!({ "name": name, "arguments": arguments }));
        told(client.call_tool(asked).await)
    };
    let mut did = json!({
        "tools": told(client.list_all_tools().await),
        "resources": told(client.list_all_resources().await),
        "templates": told(client.list_all_resource_templates().await),
        "prompts": told(client.list_all_prompts().await),
        "worked": call("test_tool_with_progress", json!({})).await,
        "cancelled": cancelled(&client).await,
        "failed": call("test_error_handling", json!({})).await,
        "unknown": call("nothing", json!({})).await,
        "sampled": call("test_sampling", json!({ "prompt": "Why?" })).await,
        "elicited": call("test_elicitation", json!({ "message": "Who?" })).await,
        "roots": call("test_input_required_result_list_roots", json!({})).await,
        "rounds": call("test_input_required_result_multi_round", json!({})).await,
        "several": call("test_input_required_result_multiple_inputs", json!({})).await,
        "large": digest(&call("test_large", json!({ "bytes": LARGE })).await),
    });
    for uri in ["test://static-binary", "test://template/7/data", "test://nothing"] {
        let asked: ReadResourceRequestParams = read(json!({ "uri": uri }));
        did[uri] = told(client.read_resource(asked).await);
    }
    for prompt in ["test_prompt_with_arguments", "test_input_required_result_prompt"] {
        let arguments = json!({ "arg1": "a", "arg2": "ä \"b\"" });
        let asked: GetPromptRequestParams = read(json!({ "name": prompt, "arguments": arguments }));
        did[prompt] = told(client.get_prompt(asked).await);
    }
    let completed =
        client.complete_prompt_argument("test_prompt_with_arguments", "arg1", "par", None);
    did["completed"] = told(completed.await);
    did["updated"] = updated(&client, &heard, stateless).await;
    did["progress"] = plain(&*heard.progress.lock().expect("nobody panicked"));
    client.cancel().await.expect("it ends");
    did
}

/// The URIs that the client is told of.
async fn updated(
    client: &RunningService<RoleClient, Client>,
    heard: &Client,
    stateless: bool,
) -> Value {
    let trigger = || client.call_tool(CallToolRequestParams::new("test_trigger_resource_update"));
    if stateless {
        let filter = SubscriptionFilter::builder().resource_subscription(WATCHED).build();
        let mut changes = client.listen(filter).await.expect("it may listen");
        trigger().await.expect("it changes");
        let change = tokio::time::timeout(PATIENCE, changes.next()).await.expect("it is told");
        return plain(&change.expect("a change"));
    }
    let asked: SubscribeRequestParams = read(json!({ "uri": WATCHED }));
    client.subscribe(asked).await.expect("it may subscribe");
    trigger().await.expect("it changes");
    until(async || !heard.updated.lock().expect("nobody panicked").is_empty()).await;
    plain(&*heard.updated.lock().expect("nobody panicked"))
}

/// Whether the server was told, while it worked.
async fn cancelled(client: &RunningService<RoleClient, Client>) -> bool {
    let counted = async |what: &str| {
        let asked = CallToolRequestParams::new("test_calls");
        let said = plain(&client.call_tool(asked).await.expect("an answer"));
        let text = said.pointer("/content/0/text").and_then(Value::as_str).expect("a text");
        let calls: Value = serde_json::from_str(text).expect("JSON");
        calls[what].as_u64().expect("a number")
    };
    let (waiting, cancelled) = (counted("waiting").await, counted("cancelled").await);
    let asked = CallToolRequest::new(CallToolRequestParams::new("test_wait"));
    let asked = ClientRequest::CallToolRequest(asked);
    let options = PeerRequestOptions::no_options();
    let call = client.send_cancellable_request(asked, options).await.expect("it is sent");
    until(async || counted("waiting").await > waiting).await;
    call.cancel(Some("enough".to_owned())).await.expect("it is told");
    until(async || counted("cancelled").await > cancelled).await;
    true
}

async fn until(happened: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !happened().await {
        assert!(begun.elapsed() < PATIENCE, "it did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn told(answer: Result<impl Serialize, ServiceError>) -> Value {
    answer.map_or_else(|error| json!({ "error": error.to_string() }), |answer| plain(&answer))
}

/// In place of a text of megabytes.
fn digest(answer: &Value) -> Value {
    let text = answer.pointer("/content/0/text").and_then(Value::as_str);
    let is_whole = text.is_some_and(|text| text.bytes().all(|byte| byte == b'x'));
    json!([text.map(str::len), is_whole])
}

fn version(name: &str) -> ProtocolVersion {
    read(json!(name))
}

fn plain(value: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(value).expect("JSON")
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is as the SDK has it")
}
