//! TOML with comments, written top-down.

use toml::{Table, Value};

/// Characters of comment a line.
const WIDTH: usize = 96;

#[derive(Default)]
pub(super) struct Draft {
    text: String,
    /// Between the comments of a section that is only suggested: its lines are comments too.
    suggested: bool,
}

impl Draft {
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    pub(super) fn section(&mut self, header: &str) {
        let prefix = if self.suggested { "# " } else { "" };
        self.line(&format!("{prefix}{header}"));
    }

    pub(super) fn entry(&mut self, key: &str, value: impl Into<Value>) {
        let prefix = if self.suggested { "# " } else { "" };
        self.line(&format!("{prefix}{key} = {}", value.into()));
    }

    /// A reference to an environment variable.
    pub(super) fn reference(variable: &str) -> Value {
        Value::Table(Table::from_iter([("env".to_owned(), Value::from(variable))]))
    }

    pub(super) fn gap(&mut self) {
        self.line("");
    }

    /// From here on only comments, or not.
    pub(super) fn suggest(&mut self, suggested: bool) {
        self.suggested = suggested;
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The environment variable that mcpproxy's `${env:NAME}` names, when it is all there is.
pub(super) fn env_reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${env:")?.strip_suffix('}')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// A variable's name out of other names: `GITHUB_CLIENT_SECRET`.
pub(super) fn variable(words: &[&str]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    words.join("_").chars().map(plain).collect()
}
