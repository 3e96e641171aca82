//! Modules that are not followed yet: each is read up to the followed blocks on its own, then joins without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tracing::{info, warn};

use super::ChainConfig;
use super::backfill;
use super::commit::{Ledger, Stretch};
use super::follow::{Follower, Setback};
use super::module::{self, NotReadable};
use super::place::Place;
use super::read::Header;
use super::reconnect::Reconnect;
use super::rpc::endpoint::Endpoint;
use super::watch::Watch;
use crate::domain::{Checkpoint, ModuleAddress};

/// Modules that are read at the same time beside the tip.
const AT_ONCE: usize = 4;

/// What came of reading a module up to the followed blocks.
pub(super) type Caught = (ModuleAddress, Result<Watch, NotReadable>);

/// The modules on their way.
pub(super) struct Joining {
    endpoint: Arc<Endpoint>,
    ledger: Ledger,
    config: ChainConfig,
    tasks: JoinSet<Caught>,
    running: BTreeSet<ModuleAddress>,
    /// Modules that could not be read, and when to try again.
    failed: BTreeMap<ModuleAddress, Reconnect>,
    /// Whether there are modules whose turn has not come, or may be.
    waiting: bool,
}

impl Joining {
    /// Nothing is on its way yet.
    pub(super) fn new(endpoint: Arc<Endpoint>, follower: &Follower) -> Self {
        Self {
            endpoint,
            ledger: follower.committer.ledger.clone(),
            config: follower.config.clone(),
            tasks: JoinSet::new(),
            running: BTreeSet::new(),
            failed: BTreeMap::new(),
            waiting: true,
        }
    }

    /// Whether every wanted module that can be read is followed.
    pub(super) fn is_done(&self) -> bool {
        self.running.is_empty() && !self.waiting
    }

    /// Modules at whose address there is no contract.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &ModuleAddress> {
        self.failed.keys()
    }

    /// Takes note of the wanted modules; says whether one is to be set out for now.
    pub(super) fn consider(&mut self, wanted: &BTreeSet<ModuleAddress>, place: &Place) -> bool {
        self.failed.retain(|module, _| wanted.contains(module));
        let waiting = self.candidates(wanted, place).next().is_some();
        self.waiting = waiting;
        self.waiting && self.running.len() < AT_ONCE
    }

    fn candidates<'a>(
        &'a self,
        wanted: &'a BTreeSet<ModuleAddress>,
        place: &'a Place,
    ) -> impl Iterator<Item = ModuleAddress> + 'a {
        wanted.iter().copied().filter(|module| {
            !place.watch.contains(module)
                && !self.running.contains(module)
                && self
                    .failed
                    .get(module)
                    .is_none_or(|retry| retry.not_before().is_none())
        })
    }

    /// Sets out to read the wanted modules that are not followed. The store's cursor must not be behind the window.
    pub(super) fn start(&mut self, wanted: &BTreeSet<ModuleAddress>, place: &Place) {
        let head = place.window.tip().number;
        let candidates: Vec<_> = self.candidates(wanted, place).collect();
        self.waiting = false;
        for module in candidates {
            if self.running.len() == AT_ONCE {
                self.waiting = true;
                break;
            }
            // The window's headers lead from here to the tip, so that the rest needs no range.
            let target = place.window.oldest();
            let (endpoint, ledger) = (Arc::clone(&self.endpoint), self.ledger.clone());
            let config = self.config.clone();
            self.running.insert(module);
            self.tasks.spawn(async move {
                let caught = catch_up(&endpoint, &ledger, &config, module, target, head).await;
                (module, caught)
            });
        }
    }

    /// The next module that was read, or `None` when one that failed may be tried again.
    pub(super) async fn next(&mut self) -> Option<Caught> {
        let retry = self.failed.values().filter_map(Reconnect::not_before).min();
        loop {
            tokio::select! {
                Some(finished) = self.tasks.join_next() => match finished {
                    Ok(caught) => {
                        self.running.remove(&caught.0);
                        return Some(caught);
                    }
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => continue,
                    },
                },
                () = sleep_until(retry) => return None,
            }
        }
    }

    /// There is no contract at a module's address. It is looked for again later, and complained about once.
    fn failed(&mut self, module: ModuleAddress) {
        let retry = self.failed.entry(module).or_insert_with(|| {
            warn!(%module, "there is no contract at this module's address: correct the gate that names it");
            Reconnect::new()
        });
        retry.failed(None);
    }

    /// Stops all of it; nothing of it reaches the store afterwards.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
        self.running.clear();
        self.ledger.settle().await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Reads a module from where it is to `target` at least.
async fn catch_up(
    endpoint: &Arc<Endpoint>,
    ledger: &Ledger,
    config: &ChainConfig,
    module: ModuleAddress,
    target: Checkpoint,
    head: u64,
) -> Result<Watch, NotReadable> {
    let record = module::register(endpoint, &ledger.store, config, module, head).await?;
    let from = record.synced_to.map_or(record.start_block, |to| to + 1);
    let mut watch = Watch::new(BTreeMap::from([(module, record)]));
    if from <= target.number {
        backfill::read_module(endpoint, ledger, module, &mut watch, from, target).await?;
        watch.set_synced(target.number);
    }
    Ok(watch)
}

impl Follower {
    /// Takes in a module that was read: closes what is left between it and the window, then follows it with the others.
    pub(super) async fn join(
        &mut self,
        endpoint: &Endpoint,
        place: &mut Place,
        joining: &mut Joining,
        (module, caught): Caught,
    ) -> Result<(), Setback> {
        let mut watch = match caught {
            Ok(watch) => watch,
            Err(NotReadable::NoContract) => {
                joining.failed(module);
                return Ok(());
            }
            Err(NotReadable::Setback(Setback::Moved(_))) => return Ok(()),
            Err(NotReadable::Setback(setback)) => return Err(setback),
        };
        let base = place.window.base();
        let next = watch.next_block();
        let gap: Vec<Header> = place
            .window
            .recent()
            .filter(|header| header.number >= next)
            .cloned()
            .collect();
        let closes = next > base.number || gap.first().is_some_and(|first| first.number <= next);
        if !closes {
            // The tip went on for longer than the window remembers: it sets out again, for a shorter way.
            return Ok(());
        }
        let tail: Vec<Header> = place
            .window
            .tail()
            .map(|block| block.header.clone())
            .collect();
        let confirmed = gap.len();
        let headers = gap.into_iter().chain(tail).collect();
        let (mut blocks, unsure) = self.read_blocks(endpoint, &mut watch, headers).await?;
        if watch.is_empty() {
            // It had another processor than was thought and is to be read again.
            return Ok(());
        }
        let unconfirmed = blocks.split_off(confirmed);
        let mut modules = place.watch.modules();
        modules.push(module);
        modules.sort();
        let stretch = Stretch {
            modules,
            to: base,
            events: blocks
                .iter()
                .flat_map(|block| block.events.iter().cloned())
                .collect(),
            unknown: blocks
                .iter()
                .flat_map(|block| block.unknown.iter().copied())
                .collect(),
        };
        self.committer.commit(endpoint, stretch, &[]).await?;
        for (block, more) in place.window.tail_mut().zip(unconfirmed) {
            block.events.extend(more.events);
            block.events.sort_by_key(|event| event.position);
            block.unknown.extend(more.unknown);
        }
        place.watch.add(watch);
        place.unsure.extend(unsure);
        joining.failed.remove(&module);
        info!(%module, at = base.number, "a module joined");
        Ok(())
    }
}
