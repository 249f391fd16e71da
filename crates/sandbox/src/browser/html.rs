//! Finds forms in a page. A tolerant scanner of tags, not a parser of HTML: it knows what a form
//! needs and passes over the rest.

use url::Url;

/// A form as a person would find it: hidden fields filled in, boxes as they were ticked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub action: Url,
    pub post: bool,
    pub fields: Vec<(String, String)>,
    pub buttons: Vec<Button>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// Empty: pressing it adds no field.
    pub name: String,
    pub value: String,
}

impl Form {
    /// Fills a field in, or chooses a radio button.
    pub fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    pub fn button(&self, label: &str) -> Option<&Button> {
        self.buttons.iter().find(|button| button.label == label)
    }
}

/// The forms of a page at `base`; relative actions are resolved against it.
pub(super) fn forms(html: &str, base: &Url) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut inside = false;
    let mut rest = html;
    while let Some((tag, after)) = next_tag(rest) {
        rest = after;
        let form = forms.last_mut().filter(|_| inside);
        match (tag.name.as_str(), form) {
            ("form", _) => {
                inside = true;
                forms.extend(tag.form(base));
            }
            ("/form", _) => inside = false,
            ("script" | "style", _) => rest = after_closing(rest, &tag.name),
            ("input", Some(form)) => form.add_input(&tag),
            ("button", Some(form)) if tag.value("type") != Some("button") => {
                form.buttons.push(tag.button(text_before(rest, "</button")));
            }
            ("textarea", Some(form)) => {
                let name = tag.value("name").unwrap_or_default().to_owned();
                form.fields.push((name, text_before(rest, "</textarea")));
            }
            _ => {}
        }
    }
    forms
}

impl Form {
    fn add_input(&mut self, tag: &Tag) {
        let value = |name: &str| tag.value(name).unwrap_or_default().to_owned();
        match tag.value("type").unwrap_or("text") {
            "submit" => self.buttons.push(tag.button(value("value"))),
            "button" | "reset" | "image" | "file" => {}
            "radio" | "checkbox" if tag.value("checked").is_none() => {}
            _ => self.fields.push((value("name"), value("value"))),
        }
    }
}

#[derive(Debug)]
struct Tag {
    /// Lower case; a closing tag begins with `/`.
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn value(&self, attribute: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(name, _)| name == attribute)?;
        Some(value)
    }

    fn form(&self, base: &Url) -> Option<Form> {
        let action = self.value("action").filter(|action| !action.is_empty());
        Some(Form {
            action: action.map_or_else(|| Some(base.clone()), |action| base.join(action).ok())?,
            post: self.value("method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
            fields: Vec::new(),
            buttons: Vec::new(),
        })
    }

    fn button(&self, label: String) -> Button {
        let value = |name: &str| self.value(name).unwrap_or_default().to_owned();
        Button { label, name: value("name"), value: value("value") }
    }
}

/// The next tag, and what comes after it.
fn next_tag(html: &str) -> Option<(Tag, &str)> {
    let (_, inner) = html.split_once('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        let after = comment.split_once("-->").map_or("", |(_, after)| after);
        return next_tag(after);
    }
    let end = inner.find(|c: char| c == '>' || c.is_whitespace()).unwrap_or(inner.len());
    let (name, mut rest) = inner.split_at_checked(end)?;
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return Some((tag, rest));
        }
        if let Some(after) = rest.strip_prefix('>') {
            return Some((tag, after));
        }
        let (attribute, after) = next_attribute(rest)?;
        tag.attributes.push(attribute);
        rest = after;
    }
}

fn next_attribute(text: &str) -> Option<((String, String), &str)> {
    let end = text.find(|c: char| c == '=' || c == '>' || c.is_whitespace()).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end.max(text.chars().next()?.len_utf8()))?;
    let name = name.to_ascii_lowercase();
    let Some(value) = rest.trim_start().strip_prefix('=').map(str::trim_start) else {
        return Some(((name, String::new()), rest));
    };
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (value, rest) = if let Some(quote) = quote {
        value.get(1..)?.split_once(quote)?
    } else {
        let end = value.find(|c: char| c == '>' || c.is_whitespace()).unwrap_or(value.len());
        value.split_at_checked(end)?
    };
    Some(((name, unescaped(value)), rest))
}

fn after_closing<'a>(html: &'a str, name: &str) -> &'a str {
    html.find(&format!("</{name}")).and_then(|at| html.get(at..)).unwrap_or("")
}

/// The text up to `end`, without the tags in it.
fn text_before(html: &str, end: &str) -> String {
    let inner = html.split_once(end).map_or(html, |(inner, _)| inner);
    let mut text = String::new();
    let mut rest = inner;
    while let Some((before, tagged)) = rest.split_once('<') {
        text.push_str(before);
        rest = tagged.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    unescaped(&words.join(" "))
}

fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#34;", "\""),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&amp;"),
    ];
    let text = ENTITIES.iter().fold(text.to_owned(), |text, (entity, it)| text.replace(entity, it));
    text.replace("&amp;", "&") // last, so that it makes no new entity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_person_could_send() {
        let html = r#"<!doctype html><!-- <form action="/not"> --><style>a<b{}</style>
            <script>if (1 < 2) { "<form>" }</script>
            <form method=POST action='/go?a=1&amp;b=2'>
              <input type="hidden" name="csrf" value="&lt;x&gt; &amp;amp;">
              <input type=radio name=who value=ada checked> <input type=radio name=who value=grace>
              <textarea name="why">because</textarea>
              <button class="yes" name=decision value=allow><b>Allow</b>
                 it</button><button type=button>Nothing</button>
              <input type=submit value="Send">
            </form><input name="outside">
            <form><button>Find</button></form>"#;
        let base = Url::parse("http://127.0.0.1:1/page?q=1").unwrap();
        let found = forms(html, &base);
        let text = str::to_owned;
        let button = |label, name, value| Button {
            label: text(label),
            name: text(name),
            value: text(value),
        };
        assert_eq!(
            found,
            [
                Form {
                    action: base.join("/go?a=1&b=2").unwrap(),
                    post: true,
                    fields: vec![
                        (text("csrf"), text("<x> &amp;")),
                        (text("who"), text("ada")),
                        (text("why"), text("because")),
                    ],
                    buttons: vec![
                        button("Allow it", "decision", "allow"),
                        button("Send", "", "Send")
                    ],
                },
                Form {
                    action: base,
                    post: false,
                    fields: vec![],
                    buttons: vec![button("Find", "", "")],
                },
            ]
        );
    }
}
