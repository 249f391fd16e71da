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

#[test]
fn every_element_is_closed_in_order() {
    const VOID: [&str; 7] = ["meta", "link", "path", "rect", "circle", "!doctype", "br"];
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
