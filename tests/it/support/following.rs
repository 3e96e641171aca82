//! A running follower, and waiting for what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy::primitives::Address;
use amser_roles::chain::{ChainConfig, follow};
use amser_roles::domain::{ChainEvent, ChainStatus, ModuleAddress};
use amser_roles::sandbox::chain::LocalChain;
use amser_roles::store::Store;
use amser_roles::views::Views;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::oracle;

/// Nothing here takes longer unless it never ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A follower and the store it writes to. Dropping it stops it.
pub(crate) struct Following {
    pub(crate) store: Store,
    pub(crate) status: watch::Receiver<ChainStatus>,
    pub(crate) modules: watch::Sender<BTreeSet<ModuleAddress>>,
    pub(crate) views: Views,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// What a follower is started with; `urls` in order of preference.
pub(crate) fn config(chain: &LocalChain, urls: &[String], confirmations: u64) -> ChainConfig {
    let urls = urls.iter().map(|url| url.parse().expect("a URL")).collect();
    ChainConfig {
        confirmations,
        second_look_every: Duration::from_secs(2),
        ..ChainConfig::new(urls, chain.chain_id)
    }
}

impl Following {
    /// Starts to follow into `store`.
    pub(crate) fn start(
        config: ChainConfig,
        store: Store,
        modules: impl IntoIterator<Item = Address>,
    ) -> Self {
        let modules = modules.into_iter().map(ModuleAddress).collect();
        let (modules, wanted) = watch::channel(modules);
        let (shown, status) = watch::channel(ChainStatus::default());
        let stop = CancellationToken::new();
        let views = Views::new(&config, status.clone());
        let task = tokio::spawn(follow(
            config,
            store.clone(),
            wanted,
            views.doubts().clone(),
            shown,
            stop.clone(),
        ));
        Self {
            store,
            status,
            modules,
            views,
            stop,
            task,
        }
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: impl FnMut(&ChainStatus) -> bool,
    ) -> ChainStatus {
        let seen = tokio::time::timeout(DEADLINE, self.status.wait_for(wanted))
            .await
            .map(|seen| seen.map(|status| status.clone()));
        match seen {
            Ok(Ok(status)) => status,
            Ok(Err(_)) => panic!("the follower ended while waiting until {what}"),
            Err(_) => panic!("never {what}: {:?}", self.status.borrow().clone()),
        }
    }

    /// Waits until the newest block of a chain that stands still is followed, and what it confirms is stored.
    pub(crate) async fn until_at_tip(&mut self, chain: &LocalChain, confirmations: u64) -> u64 {
        let head = chain.head().await.expect("the chain answers");
        let confirmed = chain
            .block(head.number.saturating_sub(confirmations))
            .await
            .expect("the chain answers");
        self.until("at the tip", |status| {
            status.at_tip
                && status.head.is_some_and(|at| at.hash == head.hash)
                && status.confirmed.is_some_and(|at| at.hash == confirmed.hash)
        })
        .await;
        confirmed.number
    }

    /// The same where the status may claim the tip a moment before the last repair, as with a node that hides logs.
    pub(crate) async fn eventually_equals_chain(
        &mut self,
        chain: &LocalChain,
        confirmations: u64,
        modules: &[Address],
    ) -> Vec<ChainEvent> {
        let confirmed = self.until_at_tip(chain, confirmations).await;
        let modules: BTreeMap<ModuleAddress, Address> = modules
            .iter()
            .map(|module| (ModuleAddress(*module), chain.processor))
            .collect();
        let expected = oracle::events(chain, &modules, confirmed).await;
        self.until_stored(&expected).await;
        expected
    }

    /// Waits until exactly these events are stored.
    pub(crate) async fn until_stored(&self, expected: &[ChainEvent]) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while self.events() != expected {
            if tokio::time::Instant::now() >= deadline {
                assert_eq!(
                    self.events(),
                    expected,
                    "{:?}",
                    self.status.borrow().clone()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every stored event.
    pub(crate) fn events(&self) -> Vec<ChainEvent> {
        stored_events(&self.store)
    }

    /// Waits for the tip and compares the store with an independent reading of the chain.
    pub(crate) async fn assert_equals_chain(
        &mut self,
        chain: &LocalChain,
        confirmations: u64,
        modules: &[Address],
    ) -> Vec<ChainEvent> {
        let confirmed = self.until_at_tip(chain, confirmations).await;
        let modules: BTreeMap<ModuleAddress, Address> = modules
            .iter()
            .map(|module| (ModuleAddress(*module), chain.processor))
            .collect();
        let expected = oracle::events(chain, &modules, confirmed).await;
        assert_eq!(self.events(), expected);
        expected
    }

    /// Stops it and waits until it has ended.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("it stops in time")
            .expect("it does not panic")
    }

    /// Waits until it ends by itself, with an error.
    pub(crate) async fn failure(self) -> anyhow::Error {
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("it ends in time")
            .expect("it does not panic")
            .expect_err("it fails")
    }
}

/// Every stored event in chain order, as the oracle would tell it.
pub(crate) fn stored_events(store: &Store) -> Vec<ChainEvent> {
    let mut events = store.all_events().expect("the store is readable");
    events.sort_by_key(|event| (event.position, event.module));
    events.into_iter().map(oracle::normal).collect()
}
