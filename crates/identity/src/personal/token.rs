//! `attp_` and 32 random characters, and 6 that say whether it was copied whole.
//!
//! The prefix lets scanners of leaked secrets know what they found, and the checksum that it is
//! one; neither asks anybody. The whole is one word, so that a double click takes all of it.

use attache_core::Secret;
use attache_crypto::{digest::sha256, random::Random};

pub(super) const PREFIX: &str = "attp_";
/// 190 bits.
const RANDOM: usize = 32;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The largest multiple of the alphabet in a byte: what is above would make some characters likelier.
const EVEN: u8 = 248;

pub(super) fn generate(source: &dyn Random) -> Secret {
    let mut token = String::from(PREFIX);
    while token.len() < PREFIX.len() + RANDOM {
        let mut byte = [0];
        source.fill(&mut byte);
        let [byte] = byte;
        if byte < EVEN {
            token.push(character(byte.into()));
        }
    }
    token.push_str(&checksum(&token));
    Secret::new(token)
}

/// Whether it is written as one of ours is: anything else need not be looked up.
pub(super) fn is_well_formed(token: &str) -> bool {
    let Some((rest, end)) = token.split_at_checked(PREFIX.len() + RANDOM) else { return false };
    let characters = rest.strip_prefix(PREFIX).unwrap_or_default();
    characters.len() == RANDOM
        && characters.bytes().all(|byte| ALPHABET.contains(&byte))
        && end == checksum(rest)
}

fn checksum(text: &str) -> String {
    let [a, b, c, d, ..] = sha256(text.as_bytes());
    let mut rest = u32::from_be_bytes([a, b, c, d]);
    let mut digit = || {
        let digit = character(rest);
        rest /= 62;
        digit
    };
    (0..CHECKSUM).map(|_| digit()).collect()
}

fn character(number: u32) -> char {
    let index = usize::try_from(number % 62).unwrap_or_default();
    ALPHABET.get(index).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use attache_crypto::random::SystemRandom;

    use super::*;

    #[test]
    fn a_token_says_whether_it_is_whole() {
        let token = generate(&SystemRandom);
        let token = token.expose();
        assert_eq!(token.len(), 43);
        assert!(is_well_formed(token));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        let other = if token.ends_with('a') { "b" } else { "a" };
        for broken in [
            &token[..42],
            &format!("{}{other}", &token[..42]),
            &format!("{token}a"),
            &token.replace("attp_", "ghp__"),
            &token.to_ascii_lowercase().replace("attp_", "ATTP_"),
            "attp_",
            "attp_äöü",
            "",
        ] {
            assert!(!is_well_formed(broken), "{broken}");
        }
        assert_ne!(generate(&SystemRandom).expose(), token);
    }
}
