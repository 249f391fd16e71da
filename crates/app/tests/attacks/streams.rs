//! What is open when its person has to go (PX-18), and callers who hold on to what they have.

use std::time::{Duration, Instant};

use attache_sandbox::people::{ADA, GRACE};
use sqlx::{Connection as _, PgConnection};

use crate::{
    offboarding::{AT_ONCE, Replicas, disconnect},
    postgres::Cluster,
    program::{Program, Stream},
    world::World,
};

/// Long enough to see that nothing ends.
const A_WHILE: Duration = Duration::from_millis(700);

/// Events of which only the first comes.
async fn listen(program: &Program) -> Stream {
    program.open("/mcp/rooms", "Accept: text/event-stream\r\nX-Play: silent\r\n").await
}

/// Bytes without a pause.
async fn download(program: &Program) -> Stream {
    program.open("/http/keyed/all", "X-Play: flood\r\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_with_its_connection_and_with_its_person_on_every_replica() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let world = &replicas.world;
    for upstream in ["rooms", "keyed"] {
        world.ada().await.connect(upstream).await;
        world.grace().await.connect(upstream).await;
    }
    let [here, there] = replicas.programs(ADA);
    let [_, hers] = replicas.programs(GRACE);
    let mut rooms = [listen(&here).await, listen(&there).await];
    let mut files = [download(&here).await, download(&there).await];
    let mut others = [listen(&hers).await, download(&hers).await];
    assert_eq!(world.bare.open(), 6);

    disconnect(&here, "rooms").await;
    for stream in &mut rooms {
        assert!(stream.ends_within(AT_ONCE).await, "the token is gone, its stream is not");
    }
    for stream in files.iter_mut().chain(&mut others) {
        assert!(!stream.ends_within(A_WHILE).await, "of another connection, or of Grace");
    }

    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    let switch = "UPDATE person SET disabled = TRUE WHERE email = 'ada@example.com'";
    sqlx::query(switch).execute(&mut prompt).await.expect("good SQL");
    for stream in &mut files {
        assert!(stream.ends_within(AT_ONCE).await, "who is switched off still reads");
    }
    assert!(!others[0].ends_within(A_WHILE).await);
    assert_eq!(world.bare.open(), 2, "nor is anything read from the upstream");
    drop(others);
    replicas.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_began_it() {
    const LIFE: Duration = Duration::from_secs(2);
    let world = World::new().await;
    world.ada().await.connect("rooms").await;
    let audience = world.origin.origin().ascii_serialization();
    let short = world.idp.access_token(ADA.id, &audience, LIFE).expect("a token");
    let (short, long) = (world.program_with(&short), world.program(ADA));
    let (mut ends, mut goes_on) = (listen(&short).await, listen(&long).await);
    let began = Instant::now();
    world.later(LIFE);
    assert!(ends.ends_within(LIFE * 5).await);
    assert!(began.elapsed() >= LIFE / 2, "it was cut before its time");
    assert!(!goes_on.ends_within(A_WHILE).await);
    drop(goes_on);
    world.end().await;
}
