//! What is wrong with a configuration, all of it: for people like a compiler would, for programs
//! as plain data.

use std::{cell::RefCell, ops::Range, path::Path, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::{
    load::Source,
    locate::{Part, locate},
    path::KeyPath,
    redact::redact,
    tree::Tree,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One problem. No field holds a value that may be a secret.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: String,
    /// Counted from 1; absent when the problem is about the file as a whole.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// `upstream[0].auth_broker.mode`; empty for the file as a whole.
    pub key: String,
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    #[serde(skip)]
    span: Option<Range<usize>>,
    /// The text with every possible secret blacked out, or nothing when that cannot be done.
    #[serde(skip)]
    excerpt: Option<Arc<str>>,
}

/// Everything found, in the order of the file; what is in files that it refers to comes after.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// As a compiler would show them, with colours or without.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let shown: Vec<String> = self.list.iter().map(|one| render_one(&renderer, one)).collect();
        shown.join("\n\n")
    }

    /// The one problem of a text that is not even TOML, YAML or JSON. No excerpt: without its
    /// structure nobody knows which part of it is a secret.
    pub(crate) fn syntax(file: &Path, text: &str, at: Option<usize>, message: &str) -> Self {
        let place = at.map(|offset| line_and_column(text, offset));
        let only = Diagnostic {
            severity: Severity::Error,
            file: file.display().to_string(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            key: String::new(),
            message: harmless(message),
            help: None,
            span: None,
            excerpt: None,
        };
        Self { list: vec![only] }
    }

    /// With what was found in another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    pub(crate) fn locate(problems: Problems, source: &Source, tree: &Tree) -> Self {
        let excerpt: Option<Arc<str>> = redact(&source.text, tree).map(Arc::from);
        let mut list: Vec<Diagnostic> = problems
            .0
            .into_inner()
            .into_iter()
            .map(|problem| {
                let span = locate(&source.text, source.format, &problem.path, problem.part);
                let place = span.as_ref().map(|span| line_and_column(&source.text, span.start));
                Diagnostic {
                    severity: problem.severity,
                    file: source.file.display().to_string(),
                    line: place.map(|(line, _)| line),
                    column: place.map(|(_, column)| column),
                    key: harmless(&problem.path.to_string()),
                    message: harmless(&problem.message),
                    help: problem.help.as_deref().map(harmless),
                    span,
                    excerpt: excerpt.clone(),
                }
            })
            .collect();
        list.sort_by_key(|one| (one.line, one.column));
        Self { list }
    }
}

fn render_one(renderer: &Renderer, one: &Diagnostic) -> String {
    let level = match one.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&one.message);
    let mut group = if let (Some(excerpt), Some(span)) = (&one.excerpt, &one.span) {
        let here = AnnotationKind::Primary.span(span.clone()).label(&one.key);
        title.element(Snippet::source(&**excerpt).path(&one.file).annotation(here))
    } else {
        let mut origin = Origin::path(&one.file);
        if let (Some(line), Some(column)) = (one.line, one.column) {
            origin = origin.line(line).char_column(column);
        }
        title.element(origin)
    };
    if let Some(help) = &one.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

/// With what does something to a terminal written out: a key or a word in here may be of a template
/// that somebody else wrote.
fn harmless(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            harmless.extend(c.escape_unicode());
        } else {
            harmless.push(c);
        }
    }
    harmless
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

// --- collecting ---------------------------------------------------------------------------------

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

#[derive(Debug)]
struct Problem {
    severity: Severity,
    path: KeyPath,
    part: Part,
    message: String,
    help: Option<String>,
}

/// A place in the file, to complain about.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    problems: &'a Problems,
    path: KeyPath,
}

impl Problems {
    pub(crate) fn root(&self) -> Place<'_> {
        self.at(KeyPath::default())
    }

    pub(crate) fn at(&self, path: KeyPath) -> Place<'_> {
        Place { problems: self, path }
    }
}

impl Place<'_> {
    pub(crate) fn key(&self, name: &str) -> Self {
        Self { problems: self.problems, path: self.path.key(name) }
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self { problems: self.problems, path: self.path.index(index) }
    }

    pub(crate) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, Part::Value, message.into(), help.into());
    }

    pub(crate) fn warning(&self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, Part::Value, message.into(), help.into());
    }

    pub(crate) fn wrong_key(&self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, Part::Key, message.into(), help.into());
    }

    /// A key that must be there is not, unless it was there and already complained about.
    pub(crate) fn missing(&self, message: impl Into<String>, help: impl Into<String>) {
        let known = self.problems.0.borrow().iter().any(|one| {
            one.path.overlaps(&self.path) && !one.path.0.is_empty() && one.part == Part::Value
        });
        if !known {
            self.wrong_key(message, help);
        }
    }

    fn add(&self, severity: Severity, part: Part, message: String, help: String) {
        let help = Some(help).filter(|help| !help.is_empty());
        let problem = Problem { severity, path: self.path.clone(), part, message, help };
        self.problems.0.borrow_mut().push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        assert_eq!(line_and_column("a\nüb", 4), (2, 2));
        assert_eq!(line_and_column("", 0), (1, 1));
    }
}
