//! Did you mean …?

/// The word nearest to `given`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = given.chars().count();
    let far = length.max(3) / 3;
    known
        .iter()
        .filter(|word| word.chars().count().abs_diff(length) <= far)
        .map(|word| (distance(given, word), *word))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, word)| word)
}

/// Insertions, deletions and substitutions from one to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, (diagonal, above)) in b.chars().zip(row.iter().zip(row.iter().skip(1))) {
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// `a, b, or c`
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} or {second}"),
        [rest @ .., last] => format!("{}, or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_does_not() {
        let known = ["client_id", "client_secret", "client_auth", "url"];
        assert_eq!(nearest("client_secrt", &known), Some("client_secret"));
        assert_eq!(nearest("clientId", &known), Some("client_id"));
        assert_eq!(nearest("ulr", &["url"]), None);
        assert_eq!(nearest("urls", &known), Some("url"));
        assert_eq!(nearest("timeout", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
