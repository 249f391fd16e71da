//! One `[upstream.auth_broker]` in mode `api_key`.

use std::sync::Arc;

use attache_broker::{ApiKey, KeyKind, KeyTest};
use attache_config::model::{AuthBroker, KeyKind as Kind, KeyTest as Test, Protocol, Upstream};

use http::Uri;

use super::Common;

/// # Errors
/// What no configuration that was checked contains.
pub(super) fn wire(
    upstream: &Upstream,
    broker: &AuthBroker,
    common: &Common<'_>,
) -> Result<ApiKey, &'static str> {
    let url = match &broker.key_test {
        Test::Skipped => None,
        Test::Upstream => Some(&upstream.url),
        Test::At(url) => Some(url),
    };
    let url = url.map(|url| url.as_str().parse::<Uri>()).transpose();
    let test = url.map_err(|_| "the URL that keys are tested at is none")?.map(|url| KeyTest {
        url,
        is_mcp: broker.key_test == Test::Upstream && upstream.protocol != Protocol::Http,
        outbound: Arc::clone(&common.outbound),
    });
    Ok(ApiKey {
        kind: match broker.key_kind {
            Kind::Key => KeyKind::Key,
            Kind::Basic => KeyKind::Basic,
        },
        test,
    })
}
