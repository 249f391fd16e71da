//! What must hold of every page in every state.

#[path = "../examples/gallery/states.rs"]
mod states;

#[test]
fn every_page_stands_without_scripts_and_inline_styles() {
    for (name, html) in states::all() {
        for forbidden in ["<script", "<style", " style=", "javascript:", " onclick", "http://"] {
            let html = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            assert!(!html.contains(forbidden), "{name}: {forbidden}");
        }
        assert_eq!(html.matches("<h1>").count(), 1, "{name}: one heading");
        assert!(html.contains("<html lang=\"en\">"), "{name}: language");
        assert!(html.contains("<main id=\"main\""), "{name}: landmark");
        assert!(!html.contains("{{") && !html.contains("{%"), "{name}: a hole was left");
    }
}

/// Whose move it is, and what they can do, in words.
#[test]
fn the_connections_say_what_to_do() {
    let all = states::all();
    let (_, html) = all.iter().find(|(_, html)| html.contains(">Expiring<")).unwrap();
    for words in [
        "what you approved at vercel.example.com ends <time datetime=\"2026-",
        "wiki.example.com is not answering just now. There is nothing you have to do.",
        "Tell whoever runs this gateway; there is nothing you can change. The provider is zoom.example.com.",
        "Try again in a few minutes. The provider is jira.example.com.",
        "Connect again. The provider is linear.example.com.",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert!(html.contains("class=\"button primary\" href=\"/connect/vercel\""));
    assert!(!html.contains("class=\"button primary\" href=\"/connect/wiki\""));
}

#[test]
fn every_element_is_closed_in_order() {
    const VOID: [&str; 8] = ["meta", "link", "path", "rect", "circle", "!doctype", "br", "input"];
    for (name, html) in states::all() {
        let mut open = Vec::new();
        for tag in html.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            let element = tag.split_whitespace().next().unwrap();
            if let Some(closed) = element.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{name}: </{closed}>");
            } else if !VOID.contains(&element) {
                open.push(element);
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

/// OC-14, EL-7: what was given, and what is asked for now.
#[test]
fn a_step_up_shows_what_is_new() {
    let html = |wanted: &str| {
        let mut all = states::all().into_iter();
        all.find(|(name, _)| *name == wanted).expect("it is in the gallery").1
    };
    let page = html("connect-more");
    for expected in [
        "<dt>You gave</dt><dd><ul class=\"scopes\"><li>notes:read</li></ul>",
        "<li>notes:read</li><li class=\"new\">notes:write <strong>new</strong></li>",
        "&#60;i&#62;admin&#60;/i&#62; <strong>new</strong>",
    ] {
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    let page = html("connections");
    assert!(page.contains("<li class=\"new\">notes:write <strong>not given</strong></li>"));
    assert!(!html("connect-again").contains("class=\"new\""));
}

/// RFC 8628 section 5.4: who began somewhere else is not taken for the person in front of the page.
#[test]
fn a_device_is_shown_where_it_is() {
    let all = states::all();
    let html = |wanted| &all.iter().find(|(name, _)| *name == wanted).expect("it is there").1;
    let warning = "The device is somewhere else than this browser";
    for (page, words, warns) in [
        ("device", "from <strong>203.0.113.7</strong>, where you are too", false),
        ("device-elsewhere", "from <strong>192.0.2.9</strong></dd>", true),
        ("device-unknown", "from an address that is not known", false),
    ] {
        let html = html(page);
        assert!(html.contains(words), "{page}: {html}");
        assert_eq!(html.contains(warning), warns, "{page}");
        assert!(html.contains("<code>WDJB-MJHT</code>"), "{page}: there is a code to compare");
    }
}
