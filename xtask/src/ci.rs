//! Everything a change must pass, in the order that fails soonest.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::terminal::say;
use crate::{deps, packages, packaging, peers, run, workspace};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("format", || run::loudly(&mut cargo("fmt --all --check"))),
    ("arrows and licences", deps::check),
    ("clippy", || {
        run::loudly(&mut cargo("clippy --workspace --all-targets --locked -- -D warnings"))
    }),
    ("packages", packages::provide),
    ("peers", || peers::install()?.check()),
    ("tests", tests),
    ("fuzz", fuzz),
    ("release build", release),
    ("demo", demo),
    ("packaging", packaging::check),
];

/// Runs every step and reports what each took; the first that fails ends it.
pub(crate) fn everything() -> Result<()> {
    let start = Instant::now();
    let mut report = String::new();
    for (name, step) in STEPS {
        say(&format!("\n=== {name}"));
        let begun = Instant::now();
        step().with_context(|| {
            format!("\nFAILED after {}, in the step {name}", seconds(start.elapsed()))
        })?;
        writeln!(report, "{:>8}  {name}", seconds(begun.elapsed()))?;
    }
    say(&format!("\n{report}{:>8}  in all: everything passed", seconds(start.elapsed())));
    Ok(())
}

/// nextest where it is installed, and cargo for the doc tests that nextest does not know.
fn tests() -> Result<()> {
    if run::works(Command::new("cargo").args(["nextest", "--version"]))? {
        run::quietly(&mut cargo("test --workspace --locked --doc"))?;
        run::loudly(&mut cargo("nextest run --workspace --locked"))
    } else {
        run::loudly(&mut cargo("test --workspace --locked"))
    }
}

/// Foreign input that nobody thought of, for a time that a change can wait.
pub(crate) fn fuzz() -> Result<()> {
    // as the tests built it: a build of its own would be of other features
    run::quietly(&mut cargo("test --workspace --locked --test corpus --no-run"))?;
    let hunt = deps::target_directory()?.join("debug").join("attache-fuzz");
    run::loudly(Command::new(hunt).args(["--seconds", "30"]))
}

fn release() -> Result<()> {
    run::loudly(&mut cargo("build --release --locked --package attache"))
}

/// The binary that was just built plays its own story.
fn demo() -> Result<()> {
    let attache = deps::target_directory()?.join("release").join("attache");
    run::loudly(Command::new(attache).args(["demo", "--check"]))
}

pub(crate) const BENCHES: [&str; 3] = ["proxy", "resolve", "memory"];
/// Not among all of them: the one takes its time, the other ten thousand connections.
pub(crate) const LONG_BENCHES: [&str; 2] = ["soak", "idle"];

/// Measures, with the gateway as it ships.
pub(crate) fn bench(name: &str) -> Result<()> {
    let of_the_proxy = LONG_BENCHES.contains(&name);
    if name == "proxy" || of_the_proxy {
        release()?;
        let yardstick = "build --release --locked --package attache-benches --bin reference";
        run::loudly(&mut cargo(yardstick))?;
    }
    let what = if of_the_proxy { format!("proxy -- {name}") } else { name.to_owned() };
    let run = format!("run --release --locked --package attache-benches --bin {what}");
    run::loudly(&mut cargo(&run))
}

fn cargo(arguments: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments.split(' ')).current_dir(workspace::root());
    cargo
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
