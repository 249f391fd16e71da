//! What the gateway may never write down, found on the wire by somebody else.

/// In a token endpoint's answers and requests (RFC 6749 sections 4.1.3 and 5.1), and how each ends.
const ON_THE_WIRE: [(&str, &[char]); 6] = [
    ("\"access_token\":\"", &['"']),
    ("\"refresh_token\":\"", &['"']),
    ("\"id_token\":\"", &['"']),
    ("code=", &['&', ' ']),
    ("code_verifier=", &['&', ' ']),
    ("refresh_token=", &['&', ' ']),
];
/// Shorter ones are not secrets but pieces of a protocol.
const SHORTEST: usize = 20;

/// The tokens, codes and verifiers in what passed between a client and a token endpoint.
pub(crate) fn secrets_in(passed: &str) -> Vec<String> {
    ON_THE_WIRE.iter().flat_map(|(start, ends)| values(passed, start, ends)).collect()
}

fn values(text: &str, start: &str, ends: &[char]) -> Vec<String> {
    text.split(start)
        .skip(1)
        .filter_map(|after| after.split(ends).next())
        // A form's last value is followed by the answer's status line.
        .map(|value| value.split("HTTP/1.").next().unwrap_or(value))
        .filter(|value| value.len() >= SHORTEST)
        .map(ToOwned::to_owned)
        .collect()
}

/// Where `secret` is written, if anywhere.
pub(crate) fn contains(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}
