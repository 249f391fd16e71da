//! From the store. The floor: a blob of the same size by its primary key, through the same driver
//! and its pool.

use std::sync::Arc;

use anyhow::{Error, Result};
use attache_benches::{
    gateway::Gateway,
    people::{IDP, STORED, Someone},
    report::Comparison,
};
use attache_core::{IssuerId, Principal, Reach, Timestamp, principal::AuthenticatedBy};
use attache_crypto::keyring::KeyRing;
use attache_store::{Location, Store};
use tokio::task::JoinSet;

use crate::bare::Bare;

/// Each person is cold once.
const ROUNDS: usize = 50;
/// In which connections and statements are made.
const FIRST: usize = 5;
const EACH: usize = STORED / ROUNDS;

pub(crate) async fn compare(
    name: &str,
    callers: usize,
    bar: Option<f64>,
    location: &Location,
    ring: &KeyRing,
) -> Result<Comparison> {
    let store = Store::open(location).await?;
    let gateway = Arc::new(Gateway::start(&store, ring)?);
    let bare = Arc::new(Bare::open(location).await?);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let people = (round * EACH..(round + 1) * EACH).map(|n| Arc::new(principal(Someone(n))));
        let people: Arc<[_]> = people.collect();
        let (meter, times) = (bare.meter().await?, u32::try_from(EACH)?);
        let it = everybody(&people, callers, &gateway, obtain);
        let floor = everybody(&people, callers, &bare, get);
        let costs = if round % 2 == 0 {
            let it = meter.measure(times, it).await?;
            [it, meter.measure(times, floor).await?]
        } else {
            let floor = meter.measure(times, floor).await?;
            [meter.measure(times, it).await?, floor]
        };
        if round >= FIRST {
            rounds.push(costs);
        }
    }
    bare.close().await;
    store.close().await;
    Ok(Comparison { name: name.to_owned(), bar, rounds })
}

async fn obtain(gateway: Arc<Gateway>, who: Arc<Principal>) -> Result<()> {
    gateway.broker.obtain(&who, &gateway.upstream, None).await?;
    Ok(())
}

async fn get(bare: Arc<Bare>, who: Arc<Principal>) -> Result<()> {
    bare.get(&who.user).await
}

/// Calls for each once, for so many at a time.
async fn everybody<S, F>(
    people: &Arc<[Arc<Principal>]>,
    callers: usize,
    of: &Arc<S>,
    call: fn(Arc<S>, Arc<Principal>) -> F,
) -> Result<()>
where
    S: Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut calling = JoinSet::new();
    for caller in 0..callers {
        let (people, of) = (Arc::clone(people), Arc::clone(of));
        calling.spawn(async move {
            for who in people.iter().skip(caller).step_by(callers) {
                call(Arc::clone(&of), Arc::clone(who)).await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(ended) = calling.join_next().await {
        ended??;
    }
    Ok(())
}

fn principal(someone: Someone) -> Principal {
    Principal {
        user: someone.id(),
        issuer: IssuerId::new(IDP),
        subject: someone.subject(),
        email: None,
        name: None,
        groups: Vec::new(),
        authenticated_by: AuthenticatedBy::AccessToken(None),
        reach: Reach::everything(),
        expires_at: Timestamp(i64::MAX),
    }
}
