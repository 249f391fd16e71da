//! The report for people: plain text that stays readable where it is pasted.

use super::report::{Advice, Finding, Mover, Outcome, Part, Report};

/// Characters of a line, where words allow it.
const WIDTH: usize = 100;
/// Where what was found begins: two of margin, the outcome, the check.
const INDENT: usize = 2 + OUTCOME + CHECK;
const OUTCOME: usize = 9;
const CHECK: usize = 19;

pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines =
        vec![format!("attache {} doctor, {}, {}", report.version, report.at, report.public_url)];
    for section in &report.sections {
        lines.extend([String::new(), title(&section.part)]);
        lines.extend(section.findings.iter().flat_map(finding));
    }
    let total = match (report.wrong, report.warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (wrong, warnings) => format!("{wrong} wrong, {}", counted(warnings, "warning")),
    };
    lines.extend([String::new(), total]);
    lines
}

/// `1 warning`, `2 warnings`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn title(part: &Part) -> String {
    match part {
        Part::Gateway => "gateway".to_owned(),
        Part::IdentityProvider(issuer) => format!("identity provider {issuer}"),
        Part::TokenIssuer(issuer) => format!("issuer of access tokens {issuer}"),
        Part::Upstream(name) => format!("upstream {name}"),
    }
}

fn finding(finding: &Finding) -> Vec<String> {
    let outcome = match finding.outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Wrong => "WRONG",
        Outcome::NotLookedAt => "-",
    };
    let check = finding.check.as_str().replace('_', " ");
    let mut lines = wrapped(&format!("  {outcome:OUTCOME$}{check:CHECK$}"), &finding.found);
    if let Some(Advice { whose_move, key, next }) = &finding.advice {
        let who = match whose_move {
            Mover::Operator => "you",
            Mover::Provider => "whoever runs it",
            Mover::Nobody => "nobody yet",
        };
        let key = key.map(|key| format!(", {key}")).unwrap_or_default();
        lines.extend(wrapped(&" ".repeat(INDENT), &format!("→ {who}{key}: {next}")));
    }
    lines
}

/// `text` after `first`, and what does not fit below it.
fn wrapped(first: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    for word in text.split(' ') {
        let started = line.chars().count() > INDENT;
        if started && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
        } else if started {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_stay_whole_and_others_stay_in_their_column() {
        let first = format!("{:INDENT$}", "  ok");
        let url = format!("https://{}.example.com", "a".repeat(WIDTH));
        let lines = wrapped(&first, &format!("one {url} {}", "two ".repeat(40).trim_end()));
        assert_eq!(lines[0], format!("{first}one"));
        assert_eq!(lines[1], format!("{}{url}", " ".repeat(INDENT)));
        assert!(lines.iter().skip(2).all(|line| line.len() <= WIDTH && line.contains("  two")));
        assert_eq!(lines.concat().matches("two").count(), 40);
    }
}
