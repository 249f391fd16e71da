//! The files a page needs, in the binary. Their names carry a hash of their content, so that a
//! browser keeps them for ever and still gets the new one.

use std::sync::LazyLock;

use attache_crypto::digest::{base64url, sha256};
use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css"))
});
pub static MARK: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("mark", "svg", "image/svg+xml", include_str!("../assets/mark.svg"))
});

/// A file of ours, as served under `/ui/assets/`.
#[derive(Debug)]
pub struct Asset {
    pub path: String,
    media_type: &'static str,
    pub text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let hash: String = base64url(&sha256(text.as_bytes())).chars().take(HASH_LENGTH).collect();
        Self { path: format!("/ui/assets/{stem}.{hash}.{extension}"), media_type, text }
    }
}

/// 72 bits: enough to tell one version from another.
const HASH_LENGTH: usize = 12;

pub(crate) async fn serve(Path(file): Path<String>) -> Response {
    let wanted = |asset: &&Asset| asset.path.rsplit('/').next() == Some(&file);
    match [&*STYLE, &*MARK].into_iter().find(wanted) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.media_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.text,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
