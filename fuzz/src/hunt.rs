//! Looks for an input that breaks a target's property, for a bounded time.

use std::{
    collections::BTreeSet,
    fmt, panic,
    time::{Duration, Instant},
};

use crate::{
    Outcome, Target,
    mutate::{self, Words},
    rng::Rng,
};

/// A hunt that found nothing.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    pub inputs: u64,
    /// Inputs that were the first of their kind.
    pub kinds: usize,
}

/// An input that breaks a property.
#[derive(Debug)]
pub struct Find {
    pub input: Vec<u8>,
    pub broken: Broken,
}

#[derive(Debug)]
pub enum Broken {
    /// The target's own property, or a panic of the reader. It has been printed.
    Property,
    /// The best of three readings took this long.
    Slow(Duration),
    /// What can be said is no closed list; the last that was heard.
    Talkative(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property => f.write_str("its property does not hold"),
            Self::Slow(took) => write!(f, "it took {took:?}"),
            Self::Talkative(said) => write!(f, "more than {SAYINGS} different sayings, as: {said}"),
        }
    }
}

/// Different texts of one target. The longest list, that of the token endpoint, has some thirty.
const SAYINGS: usize = 48;

/// Inputs grown from, beside the corpus: a kind is a shape, and shapes have numbers in them.
const KINDS: usize = 4096;

/// Gives `target` the inputs of `corpus`, then what grows of them, until `end`.
///
/// # Errors
/// The first [`Find`].
pub fn hunt(target: Target, corpus: Vec<Vec<u8>>, seed: u64, end: Instant) -> Result<Quiet, Find> {
    let mut rng = Rng::new(seed);
    let words = Words::of(&corpus);
    let mut heard = Heard::default();
    for input in &corpus {
        heard.listen(target, input)?;
    }
    let mut inputs = corpus;
    let mut quiet = Quiet { inputs: 0, kinds: 0 };
    while Instant::now() < end {
        let input = mutate::next(&mut rng, &inputs, &words);
        quiet.inputs += 1;
        if heard.listen(target, &input)? && quiet.kinds < KINDS {
            quiet.kinds += 1;
            inputs.push(input);
        }
    }
    Ok(quiet)
}

/// Reads one input, as a hunt does.
///
/// # Errors
/// The [`Find`] that it is.
pub fn read(target: Target, input: &[u8]) -> Result<Outcome, Find> {
    let find = |broken| Find { input: input.to_vec(), broken };
    let (outcome, took) = timed(target, input).ok_or_else(|| find(Broken::Property))?;
    if took > limit(input) {
        let again = || timed(target, input).map_or(took, |(_, took)| took);
        let best = took.min(again()).min(again());
        if best > limit(input) {
            return Err(find(Broken::Slow(best)));
        }
    }
    Ok(outcome)
}

/// Linear in the length, with room for a machine that is busy: what is quadratic takes seconds at
/// the longest inputs.
fn limit(input: &[u8]) -> Duration {
    const A_BYTE: Duration = Duration::from_micros(4);
    Duration::from_millis(100) + A_BYTE * u32::try_from(input.len()).unwrap_or(u32::MAX)
}

fn timed(target: Target, input: &[u8]) -> Option<(Outcome, Duration)> {
    let begun = Instant::now();
    let outcome = panic::catch_unwind(|| (target.run)(input)).ok()?;
    Some((outcome, begun.elapsed()))
}

#[derive(Default)]
struct Heard {
    sayings: BTreeSet<String>,
    kinds: BTreeSet<(Vec<String>, Vec<usize>)>,
}

impl Heard {
    /// Whether this was the first of its kind.
    fn listen(&mut self, target: Target, input: &[u8]) -> Result<bool, Find> {
        let Outcome { said, shape } = read(target, input)?;
        self.sayings.extend(said.iter().cloned());
        if self.sayings.len() > SAYINGS {
            return Err(Find { input: input.to_vec(), broken: Broken::Talkative(said.concat()) });
        }
        Ok(self.kinds.insert((said, shape)))
    }
}
