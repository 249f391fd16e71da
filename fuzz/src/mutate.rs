//! One input made of others: changed in bytes, in words, in numbers, in depth and in length.

use std::{collections::BTreeSet, ops::Range};

use crate::rng::Rng;

/// Bytes. Above every limit on a header or a token, below what makes a hunt slow; limits on whole
/// documents are tested where they are kept.
pub(crate) const LONGEST: usize = 64 * 1024;

/// What readers trip over, whatever they read.
const TRAPS: &[&str] = &[
    "\0",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "\u{fffd}",
    "\"",
    "\\",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "%00",
    "%0d%0a",
    "%",
    "&",
    "=",
    ";",
    ",",
    " ",
    "\t",
    ".",
    "..",
    "//",
    "#",
    "?",
    "@",
    ":",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    "null",
    "true",
    "\u{130}",
    "\u{e9}",
    "http://",
    "https://",
    "javascript:",
    "127.0.0.1",
    "[::1]",
    "localhost",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1e-320",
    "0.1",
    "3600",
    "2147483648",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e400",
    "-1e308",
    "1E+2",
    "0x10",
    "NaN",
    "Infinity",
    "1800000000",
    "99999999999999999999999999999999999999999",
];

/// Bytes that are in no UTF-8, or only in an overlong one.
const BROKEN: &[&[u8]] =
    &[b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"];

/// Words of the corpus, to put where other words are.
pub(crate) struct Words(Vec<Vec<u8>>);

impl Words {
    pub(crate) fn of(inputs: &[Vec<u8>]) -> Self {
        let words: BTreeSet<Vec<u8>> = inputs
            .iter()
            .flat_map(|input| input.split(|byte| !is_word(*byte)))
            .filter(|word| (2..=64).contains(&word.len()))
            .map(<[u8]>::to_vec)
            .collect();
        Self(words.into_iter().collect())
    }
}

/// A change or several of one of `inputs`.
pub(crate) fn next(rng: &mut Rng, inputs: &[Vec<u8>], words: &Words) -> Vec<u8> {
    let mut input = rng.pick(inputs).cloned().unwrap_or_default();
    for _ in 0..=rng.below(4) {
        change(rng, &mut input, inputs, words);
    }
    input.truncate(LONGEST);
    input
}

fn change(rng: &mut Rng, input: &mut Vec<u8>, inputs: &[Vec<u8>], words: &Words) {
    let word = words.0.as_slice();
    match rng.below(13) {
        0 => {
            let at = rng.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
        1 => {
            let byte = rng.byte();
            replace(input, rng, &[byte]);
        }
        2 | 3 => insert(input, rng, TRAPS, |trap| trap.as_bytes()),
        4 => insert(input, rng, BROKEN, |bytes| bytes),
        5 => insert(input, rng, word, Vec::as_slice),
        6 => drop(input.drain(some(rng, input.len()))),
        7 => {
            let copied = input.get(some(rng, input.len())).unwrap_or_default().to_vec();
            replace(input, rng, &copied);
        }
        8 => {
            let copied = input.get(some(rng, input.len())).unwrap_or_default();
            let times = 1 + rng.below(LONGEST / 8) / copied.len().max(1);
            let repeated = copied.repeat(times.min(size(rng, 14)));
            replace(input, rng, &repeated);
        }
        9 => swap_runs(rng, input, is_word, word, |word| word.as_slice()),
        10 => swap_runs(rng, input, |byte| byte.is_ascii_digit(), NUMBERS, |text| text.as_bytes()),
        11 => {
            let depth = size(rng, 15);
            let (open, close) =
                *rng.pick(&[("[", "]"), ("{\"a\":", "}"), ("(", ")")]).unwrap_or(&("", ""));
            let inside = some(rng, input.len());
            input.splice(inside.end..inside.end, close.repeat(depth).bytes());
            input.splice(inside.start..inside.start, open.repeat(depth).bytes());
        }
        _ => {
            let other = rng.pick(inputs).map(Vec::as_slice).unwrap_or_default();
            let tail = other.get(some(rng, other.len())).unwrap_or_default();
            replace(input, rng, tail);
        }
    }
}

/// Puts `bytes` somewhere, over as much as nothing.
fn replace(input: &mut Vec<u8>, rng: &mut Rng, bytes: &[u8]) {
    let start = rng.below(input.len() + 1);
    let end = if rng.below(2) == 0 { start } else { (start + bytes.len()).min(input.len()) };
    input.splice(start..end, bytes.iter().copied());
}

fn insert<T>(input: &mut Vec<u8>, rng: &mut Rng, among: &[T], bytes: impl Fn(&T) -> &[u8]) {
    if let Some(one) = rng.pick(among) {
        replace(input, rng, bytes(one));
    }
}

/// Puts one of `among` in the place of a whole run of bytes that are `of` a kind.
fn swap_runs<T>(
    rng: &mut Rng,
    input: &mut Vec<u8>,
    of: impl Fn(u8) -> bool,
    among: &[T],
    bytes: impl Fn(&T) -> &[u8],
) {
    let from = rng.below(input.len());
    let tail = input.get(from..).unwrap_or_default();
    let Some(start) = tail.iter().position(|byte| of(*byte)).map(|at| from + at) else { return };
    let run = input.get(start..).unwrap_or_default();
    let end = start + run.iter().position(|byte| !of(*byte)).unwrap_or(run.len());
    if let Some(one) = rng.pick(among) {
        input.splice(start..end, bytes(one).iter().copied());
    }
}

/// A part of `length` bytes, more often a short one.
fn some(rng: &mut Rng, length: usize) -> Range<usize> {
    let start = rng.below(length);
    let most = length - start;
    let most = if rng.below(2) == 0 { most.min(16) } else { most };
    start..start + rng.below(most + 1)
}

/// Below 2 to the power of `most`; mostly small, as what is large is slow.
fn size(rng: &mut Rng, most: usize) -> usize {
    let most = 1 + rng.below(most);
    1 << rng.below(most)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
