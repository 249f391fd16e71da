//! From memory. The floor: the digest of the token, one look-up, one record opened, one parsed.

use std::{hint::black_box, sync::Arc};

use anyhow::{Context as _, Result};
use attache_benches::{
    gateway::Gateway,
    people::{Home, Plaintext, Rows, Someone},
    processor::{Cost, Meter},
    report::Comparison,
};
use attache_core::CredentialKey;
use attache_crypto::{
    digest::sha256,
    keyring::KeyRing,
    seal::{self, Binding},
};
use attache_store::{Location, Store};
use http::{header, request};
use quick_cache::sync::Cache;

const PEOPLE: usize = 10_000;
const ROUNDS: usize = 30;
const RESOLVES: u32 = 100_000;
/// Between one caller and the next, so that they come in no order: prime to [`PEOPLE`].
const STRIDE: usize = 7_919;

pub(crate) async fn compare(location: &Location, ring: &KeyRing) -> Result<Comparison> {
    let store = Store::open(location).await?;
    let gateway = Gateway::start(&store, ring)?;
    let floor = Floor { cache: Cache::new(2 * PEOPLE) };
    let mut requests = Vec::new();
    for number in 0..PEOPLE {
        let request = gateway.request(Someone(number))?;
        gateway.resolve(&request).await?;
        floor.keep(&request, Rows::of(Someone(number), Home::default(), ring).await?)?;
        requests.push(request);
    }

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let it = turn(&requests, |request| gateway.recall(request).is_some()).await?;
        rounds.push([it, turn(&requests, |request| floor.resolve(request).is_some()).await?]);
    }
    store.close().await;
    Ok(Comparison { name: "warm".to_owned(), bar: Some(2.0), rounds })
}

async fn turn(
    requests: &[request::Parts],
    resolve: impl Fn(&request::Parts) -> bool,
) -> Result<Cost> {
    let work = async {
        let mut next = 0;
        for _ in 0..RESOLVES {
            let request = requests.get(next).context("a request")?;
            anyhow::ensure!(resolve(request), "not in memory");
            next = (next + STRIDE) % requests.len();
        }
        Ok(())
    };
    Meter::own().measure(RESOLVES, work).await
}

struct Floor {
    cache: Cache<[u8; 32], Arc<Rows>>,
}

impl Floor {
    fn keep(&self, request: &request::Parts, rows: Rows) -> Result<()> {
        let token = token(request).context("a token")?;
        self.cache.insert(sha256(token.as_bytes()), Arc::new(rows));
        Ok(())
    }

    fn resolve(&self, request: &request::Parts) -> Option<()> {
        let rows = self.cache.get(&sha256(token(request)?.as_bytes()))?;
        let CredentialKey { user, slot } = &rows.key;
        let binding = Binding { user, slot, version: rows.version };
        let plaintext = seal::open(&rows.data_key, &binding, &rows.sealed).ok()?;
        black_box(serde_json::from_slice::<Plaintext<'_>>(&plaintext).ok()?);
        Some(())
    }
}

fn token(request: &request::Parts) -> Option<&str> {
    request.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
