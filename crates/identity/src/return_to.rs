//! Where a browser goes after it signed in (AS-24).

/// A path of ours with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnTo(String);

/// Longer paths are no page of ours. It travels in `state`, of which providers take a few hundred
/// bytes.
const MAX_BYTES: usize = 512;

impl ReturnTo {
    /// Anything that a browser could read as another origin leads home: an authority (`//`, or `\`
    /// that browsers take for `/`), a scheme, and the control characters that they leave out.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let ours = |text: &&str| {
            text.starts_with('/')
                && !text.starts_with("//")
                && text.len() <= MAX_BYTES
                && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        };
        Self(text.filter(ours).unwrap_or("/").to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn nothing_leads_away() {
        let ours = Url::parse("https://gw.example.com").unwrap();
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for path in ["/", "/connect/github", "/ui/connections?a=//b#c", "/%2F%2Fevil.example"] {
            assert_eq!(ReturnTo::parse(Some(path)).into_string(), path);
            assert_eq!(ours.join(path).unwrap().origin(), ours.origin(), "{path}");
        }
        for path in [
            "",
            "ui",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            "/é",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(Some(path)).into_string(), "/", "{path:?}");
        }
        assert_eq!(ReturnTo::parse(None).into_string(), "/");
    }
}
