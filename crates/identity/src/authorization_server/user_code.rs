//! What a person types to name a device (RFC 8628 section 6.1): eight letters that are no vowels, so
//! that they make no words, and that are not taken for one another.

use std::fmt;

use attache_crypto::{digest::sha256, random::Random};

const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 34 bits: that ten guesses hit one of a thousand codes that wait is one in two million.
const LENGTH: usize = 8;
/// What people put between letters.
const SEPARATORS: [char; 3] = ['-', ' ', '.'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserCode([u8; LENGTH]);

impl UserCode {
    pub(super) fn new(random: &dyn Random) -> Self {
        // A byte from here on would make some letters likelier.
        const FAIR: usize = 256 - 256 % ALPHABET.len();
        Self(std::array::from_fn(|_| {
            loop {
                let mut byte = [0];
                random.fill(&mut byte);
                let number = usize::from(byte[0]);
                if number < FAIR
                    && let Some(letter) = ALPHABET.get(number % ALPHABET.len())
                {
                    break *letter;
                }
            }
        }))
    }

    /// In either case, with or without what stands between.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut letters = text
            .chars()
            .filter(|c| !SEPARATORS.contains(c))
            .map(|c| u8::try_from(c.to_ascii_uppercase()).ok().filter(|c| ALPHABET.contains(c)));
        let mut code = [0; LENGTH];
        for place in &mut code {
            *place = letters.next()??;
        }
        letters.next().is_none().then_some(Self(code))
    }

    pub(super) fn digest(self) -> [u8; 32] {
        sha256(&self.0)
    }
}

/// `WDJB-MJHT`
impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, letter) in self.0.iter().enumerate() {
            let joint = if place == LENGTH / 2 { "-" } else { "" };
            write!(f, "{joint}{}", char::from(*letter))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use attache_crypto::random::SystemRandom;

    use super::*;

    #[test]
    fn is_read_as_people_write_it() {
        let code = UserCode::new(&SystemRandom);
        assert_eq!(UserCode::parse(&code.to_string()), Some(code));
        for (text, read) in [
            ("WDJB-MJHT", Some("WDJB-MJHT")),
            ("wdjbmjht", Some("WDJB-MJHT")),
            (" wd jb.mj-ht ", Some("WDJB-MJHT")),
            ("WDJB-MJH", None),
            ("WDJB-MJHTT", None),
            ("WDJA-MJHT", None),
            ("WDJ1-MJHT", None),
            ("WDJ\u{42a}-MJHT", None),
            ("", None),
        ] {
            let code = UserCode::parse(text).map(|code| code.to_string());
            assert_eq!(code.as_deref(), read, "{text:?}");
        }
    }

    /// Each letter is as likely at each place: no code is easier to guess.
    #[test]
    fn every_letter_is_drawn() {
        let drawn: Vec<String> =
            (0..1_000).map(|_| UserCode::new(&SystemRandom).to_string()).collect();
        for letter in ALPHABET {
            let letter = char::from(*letter);
            let times: usize = drawn.iter().map(|code| code.matches(letter).count()).sum();
            assert!((300..500).contains(&times), "{letter}: {times} of 8,000");
        }
    }
}
