//! What a refusal means, told by what the servers answered.

use attache_oauth::discover::DiscoveryError;

use super::{
    journal::{Answer, Entry, Fault},
    report::{Check, Finding, Mover, Outcome},
};

/// Answers that are told one by one.
const TOLD: usize = 4;

/// Why a document was not found, or not believed. `asked` is what was asked for it.
pub(super) fn metadata(
    check: Check,
    outcome: Outcome,
    error: DiscoveryError,
    asked: &[Entry],
) -> Finding {
    let finding = |found: String| Finding::new(check, outcome, found);
    match error {
        DiscoveryError::Unavailable | DiscoveryError::Blocked => {
            asked.last().map_or_else(|| finding(error.to_string()), |last| entry(check, outcome, last))
        }
        DiscoveryError::NotFound => finding(format!("there is no metadata document: {}", told(asked)))
            .then(
                Mover::Operator,
                None,
                "correct the URL; a server that publishes none must be described in the \
                 configuration",
            ),
        DiscoveryError::WrongIssuer => finding(format!("{error} ({})", told(asked))).then(
            Mover::Operator,
            None,
            "write the issuer exactly as the document does, down to a slash at its end; if it is \
             another server's document, whoever runs it has to correct it",
        ),
        DiscoveryError::WrongResource => finding(error.to_string()).then(
            Mover::Operator,
            Some("upstream.url"),
            "write the URL that the upstream's documentation names; if it is that one, whoever runs \
             the upstream has to correct `resource`",
        ),
        DiscoveryError::InvalidIssuer => finding(error.to_string()).then(
            Mover::Provider,
            None,
            "name an issuer that is an https URL",
        ),
        _ => finding(error.to_string()).then(
            Mover::Provider,
            None,
            "correct the metadata; what is not right in it is not used",
        ),
    }
}

/// An answer that ended the search, or none.
pub(super) fn entry(check: Check, outcome: Outcome, entry: &Entry) -> Finding {
    let finding = Finding::new(check, outcome, entry.to_string());
    match &entry.answer {
        Answer::Refused(Fault::Egress) => finding.write(
            "egress.allow_private",
            "add its address if it is the right one; public addresses need no rule",
        ),
        Answer::Refused(Fault::Insecure) => {
            finding.then(Mover::Operator, None, "write the https URL")
        }
        Answer::Refused(Fault::Tls(_)) => finding.then(
            Mover::Provider,
            None,
            "show a valid certificate; one of an authority of your own must be among this machine's \
             roots, or in the file that SSL_CERT_FILE names",
        ),
        Answer::Refused(Fault::Away(_)) => finding.then(
            Mover::Operator,
            None,
            "check the host, the port and the firewalls between; it may also be down for a while",
        ),
        Answer::Came { status, .. } if status.is_redirection() => finding.then(
            Mover::Operator,
            None,
            "write the address that it redirects to: redirects are not followed",
        ),
        Answer::Came { status, .. } if status.is_server_error() || status.as_u16() == 429 => {
            finding.then(Mover::Nobody, None, "try again; if it stays, tell whoever runs it")
        }
        Answer::Refused(Fault::TooLarge) | Answer::Came { .. } => {
            finding.then(Mover::Operator, None, "correct the URL")
        }
    }
}

/// `as.example.com answered 404, as.example.com answered 200 with a page`
pub(super) fn told(asked: &[Entry]) -> String {
    let told: Vec<String> = asked.iter().take(TOLD).map(ToString::to_string).collect();
    told.join(", ")
}
