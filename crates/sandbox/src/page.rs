//! The sandbox's pages: plain, and honest about what they are.

use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5b6675; --line: #d8dee6; --paper: #ffffff; --ground: #f3f5f8; --accent: #2f5bd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --quiet: #9aa5b4; --line: #343d4a; --paper: #1b212a; --ground: #12161c; --accent: #86a6ff; } }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { box-sizing: border-box; width: min(26rem, 100vw - 2rem); padding: 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: 12px; }
h1 { margin: 0 0 .5rem; font-size: 1.25rem; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
.who { color: var(--quiet); font-size: .9rem; margin: 0 0 1.5rem; }
button { box-sizing: border-box; width: 100%; margin: 0 0 .5rem; padding: .7rem 1rem; font: inherit; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: inherit; cursor: pointer; }
button.yes { border-color: var(--accent); color: var(--accent); font-weight: 600; }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 1.25rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--quiet); font-size: .85rem; }
";

/// A page of our own making; whatever comes from outside must have gone through [`escape`].
pub(crate) fn page(status: StatusCode, service: &str, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · {service}</title><style>{STYLE}</style></head>\
         <body><main><p class=\"who\">{service}</p><h1>{title}</h1>{body}\
         <footer>This is a sandbox; nothing leaves your machine.</footer></main></body></html>"
    );
    let mut response = (status, Html(html)).into_response();
    // No form-action: browsers hold it against the redirect that answers a form, too.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Text as it may stand in HTML, in double quotes too.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
