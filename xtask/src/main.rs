//! What a maintainer runs: `cargo xtask <command>`.

mod ci;
mod deps;
mod licence;
mod packages;
mod packaging;
mod peers;
mod run;
mod terminal;
mod venv;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test (or ci)      everything a change must pass, from formatting to the released binary's demo
  bench [NAME]      what things cost, as docs/performance.md says; all of it, or one of
                      proxy     a call, beside nginx's (needs wrk and nginx)
                      resolve   whose credential a request takes, beside the floor
                      memory    what each person served takes
                    or, on their own,
                      soak      ten minutes of calls, and memory that has to stay (needs wrk, nginx)
                      idle      what an event stream takes on which nothing happens
  deps              the arrows between the crates, and the licences
  fuzz              foreign input that nobody thought of, for 30 seconds
  packaging         lint, render and build what is in the folder packaging, around the program that
                    cargo build --release made
  peers [--check]   install the independent programs that tests talk to; --check has them talk to
                    each other";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test" | "ci"] => ci::everything(),
        ["bench"] => ci::BENCHES.into_iter().try_for_each(ci::bench),
        ["bench", name] if ci::BENCHES.contains(name) || ci::LONG_BENCHES.contains(name) => {
            ci::bench(name)
        }
        ["deps"] => deps::check(),
        ["fuzz"] => ci::fuzz(),
        ["packaging"] => packages::provide().and_then(|()| packaging::check()),
        ["peers"] => peers::install().map(drop),
        ["peers", "--check"] => peers::install().and_then(|peers| peers.check()),
        _ => {
            terminal::complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
