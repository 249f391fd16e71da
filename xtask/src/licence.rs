//! SPDX licence expressions: may a package with these terms be linked into what we ship?

/// Permissive licences; nothing here asks more than a notice.
const ACCEPTED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Whether the licences accepted satisfy the expression. `OR` is a choice, `AND` binds tighter and
/// wants both; a slash is how `OR` was once written.
pub(crate) fn acceptable(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let accepted = any(&mut words);
    accepted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>) -> bool {
    let mut accepted = all(words);
    while words.next_if_eq(&"OR").is_some() {
        accepted |= all(words);
    }
    accepted
}

fn all(words: &mut Words<'_>) -> bool {
    let mut accepted = one(words);
    while words.next_if_eq(&"AND").is_some() {
        accepted &= one(words);
    }
    accepted
}

fn one(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => {
            let accepted = any(words);
            accepted & words.next_if_eq(&")").is_some()
        }
        Some(licence) if words.next_if_eq(&"WITH").is_some() => {
            words.next().is_some_and(|exception| accepts(&format!("{licence} WITH {exception}")))
        }
        Some(licence) => accepts(licence),
        None => false,
    }
}

fn accepts(licence: &str) -> bool {
    ACCEPTED.contains(&licence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_accepted_when_a_choice_is() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only AND MIT", false),
            ("MIT OR Apache-2.0 AND GPL-3.0-only", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("ISC AND (GPL-3.0-only OR LGPL-3.0-only)", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH Some-exception", false),
            ("(MIT", false),
            ("MIT MIT", false),
            ("", false),
        ] {
            assert_eq!(acceptable(expression), expected, "{expression}");
        }
    }
}
