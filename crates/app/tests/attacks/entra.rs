//! Entra's On-Behalf-Of: whose token, in which form, and what is said when there is none.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use attache_core::Secret;
use attache_crypto::random::SystemRandom;
use attache_sandbox::{
    Ambient, Entra, MARKER, Person,
    entra::{Application, CERTIFICATE, EntraAnswer},
    people::{ADA, GRACE},
};
use serde_json::json;

use crate::{
    program::Program,
    world::{CLIENT_SECRET, Surroundings, World},
};

const HOUR: Duration = Duration::from_hours(1);
const APPLICATION: &str = "00000002-0000-0000-c000-000000000000";

async fn directory() -> (Entra, World) {
    directory_for(&format!("client_secret = \"{CLIENT_SECRET}\"")).await
}

/// With what proves the application.
async fn directory_for(proof: &str) -> (Entra, World) {
    let surroundings = Surroundings::default();
    let (clock, random) = (surroundings.clock.clone(), Arc::new(SystemRandom));
    let ambient = Ambient { clock, random };
    let application =
        Application { id: APPLICATION.to_owned(), secret: Secret::new(CLIENT_SECRET) };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let entra = Entra::start(anywhere, ambient, application).await.expect("a free port");
    let more = format!(
        r#"
[[identity.jwt]]
issuer = "{issuer}"
audience = "{APPLICATION}"
subject_claim = "oid"

[[upstream]]
name = "hr"
url = "{{bare}}hr"
protocol = "http"
[upstream.auth_broker]
mode = "entra_obo"
issuer = "{issuer}"
token_endpoint = "{endpoint}"
client_id = "{APPLICATION}"
{proof}
scopes = ["api://hr/.default"]
"#,
        issuer = entra.issuer(),
        endpoint = entra.token_endpoint(),
    );
    let surroundings = Surroundings { more, ..surroundings };
    (entra, World::among("sqlite:attache.db", surroundings).await)
}

fn program(world: &World, entra: &Entra, person: Person) -> Program {
    world.program_with(&entra.access_token(person, HOUR))
}

/// What the upstream was called with last.
fn arrived(world: &World) -> String {
    let last = world.bare.arrived().pop().expect("a request");
    last.all("authorization").concat()
}

fn asked(entra: &Entra) -> usize {
    let requests = entra.recorder().requests();
    requests.iter().filter(|request| request.uri.path().ends_with("/token")).count()
}

#[tokio::test]
async fn everybody_is_called_for_with_a_token_on_behalf_of_them() {
    let (entra, world) = directory().await;
    let (ada, grace) = (program(&world, &entra, ADA), program(&world, &entra, GRACE));
    for (program, person) in [(&ada, ADA), (&grace, GRACE), (&ada, ADA)] {
        let page = program.get("/http/hr/me").await;
        assert_eq!(page.status, 200, "{}", page.body);
        let arrived = arrived(&world);
        assert!(arrived.starts_with(&format!("Bearer obo-{}", person.id)), "{arrived}");
    }
    assert_eq!(asked(&entra), 2, "once for each");

    // Who signs in anew, in another role perhaps, is asked about anew.
    world.later(Duration::from_secs(1));
    assert_eq!(program(&world, &entra, ADA).get("/http/hr/me").await.status, 200);
    assert_eq!(asked(&entra), 3);

    // What was had ends with what it was had for, also while that is still let in.
    world.later(HOUR);
    for (status, times) in [(403, 4), (401, 4)] {
        let answered = ada.get("/http/hr/me").await.status.as_u16();
        assert_eq!((answered, asked(&entra)), (status, times));
        world.later(Duration::from_mins(1));
    }
    assert_eq!(world.count("credential").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_certificate_proves_the_application_as_well() {
    let (entra, world) = directory_for(&format!("client_certificate = '''{CERTIFICATE}'''")).await;
    let page = program(&world, &entra, GRACE).get("/http/hr/me").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(arrived(&world).starts_with("Bearer obo-grace"));
    let key = CERTIFICATE.lines().rev().nth(1).expect("the end of the key");
    world.keep_secret(key);
    world.end().await;
}

/// OBO-1, OBO-6: what is not of this directory is not shown to it, whoever vouches for it.
#[tokio::test]
async fn what_another_directory_gave_is_not_exchanged() {
    let (entra, world) = directory().await;
    let other = json!({ "tid": "11111111-2222-3333-4444-555555555555" });
    let guest = entra.access_token_with(ADA, HOUR, &other);
    for token in [&guest, &world.program(ADA).token] {
        let told = world.program_with(token).get("/http/hr/me").await;
        assert_eq!(told.status, 403, "{}", told.body);
        assert!(told.body.contains("cannot be exchanged"), "{}", told.body);
    }
    let graphs = entra.access_token_with(ADA, HOUR, &json!({ "aud": "graph" }));
    assert_eq!(world.program_with(&graphs).get("/http/hr/me").await.status, 401);
    assert_eq!((asked(&entra), world.bare.arrived().len()), (0, 0));
    world.end().await;
}

/// OBO-3, OBO-4: each refusal has its mover, nobody is asked twice at once, and nothing sticks.
#[tokio::test]
async fn a_refusal_says_whose_move_it_is() {
    const REFUSED: (&str, u16) = ("exchange-refused", 403);
    const OPERATOR: (&str, u16) = ("credential-misconfigured", 502);
    const AWAY: (&str, u16) = ("credential-unavailable", 503);
    let (entra, world) = directory().await;
    let refusal = |error, code, suberror| EntraAnswer::Refusal { error, code, suberror };
    for (answer, (kind, status), says) in [
        (
            refusal("interaction_required", 50_079, "basic_action"),
            REFUSED,
            "wants to see you again",
        ),
        (refusal("invalid_grant", 65_001, "consent_required"), REFUSED, "Nobody approved"),
        (refusal("invalid_grant", 50_105, ""), REFUSED, "gives you no token"),
        (refusal("interaction_required", 53_003, "message_only"), REFUSED, "gives you no token"),
        (refusal("invalid_grant", 0, "token_expired"), REFUSED, "does not accept your sign-in"),
        (refusal("invalid_grant", 500_131, ""), OPERATOR, "not set up"),
        (refusal("invalid_client", 7_000_222, ""), OPERATOR, "registration"),
        (EntraAnswer::Status(429), AWAY, "later"),
        (EntraAnswer::Status(500), AWAY, "later"),
        (EntraAnswer::WrongTokenType, AWAY, "cannot be used"),
        (EntraAnswer::Cut, AWAY, "cannot be used"),
    ] {
        let (before, ada) = (asked(&entra), program(&world, &entra, ADA));
        entra.answers().next(answer.clone());
        for _ in 0..2 {
            let told = ada.get("/http/hr/me").await;
            assert_eq!(told.status, status, "{answer:?}: {}", told.body);
            assert!(told.body.contains(&format!("/problems/{kind}")), "{answer:?}: {}", told.body);
            assert!(told.body.contains(says) || says == "later", "{answer:?}: {}", told.body);
            assert!(!told.body.contains(MARKER) && !told.body.contains("polids"), "{}", told.body);
        }
        assert_eq!(asked(&entra), before + 1, "{answer:?}: it is not asked again at once");
        assert_eq!(world.bare.arrived().len(), 0, "{answer:?}");
        world.later(Duration::from_mins(2));
    }
    assert_eq!(program(&world, &entra, GRACE).get("/http/hr/me").await.status, 200);
    world.end().await;
}
