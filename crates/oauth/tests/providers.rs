//! Each shipped template, played against what its provider documents.

#![cfg(test)]

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use attache_config::{
    Source, load,
    model::{AuthBroker, ClientAuth},
};
use attache_core::{
    Secret,
    audit::Reason,
    outbound::{FetchError, Limits, Outbound},
};
use attache_oauth::{
    authorize::AuthorizationRequest,
    client_auth::{Client, ClientAuthentication},
    error::TokenError,
    revoke::{TokenHint, revoke},
    token::{CodeGrant, RefreshGrant, TokenEndpoint, TokenResponse},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

/// A provider that answers everything alike, and remembers what it was asked.
struct Scripted {
    status: u16,
    body: String,
    asked: Mutex<Option<Request<Bytes>>>,
}

impl Scripted {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), asked: Mutex::default() }
    }

    /// The last request.
    fn asked(&self) -> Asked {
        Asked(self.asked.lock().unwrap().take().expect("a request"))
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait::async_trait]
impl Outbound for Scripted {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        assert_eq!(request.headers()["accept"], "application/json");
        *self.asked.lock().unwrap() = Some(request);
        Ok(Response::builder().status(self.status).body(self.body.clone().into()).unwrap())
    }
}

struct Asked(Request<Bytes>);

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn body(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut form = form_urlencoded::parse(self.0.body());
        form.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }
}

/// A template as an operator uses it.
struct Provider {
    broker: AuthBroker,
    endpoint: TokenEndpoint,
}

fn provider(name: &str) -> Provider {
    let tenant = if name == "microsoft" { "provider_params.tenant = 'contoso.com'" } else { "" };
    let text = format!(
        "public_url = 'https://gw.example.com'\nkeys.active = 'env:KEY'\n\
         [identity.oidc]\nissuer = 'https://idp.example.com'\nclient_id = 'attache'\n\
         [[identity.jwt]]\nissuer = 'https://idp.example.com'\naudience = 'a'\n\
         [[upstream]]\nname = 'up'\nurl = 'https://api.example.com/mcp'\n\
         [upstream.auth_broker]\nmode = 'oauth_connect'\nprovider = '{name}'\n\
         client_id = 'id'\nclient_secret = 'secret'\n{tenant}"
    );
    let key = |_: &str| Some("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned());
    let loaded = load(&Source::new(Path::new("attache.toml"), text).unwrap(), &key);
    let (mut config, _) = loaded.accept().map_err(|problems| problems.render(false)).unwrap();
    let broker = config.upstreams.remove(0).broker.unwrap();
    let secret = broker.client_secret.clone().unwrap().first;
    let authentication = match broker.client_auth {
        Some(ClientAuth::Basic) => ClientAuthentication::Basic(secret),
        _ => ClientAuthentication::Post(secret),
    };
    let endpoint = TokenEndpoint {
        url: broker.token_endpoint.clone().unwrap(),
        client: Client { id: broker.client_id.clone().unwrap(), authentication },
        dialect: Arc::new(broker.dialect.clone()),
    };
    Provider { broker, endpoint }
}

impl Provider {
    fn authorize(&self, scopes: &[&str], resource: Option<&str>) -> BTreeMap<String, String> {
        let own = scopes.iter().map(|scope| (*scope).to_owned());
        let scopes: Vec<String> = own.chain(self.broker.scopes.clone()).collect();
        AuthorizationRequest {
            endpoint: self.broker.authorization_endpoint.as_ref().unwrap(),
            client_id: "id",
            redirect_uri: "https://gw.example.com/cb",
            scopes: &scopes,
            state: "s",
            code_challenge: "h",
            resource,
            dialect: &self.broker.dialect,
            extra: &[],
        }
        .url()
        .query_pairs()
        .into_owned()
        .collect()
    }

    async fn exchange(&self, outbound: &Scripted) -> Result<TokenResponse, TokenError> {
        let grant = CodeGrant {
            code: &Secret::new("c"),
            verifier: &Secret::new("v"),
            redirect_uri: "https://gw.example.com/cb",
            resource: None,
            captured: &BTreeMap::new(),
        };
        self.endpoint.exchange_code(outbound, grant).await
    }

    async fn refresh(&self, outbound: &Scripted) -> Result<TokenResponse, TokenError> {
        let grant = RefreshGrant {
            refresh_token: &Secret::new("r"),
            resource: Some("api://notes"),
            scopes: &["read".to_owned()],
        };
        self.endpoint.refresh(outbound, grant).await
    }

    /// Ends an access token.
    async fn revoke(&self, outbound: &Scripted) -> Result<(), Reason> {
        let url = self.broker.revocation_endpoint.as_ref().expect("a place to revoke");
        let (client, dialect) = (&self.endpoint.client, &self.endpoint.dialect);
        revoke(outbound, url, client, dialect, &Secret::new("t"), TokenHint::AccessToken)
            .await
            .map_err(|error| error.reason())
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn github_refuses_with_a_200_and_deletes_tokens() {
    let github = provider("github");
    for (code, reason) in [
        ("bad_verification_code", Reason::InvalidGrant),
        ("bad_refresh_token", Reason::InvalidGrant),
        ("incorrect_client_credentials", Reason::InvalidClient),
        ("unverified_user_email", Reason::AccessDenied),
    ] {
        let refusal = Scripted::new(200, &json!({ "error": code, "error_uri": "https://x" }));
        assert_eq!(github.exchange(&refusal).await.unwrap_err(), TokenError::Refused(reason));
    }

    // An OAuth app's: no expiry, no refresh token, commas.
    let answer = json!({ "access_token": "gho_1", "scope": "repo,gist", "token_type": "bearer" });
    let tokens = github.exchange(&Scripted::new(200, &answer)).await.unwrap();
    assert!(tokens.expires_in.is_none() && tokens.refresh_token.is_none());
    assert_eq!(tokens.scopes.unwrap(), ["repo", "gist"]);
    assert_eq!(github.authorize(&["repo", "gist"], None)["scope"], "repo gist");

    let user = Scripted::new(200, &json!({ "login": "ada", "id": 1 }));
    let account = github.endpoint.account(&user, &Secret::new("gho_1")).await;
    assert_eq!(account.as_deref(), Some("ada"));
    let asked = user.asked();
    assert_eq!((asked.0.method(), asked.header("user-agent")), (&Method::GET, Some("attache")));
    assert_eq!(asked.header("authorization"), Some("Bearer gho_1"));

    let gone = Scripted::new(204, &Value::Null);
    github.revoke(&gone).await.unwrap();
    let asked = gone.asked();
    assert_eq!(asked.0.method(), Method::DELETE);
    assert_eq!(asked.0.uri(), "https://api.github.com/applications/id/token");
    assert_eq!(asked.header("authorization").unwrap(), basic("id", "secret"));
    assert_eq!(asked.body(), r#"{"access_token":"t"}"#);
    // What is unknown is over.
    let over = Scripted::new(404, &json!({ "message": "Not Found" }));
    assert_eq!(github.revoke(&over).await, Ok(()));
    let refused = Scripted::new(401, &json!({ "message": "Bad credentials" }));
    assert_eq!(github.revoke(&refused).await, Err(Reason::MalformedResponse));
}

#[tokio::test]
async fn slack_nests_tokens_and_says_ok() {
    let slack = provider("slack");
    let asked = slack.authorize(&["search:read", "chat:write"], None);
    assert_eq!(asked["scope"], "search:read,chat:write");
    assert!(!asked.contains_key("code_challenge"), "{asked:?}");

    let answer = json!({
        "ok": true,
        "team": { "id": "T1" },
        "authed_user": {
            "id": "U1", "access_token": "xoxe.xoxp-1", "token_type": "user", "expires_in": 43200,
            "refresh_token": "xoxe-1", "scope": "search:read,chat:write",
        },
    });
    let outbound = Scripted::new(200, &answer);
    let tokens = slack.exchange(&outbound).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "xoxe.xoxp-1");
    assert_eq!(tokens.token_type, "Bearer");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "xoxe-1");
    assert_eq!(tokens.expires_in, Some(Duration::from_hours(12)));
    assert_eq!(tokens.scopes.unwrap(), ["search:read", "chat:write"]);
    assert_eq!(tokens.account.as_deref(), Some("U1"));
    let asked = outbound.asked();
    assert_eq!(asked.header("authorization").unwrap(), basic("id", "secret"));
    assert_eq!(asked.parameter("code_verifier"), None);

    // A refresh answers at the top; a bot's token is nobody's own.
    let answer = json!({
        "ok": true, "access_token": "xoxe.xoxp-2", "token_type": "user", "refresh_token": "xoxe-2",
        "expires_in": 43200, "scope": "search:read",
    });
    let tokens = slack.refresh(&Scripted::new(200, &answer)).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "xoxe.xoxp-2");
    let bot = json!({ "ok": true, "access_token": "xoxb-1", "token_type": "bot" });
    let refused = slack.refresh(&Scripted::new(200, &bot)).await.unwrap_err();
    assert!(matches!(refused, TokenError::Malformed(_)));

    for (code, expected) in [
        (json!("invalid_refresh_token"), TokenError::Refused(Reason::InvalidGrant)),
        (json!("bad_client_secret"), TokenError::Refused(Reason::InvalidClient)),
        (json!("ratelimited"), TokenError::Unavailable { retry_after: None }),
        (json!("never_heard_of"), TokenError::Refused(Reason::Other)),
        (Value::Null, TokenError::Refused(Reason::Other)),
    ] {
        let refusal = Scripted::new(200, &json!({ "ok": false, "error": code }));
        assert_eq!(slack.refresh(&refusal).await.unwrap_err(), expected, "{code}");
    }

    // The token ends itself.
    let outbound = Scripted::new(200, &json!({ "ok": true, "revoked": true }));
    slack.revoke(&outbound).await.unwrap();
    let asked = outbound.asked();
    assert_eq!((asked.0.method(), asked.body()), (&Method::POST, ""));
    assert_eq!(asked.header("authorization"), Some("Bearer t"));
    let refusal = Scripted::new(200, &json!({ "ok": false, "error": "not_allowed" }));
    assert_eq!(slack.revoke(&refusal).await, Err(Reason::Other));
}

#[tokio::test]
async fn notion_takes_json_with_basic() {
    let notion = provider("notion");
    assert_eq!(notion.authorize(&[], None)["owner"], "user");
    let answer = json!({
        "access_token": "ntn_1", "token_type": "bearer", "workspace_name": "Analytical Engines",
        "refresh_token": "nrt_1", "bot_id": "b",
    });
    let outbound = Scripted::new(200, &answer);
    let tokens = notion.exchange(&outbound).await.unwrap();
    assert_eq!((tokens.expires_in, tokens.account.as_deref()), (None, Some("Analytical Engines")));
    let asked = outbound.asked();
    assert_eq!(asked.header("authorization").unwrap(), basic("id", "secret"));
    assert_eq!(asked.header("notion-version"), Some("2025-09-03"));
    let expected = json!({
        "grant_type": "authorization_code", "code": "c", "code_verifier": "v",
        "redirect_uri": "https://gw.example.com/cb",
    });
    assert_eq!(serde_json::from_str::<Value>(asked.body()).unwrap(), expected);

    let outbound = Scripted::new(200, &json!({ "request_id": "1" }));
    notion.revoke(&outbound).await.unwrap();
    assert_eq!(outbound.asked().body(), r#"{"token":"t"}"#);
}

#[tokio::test]
async fn salesforce_says_where_its_people_are() {
    let salesforce = provider("salesforce");
    let answer = |instance: &str| json!({ "access_token": "00D!A", "instance_url": instance, "token_type": "Bearer" });
    let acme = "https://acme.my.salesforce.com";
    let tokens = salesforce.exchange(&Scripted::new(200, &answer(acme))).await.unwrap();
    assert_eq!(tokens.base_url.unwrap().as_str(), "https://acme.my.salesforce.com/");
    assert_eq!(tokens.expires_in, None);
    for elsewhere in [
        "",
        "http://acme.my.salesforce.com",
        "https://salesforce.com.evil.test",
        "https://acme.my.salesforce.com@evil.test",
        "https://10.0.0.1",
    ] {
        let outbound = Scripted::new(200, &answer(elsewhere));
        let refused = salesforce.exchange(&outbound).await.unwrap_err();
        assert!(matches!(refused, TokenError::Malformed(_)), "{elsewhere}");
        // The refresh token may be spent by now: what was known before stays.
        let kept = salesforce.refresh(&outbound).await.unwrap();
        assert_eq!(kept.base_url, None, "{elsewhere}");
    }
}

#[tokio::test]
async fn atlassian_says_unauthorized_client_of_a_spent_token() {
    let atlassian = provider("atlassian");
    let asked = atlassian.authorize(&["read:jira-work"], None);
    assert_eq!((&*asked["audience"], &*asked["prompt"]), ("api.atlassian.com", "consent"));
    assert_eq!(asked["scope"], "read:jira-work offline_access");
    let refusal = Scripted::new(403, &json!({ "error": "unauthorized_client" }));
    let refused = atlassian.refresh(&refusal).await.unwrap_err();
    assert_eq!(refused, TokenError::Refused(Reason::InvalidGrant));
    assert_eq!(refusal.asked().parameter("scope"), None);
}

#[tokio::test]
async fn figma_refreshes_elsewhere() {
    let figma = provider("figma");
    assert!(!figma.authorize(&[], None).contains_key("code_challenge"));
    let outbound =
        Scripted::new(200, &json!({ "access_token": "figu_1", "expires_in": 7_776_000 }));
    assert!(figma.refresh(&outbound).await.unwrap().refresh_token.is_none());
    let asked = outbound.asked();
    assert_eq!(asked.0.uri(), "https://api.figma.com/v1/oauth/refresh");
    assert_eq!(asked.header("authorization").unwrap(), basic("id", "secret"));
    figma.exchange(&outbound).await.unwrap();
    assert_eq!(outbound.asked().0.uri(), "https://api.figma.com/v1/oauth/token");
}

#[tokio::test]
async fn stripe_takes_its_secret_as_the_user() {
    let stripe = provider("stripe");
    let answer = json!({
        "access_token": "sk_live_1", "refresh_token": "rt_1", "stripe_user_id": "acct_1",
        "scope": "stripe_apps", "livemode": true, "token_type": "bearer",
    });
    let outbound = Scripted::new(200, &answer);
    let tokens = stripe.exchange(&outbound).await.unwrap();
    assert_eq!(tokens.expires_in, Some(Duration::from_hours(1)));
    assert_eq!(tokens.account.as_deref(), Some("acct_1"));
    assert_eq!(outbound.asked().header("authorization").unwrap(), basic("secret", ""));
}

/// Microsoft refuses `resource` (AADSTS9010010): it is a scope.
#[tokio::test]
async fn microsoft_takes_the_resource_as_a_scope() {
    let microsoft = provider("microsoft");
    let asked = microsoft.authorize(&[], Some("api://notes"));
    assert_eq!(asked["scope"], "offline_access api://notes/.default");
    assert!(!asked.contains_key("resource"));
    let outbound = Scripted::new(200, &json!({ "access_token": "ey", "token_type": "Bearer" }));
    microsoft.refresh(&outbound).await.unwrap();
    let asked = outbound.asked();
    assert_eq!((asked.parameter("resource"), asked.parameter("scope")), (None, None));
    let token = "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token";
    assert_eq!(asked.0.uri(), token);
}

/// Google ends both tokens with either, and calls the second an invalid one.
#[tokio::test]
async fn google_is_asked_for_offline_access_and_revoked_once() {
    let google = provider("google");
    let asked = google.authorize(&["openid"], None);
    assert_eq!((&*asked["access_type"], &*asked["prompt"]), ("offline", "consent"));
    let over = Scripted::new(400, &json!({ "error": "invalid_token" }));
    assert_eq!(google.revoke(&over).await, Ok(()));
    // A refresh spends nothing there: a lost answer is no doubt.
    let lost = Scripted::new(502, &Value::Null);
    let unavailable = TokenError::Unavailable { retry_after: None };
    assert_eq!(google.refresh(&lost).await.unwrap_err(), unavailable);
}

/// What the others want in their requests, and how they say who it was.
#[tokio::test]
async fn the_rest_ask_and_answer_as_documented() {
    struct Row {
        name: &'static str,
        scope: &'static str,
        parameter: (&'static str, &'static str),
        basic: bool,
        answer: Value,
        account: Option<&'static str>,
    }
    let row = |name, scope, parameter, basic, answer, account| Row {
        name,
        scope,
        parameter,
        basic,
        answer,
        account,
    };
    let pkce = ("code_challenge_method", "S256");
    let offline = "a b offline_access";
    let ada = Some("ada@example.com");
    for Row { name, scope, parameter, basic, mut answer, account } in [
        row(
            "hubspot",
            "a b",
            pkce,
            false,
            json!({ "hub_id": 42, "scopes": ["a", "b"] }),
            Some("42"),
        ),
        row("linear", "a,b", ("prompt", "consent"), false, json!({ "scope": "a,b" }), None),
        row("zoom", "a,b", pkce, true, json!({ "scope": "a b" }), None),
        row(
            "dropbox",
            "a b",
            ("token_access_type", "offline"),
            false,
            json!({ "account_id": "dbid:A" }),
            Some("dbid:A"),
        ),
        row("box", "a b", pkce, false, json!({}), None),
        row("asana", "a b", pkce, false, json!({ "data": { "email": "ada@example.com" } }), ada),
        row("airtable", "a b", pkce, true, json!({ "scope": "a b" }), None),
        row("sentry", "a b", pkce, false, json!({ "user": { "email": "ada@example.com" } }), ada),
        row("cloudflare", offline, pkce, true, json!({}), None),
        row("vercel", offline, pkce, false, json!({}), None),
        row("gitlab", "a b", pkce, false, json!({}), None),
    ] {
        let provider = provider(name);
        let asked = provider.authorize(&["a", "b"], None);
        assert_eq!((&*asked["scope"], &*asked[parameter.0]), (scope, parameter.1), "{name}");
        answer["access_token"] = json!("a");
        answer["token_type"] = json!("bearer");
        let outbound = Scripted::new(200, &answer);
        let tokens = provider.exchange(&outbound).await.unwrap();
        assert_eq!(tokens.account.as_deref(), account, "{name}");
        assert!(tokens.scopes.is_none_or(|granted| granted == ["a", "b"]), "{name}");
        let asked = outbound.asked();
        assert_eq!(asked.header("authorization").is_some(), basic, "{name}");
        assert_eq!(asked.parameter("client_secret").is_none(), basic, "{name}");
        assert_eq!(asked.parameter("code_verifier").as_deref(), Some("v"), "{name}");
    }
}
