//! `cargo run -p attache-fuzz -- [--seconds N] [--seed N] [TARGET…]`: hunts in all targets, or in
//! those that are named, on every core. N seconds are the whole hunt's.

mod terminal;

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use attache_fuzz::{
    TARGETS, Target, corpus,
    hunt::{Find, hunt},
};

use self::terminal::say;

const USAGE: &str = "usage: attache-fuzz [--seconds N] [--seed N] [TARGET...]";

struct Asked {
    seconds: u64,
    seed: u64,
    targets: Vec<Target>,
}

fn main() -> ExitCode {
    let Some(asked) = asked(std::env::args().skip(1)) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    say(&format!("{} targets, seed {}", asked.targets.len(), asked.seed));
    match all(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Option<Asked> {
    // a hasher of the standard library has a random key
    let mut asked =
        Asked { seconds: 30, seed: RandomState::new().hash_one(0), targets: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => asked.seconds = arguments.next()?.parse().ok()?,
            "--seed" => asked.seed = arguments.next()?.parse().ok()?,
            name => asked.targets.push(*TARGETS.iter().find(|target| target.name == name)?),
        }
    }
    if asked.targets.is_empty() {
        asked.targets.extend(TARGETS);
    }
    Some(asked)
}

/// Whether nothing was found.
fn all(asked: &Asked) -> io::Result<bool> {
    let workers = thread::available_parallelism()?.get().min(asked.targets.len());
    let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
    let share = Duration::from_secs(asked.seconds) * count(workers) / count(asked.targets.len());
    let (taken, quiet) = (AtomicUsize::new(0), Mutex::new(Ok(true)));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = asked.targets.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(*target, asked.seed, share);
                    let mut quiet = quiet.lock().expect("a hunt catches what panics");
                    match (&mut *quiet, outcome) {
                        (Ok(quiet), Ok(one)) => *quiet &= one,
                        (Ok(_), error) => *quiet = error,
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    quiet.into_inner().expect("a hunt catches what panics")
}

fn one(target: Target, seed: u64, time: Duration) -> io::Result<bool> {
    let inputs = corpus::load(target)?.into_iter().map(|(_, input)| input).collect();
    match hunt(target, inputs, seed, Instant::now() + time) {
        Ok(quiet) => {
            say(&format!("{:>22}  {:>9} inputs, {} kinds", target.name, quiet.inputs, quiet.kinds));
            Ok(true)
        }
        Err(find) => {
            let file = keep(target, &find)?;
            say(&format!("{target}: {}; the input is in {}", find.broken, file.display()));
            Ok(false)
        }
    }
}

/// Where it can be looked at, and given to the corpus under a name that says what it is.
fn keep(target: Target, find: &Find) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    fs::create_dir_all(&folder)?;
    let file = folder.join(target.name);
    fs::write(&file, &find.input)?;
    Ok(file)
}
