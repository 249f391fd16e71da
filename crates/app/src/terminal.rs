//! Data to stdout, messages to stderr, and never a credential.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Colour, Global, Output};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    output: Output,
    colour: bool,
    interactive: bool,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let colour = match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => io::stderr().is_terminal(),
        };
        Self { output: global.output, colour, interactive: io::stderr().is_terminal() }
    }

    pub(crate) fn colour(self) -> bool {
        self.colour
    }

    /// Whether a program reads what we print.
    pub(crate) fn is_machine(self) -> bool {
        self.output != Output::Table
    }

    /// Whether somebody watches the messages come.
    pub(crate) fn is_interactive(self) -> bool {
        self.interactive
    }

    /// A line of data. A reader that has gone away (`| head`) is no error of ours.
    #[expect(clippy::unused_self, reason = "everything printed goes through the terminal")]
    pub(crate) fn line(self, text: impl Display) {
        drop(writeln!(io::stdout().lock(), "{text}"));
    }

    /// Words for the person, not for the pipe.
    #[expect(clippy::unused_self, reason = "everything printed goes through the terminal")]
    pub(crate) fn message(self, text: impl Display) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// A message in place of the last one that was written so.
    #[expect(clippy::unused_self, reason = "everything printed goes through the terminal")]
    pub(crate) fn overwrite(self, text: impl Display) {
        let mut stderr = io::stderr().lock();
        drop(write!(stderr, "\r\u{1b}[K{text}").and_then(|()| stderr.flush()));
    }

    pub(crate) fn error(self, error: impl Display) {
        let label = if self.colour { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
        self.message(format_args!("{label}: {error}"));
    }

    /// `data` as asked for: as JSON, as YAML, or as a table made of it.
    pub(crate) fn data<T: Serialize>(self, data: &T, table: impl FnOnce() -> Vec<Vec<String>>) {
        let value = serde_json::to_value(data).unwrap_or(Value::Null);
        match self.output {
            Output::Json => self.line(format_args!("{value:#}")),
            Output::Yaml => self.line(yaml_serde::to_string(&value).unwrap_or_default().trim_end()),
            Output::Table => {
                let mut lines = table().into_iter();
                let mut shown = Table::new();
                shown.load_style(presets::NOTHING);
                if let Some(header) = lines.next() {
                    shown.set_header(header);
                }
                shown.add_rows(lines);
                for line in shown.to_string().lines() {
                    self.line(line.trim_end());
                }
            }
        }
    }
}
