//! As much of a gateway as it takes to end somebody's grants, without serving.

use std::{path::Path, sync::Arc};

use attache_broker::{
    Broker, Metrics, Offboarding, Parts, ServiceKey, Tasks,
    audit::{Audit, Ledger},
    notices::Agenda,
    signing_keys::{CLIENT_ASSERTIONS, SigningKeys},
    vault::Vault,
};
use attache_core::{SystemClock, outbound::Outbound, store::Stores};
use attache_crypto::random::SystemRandom;
use attache_net::{
    address::EgressRules, outbound::ControlClient, resolve::SystemResolver, tls::Trust,
};
use attache_store::Store;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure,
    commands::configuration,
    terminal::Terminal,
    wire::{
        self, World,
        keys::{CLIENT_ASSERTION, REGISTRATION},
        location,
        upstreams::{self, Common},
    },
};

pub(super) struct Desk {
    pub(super) stores: Stores,
    pub(super) offboarding: Offboarding,
    store: Store,
    ledger: Arc<Ledger>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Desk {
    /// Does `work`, and brings what it wrote into the audit to its end.
    pub(super) async fn sit(
        config: Option<&Path>,
        terminal: Terminal,
        work: impl AsyncFnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let desk = Self::open(config, terminal).await?;
        let done = work(&desk).await;
        desk.stop.cancel();
        desk.tasks.drained().await;
        let ended = desk.ledger.end().await.map_err(Failure::failed);
        desk.store.close().await;
        done.and(ended)
    }

    async fn open(config: Option<&Path>, terminal: Terminal) -> Result<Self, Failure> {
        let (_, config) = configuration(config, terminal)?;
        let trust = Trust::load(None).map_err(Failure::failed)?;
        let ring = wire::keys::wire(&config, &trust).await.map_err(Failure::usage)?.ring;
        let world = World {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            resolver: Arc::new(SystemResolver),
        };
        let rules = EgressRules { allow_private: config.egress.allow_private.clone() };
        let outbound: Arc<dyn Outbound> = Arc::new(ControlClient::new(Arc::new(rules), &trust));

        let store = Store::open_as_is(&location(&config.store)).await.map_err(Failure::usage)?;
        let (tasks, stop) = (Tasks::new(Handle::current()), CancellationToken::new());
        let ledger = Arc::new(Ledger::new(
            store.trail(),
            ring.clone(),
            Arc::clone(&world.clock),
            Arc::clone(&world.random),
        ));
        let stores = Stores { audit: ledger.clone(), ..store.stores() };
        let metrics = Metrics::default();
        let service_key = |name| wire::keys::service_key(name, &ring, &stores, &world, &tasks);
        let common = Common {
            public_url: &config.public_url,
            identity: &config.identity,
            outbound,
            world: &world,
            stores: &stores,
            registration_key: Arc::new(ServiceKey::new(service_key(REGISTRATION))),
            assertion_keys: Arc::new(SigningKeys::new(
                service_key(CLIENT_ASSERTION),
                CLIENT_ASSERTIONS,
            )),
            metrics: metrics.clone(),
            data_plane: &attache_proxy::Metrics::default(),
        };
        let upstreams = upstreams::wire(&config, &common).map_err(Failure::usage)?;
        let audit = Audit::start(
            Arc::clone(&stores.audit),
            Arc::clone(&world.clock),
            metrics.clone(),
            &tasks,
            stop.clone(),
        );
        let vault = Vault::new(
            ring,
            Arc::clone(&stores.data_keys),
            Arc::clone(&world.clock),
            Arc::clone(&world.random),
            metrics.clone(),
        );
        let broker = Broker::new(Parts {
            store: Arc::clone(&stores.credentials),
            demands: Arc::clone(&stores.demands),
            ends: Arc::clone(&stores.ends),
            vault: Arc::new(vault),
            audit,
            tasks: tasks.clone(),
            clock: world.clock,
            random: world.random,
            metrics,
            outage: Arc::default(),
            agenda: Agenda::default(),
            subject_tokens: upstreams.subject_tokens,
        });
        let offboarding = Offboarding::new(broker, &stores, upstreams.brokered);
        Ok(Self { stores, offboarding, store, ledger, tasks, stop })
    }
}
