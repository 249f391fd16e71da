//! The one place that prints.

#[expect(clippy::print_stdout, reason = "a maintainer's command talks to a terminal")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
