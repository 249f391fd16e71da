//! The one place that prints.

/// What was asked for.
#[expect(clippy::print_stdout, reason = "a maintainer's command talks to a terminal")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// What went wrong.
#[expect(clippy::print_stderr, reason = "a maintainer's command talks to a terminal")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}
