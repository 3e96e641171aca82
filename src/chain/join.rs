//! Modules that are not followed yet: each is read up to the followed blocks on its own, then joins without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::ChainConfig;
use super::backfill;
use super::commit::{Ledger, Stretch};
use super::follow::{Follower, Setback, blocking};
use super::goal::Goal;
use super::module::{self, NotReadable};
use super::node::Node;
use super::node::read::Header;
use super::node::reconnect::Reconnect;
use super::node::{Chosen, RpcError};
use super::place::Place;
use super::watch::Watch;
use crate::domain::{Checkpoint, ModuleAddress};

/// Modules that are read at the same time beside the tip.
const AT_ONCE: usize = 4;
/// Failures in a row on one node after which another one is asked, or the module is given up for now.
const MOST_FAILURES: u32 = 3;

/// What came of reading a module up to the followed blocks.
pub(super) type Caught = (ModuleAddress, Result<Watch, NotReadable>);

/// A module that could not be read.
#[derive(Debug)]
struct Failed {
    retry: Reconnect,
    times: u32,
    /// One sentence, once it is no passing failure.
    sentence: Option<String>,
}

impl Failed {
    fn new() -> Self {
        Self {
            retry: Reconnect::new(),
            times: 0,
            sentence: None,
        }
    }
}

/// The modules on their way.
pub(super) struct Joining {
    /// The node's place in the order of preference.
    at: usize,
    node: Arc<Node>,
    ledger: Ledger,
    config: ChainConfig,
    tasks: JoinSet<Caught>,
    running: BTreeSet<ModuleAddress>,
    /// Modules that could not be read, and when to try again.
    failed: BTreeMap<ModuleAddress, Failed>,
    /// Whether there are modules whose turn has not come, or may be.
    waiting: bool,
}

impl Joining {
    /// Nothing is on its way yet.
    pub(super) fn new(chosen: &Chosen, follower: &Follower) -> Self {
        Self {
            at: chosen.place,
            node: Arc::clone(&chosen.node),
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
        let mut failed = self.failed.values();
        self.running.is_empty() && !self.waiting && failed.all(|failed| failed.sentence.is_some())
    }

    /// Modules that cannot be read, each with one sentence on why.
    pub(super) fn unread(&self) -> BTreeMap<ModuleAddress, String> {
        let unread = self.failed.iter();
        unread
            .filter_map(|(module, failed)| Some((*module, failed.sentence.clone()?)))
            .collect()
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
                    .is_none_or(|failed| failed.retry.not_before().is_none())
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
            let (node, ledger) = (Arc::clone(&self.node), self.ledger.clone());
            let config = self.config.clone();
            self.running.insert(module);
            self.tasks.spawn(async move {
                let caught = catch_up(&node, &ledger, &config, module, target, head).await;
                (module, caught)
            });
        }
    }

    /// The next module that was read, or `None` when one that failed may be tried again.
    pub(super) async fn next(&mut self) -> Option<Caught> {
        let now = Instant::now();
        let is_full = self.running.len() == AT_ONCE;
        let failed = self
            .failed
            .iter()
            .filter(|(module, _)| !is_full && !self.running.contains(module));
        let retry = failed
            .map(|(_, failed)| failed.retry.not_before().unwrap_or(now))
            .min();
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
    fn missing(&mut self, module: ModuleAddress) {
        let failed = self.failed.entry(module).or_insert_with(Failed::new);
        failed.retry.failed(None);
        failed.sentence.get_or_insert_with(|| {
            warn!(%module, "there is no module at this address: correct the gate that names it");
            format!(
                "There is no module contract at {module}: correct the module's address, or chain.rpc_urls if the chain is another."
            )
        });
    }

    /// The chain moved while a module was read: it sets out again after a breath.
    fn moved(&mut self, module: ModuleAddress, why: &str) {
        let failed = self.failed.entry(module).or_insert_with(Failed::new);
        let wait = failed.retry.failed(None);
        debug!(%module, why, ?wait, "a module is read again");
    }

    /// The node did not let a module be read. It is tried again; says how often in a row that happened.
    fn refused(&mut self, module: ModuleAddress, error: &RpcError) -> u32 {
        let failed = self.failed.entry(module).or_insert_with(Failed::new);
        let wait = failed.retry.failed(None);
        failed.times += 1;
        debug!(%module, %error, ?wait, "a module cannot be read");
        failed.times
    }

    /// No node lets it be read: it is complained about once, and the others go on.
    fn give_up(&mut self, module: ModuleAddress, error: &RpcError) {
        let failed = self.failed.entry(module).or_insert_with(Failed::new);
        failed.sentence.get_or_insert_with(|| {
            warn!(%module, %error, "no node lets this module be read; trying on beside the others");
            format!("Module {module} cannot be read from the chain at the moment; it is tried again by itself.")
        });
    }

    /// Stops all of it; nothing of it reaches the store afterwards.
    pub(super) async fn abort(&mut self) {
        self.tasks.shutdown().await;
        self.running.clear();
        self.ledger.settle().await;
    }
}

/// Never returns where there is no such moment.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Reads a module from where it is to `target` at least.
async fn catch_up(
    node: &Arc<Node>,
    ledger: &Ledger,
    config: &ChainConfig,
    module: ModuleAddress,
    target: Checkpoint,
    head: u64,
) -> Result<Watch, NotReadable> {
    let record = module::register(node, &ledger.store, config, module, head).await?;
    let store = ledger.store.clone();
    let cursor = blocking(move || store.cursor())
        .await?
        .map(|cursor| cursor.number);
    let from = record
        .synced_to(cursor)
        .map_or(record.start_block, |to| to + 1);
    let mut watch = Watch::new(BTreeMap::from([(module, record)]));
    if from <= target.number {
        backfill::read_module(node, ledger, module, &mut watch, from, target).await?;
        watch.set_synced(target.number);
    }
    Ok(watch)
}

impl Follower {
    /// Takes in a module that was read: closes what is left between it and the window, then follows it with the others.
    pub(super) async fn join(
        &mut self,
        node: &Node,
        place: &mut Place,
        joining: &mut Joining,
        (module, caught): Caught,
    ) -> Result<(), Setback> {
        let mut watch = match caught {
            Ok(watch) => watch,
            Err(NotReadable::NoContract) => {
                joining.missing(module);
                return Ok(());
            }
            Err(NotReadable::Setback(Setback::Moved(why))) => {
                joining.moved(module, &why);
                return Ok(());
            }
            Err(NotReadable::Setback(Setback::Rpc(error))) => {
                return self.not_joined(joining, module, error);
            }
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
        let (mut blocks, unsure) = self.read_blocks(node, &mut watch, headers).await?;
        if watch.is_empty() {
            // It had another processor than was thought and is to be read again.
            return Ok(());
        }
        place.unsure.extend(unsure);
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
        self.committer.commit(node, stretch, &[]).await?;
        for (block, more) in place.window.tail_mut().zip(unconfirmed) {
            block.events.extend(more.events);
            block.events.sort_by_key(|event| event.position);
            block.unknown.extend(more.unknown);
        }
        place.watch.add(watch);
        joining.failed.remove(&module);
        self.refused.remove(&module);
        info!(%module, at = base.number, "a module joined");
        Ok(())
    }
    /// A module could not be read by this node. That alone is no reason to leave it: the others are followed on. But
    /// where another node has not refused it yet, that one is asked.
    fn not_joined(
        &mut self,
        joining: &mut Joining,
        module: ModuleAddress,
        error: RpcError,
    ) -> Result<(), Setback> {
        // These are about the node, not about the module.
        if matches!(
            error,
            RpcError::RateLimited { .. } | RpcError::WrongChain { .. }
        ) {
            return Err(error.into());
        }
        if joining.refused(module, &error) < MOST_FAILURES {
            return Ok(());
        }
        let refused = self.refused.entry(module).or_default();
        let is_news = refused.insert(joining.at);
        let is_index = matches!(self.goal, Goal::Index { .. });
        if is_index || (is_news && refused.len() < self.config.rpc_urls.len()) {
            return Err(error.into());
        }
        joining.give_up(module, &error);
        Ok(())
    }
}
