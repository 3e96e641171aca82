//! The nodes of `rpc_urls`, in order of preference: the first that works is used, until a preferred one works again.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::future::BoxFuture;
use tracing::{debug, info, warn};
use url::Url;

use super::connection::{Node, host};
use super::error::RpcError;
use super::range_limit::RangeLimit;
use super::reconnect::Reconnect;

/// A rate limit that asks for a longer wait than this makes the next node the better choice.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(2);
/// The same with a single node: there is nothing better to do than to wait.
const PATIENCE_ALONE: Duration = Duration::from_secs(120);
/// How often it is said that none of the nodes can be used.
const REMIND_EVERY: Duration = Duration::from_secs(30);
/// How long a node must have worked for its next failure to count as the first, where others could be used instead.
const SETTLED: Duration = Duration::from_secs(10);

/// The nodes and what is known of their health; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    chain_id: u64,
    slots: Arc<Mutex<Vec<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    url: Url,
    reconnect: Reconnect,
    /// Slower: for a node that connects, but fails soon after.
    relapse: Reconnect,
    trouble: Option<String>,
    range_limit: Arc<Mutex<RangeLimit>>,
    /// The connection by which the chain id was checked at the start, until it is used.
    checked: Option<Node>,
}

/// A node in use and its place in the order of preference.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// Index into `rpc_urls`; 0 is preferred.
    pub(crate) place: usize,
    /// The connection.
    pub(crate) node: Arc<Node>,
    /// When the tip was first followed by it.
    works_since: Arc<OnceLock<Instant>>,
}

impl Chosen {
    /// The tip was followed by it.
    pub(crate) fn works(&self) {
        self.works_since.get_or_init(Instant::now);
    }
}

impl Pool {
    /// A pool over `rpc_urls`; connects to nothing yet.
    pub(crate) fn new(rpc_urls: &[Url], chain_id: u64) -> Self {
        let slots = rpc_urls
            .iter()
            .map(|url| Slot {
                url: url.clone(),
                reconnect: Reconnect::new(),
                relapse: Reconnect::slow(),
                trouble: None,
                range_limit: Arc::default(),
                checked: None,
            })
            .collect();
        Self {
            chain_id,
            slots: Arc::new(Mutex::new(slots)),
        }
    }

    /// Refuses when every URL answers with another chain id. One that does not answer may be down for now.
    pub(crate) async fn refuse_wrong_chain(&self) -> anyhow::Result<()> {
        let mut wrong = None;
        for place in 0..self.len() {
            match self.connect(place).await {
                Err(RpcError::WrongChain { actual, .. }) => wrong = Some((place, actual)),
                Ok(node) => {
                    self.slots()[place].checked = Some(node);
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        }
        let (place, actual) = wrong.context("rpc_urls is empty")?;
        bail!(
            "the node at {} is on chain {actual}, but chain_id is {}: correct rpc_urls or chain_id",
            host(&self.slots()[place].url),
            self.chain_id
        )
    }

    /// The most preferred node that connects; retries until there is one. `report` hears why there is none.
    pub(crate) async fn choose(&self, report: impl Fn(&str)) -> Chosen {
        let mut said = Instant::now();
        loop {
            for place in self.ready_until(self.len()) {
                if let Some(chosen) = self.try_connect(place).await {
                    info!(rpc = chosen.node.host(), place, "RPC node in use");
                    return chosen;
                }
            }
            let troubles: Vec<_> = self
                .slots()
                .iter()
                .filter_map(|slot| slot.trouble.clone())
                .collect();
            let trouble = troubles.join("; ");
            if !trouble.is_empty() {
                report(&trouble);
                if said.elapsed() >= REMIND_EVERY {
                    warn!(trouble, "still no RPC node that can be used");
                    said = Instant::now();
                }
            }
            self.wait_for(self.len(), |slot| slot.reconnect.not_before())
                .await;
        }
    }

    /// The node in use failed: it is not chosen again before its schedule allows.
    pub(crate) fn failed(&self, chosen: &Chosen, error: &RpcError) {
        let is_alone = self.len() == 1;
        {
            let slot = &mut self.slots()[chosen.place];
            let worked = chosen.works_since.get();
            if worked.is_some_and(|since| is_alone || since.elapsed() > SETTLED) {
                slot.reconnect.healthy();
                slot.relapse.healthy();
            } else {
                slot.relapse.failed(None);
            }
        }
        self.note_failure(chosen.place, error);
    }

    /// Waits until a node preferred to `current` connects and `look` finds it usable; returns it with what was found. Its height
    /// does not decide: a preferred node that contradicts the one in use is gone back to. Never returns when `current` is the
    /// preferred one.
    pub(crate) async fn better_than<T>(
        &self,
        current: usize,
        look: impl Fn(Arc<Node>) -> BoxFuture<'static, Option<T>>,
    ) -> (Chosen, T) {
        loop {
            let not_before =
                |slot: &Slot| slot.reconnect.not_before().max(slot.relapse.not_before());
            self.wait_for(current, not_before).await;
            for place in self.ready_until(current) {
                if self.slots()[place].relapse.not_before().is_some() {
                    continue;
                }
                let Some(chosen) = self.try_connect(place).await else {
                    continue;
                };
                if let Some(found) = look(Arc::clone(&chosen.node)).await {
                    let rpc = chosen.node.host();
                    info!(rpc, place, "back to a preferred RPC node");
                    return (chosen, found);
                }
                let error = RpcError::unavailable("it lags behind the node in use");
                self.note_failure(place, &error);
            }
        }
    }

    /// Another node than `current` that already has block `beyond`; each is tried once, in order of preference.
    pub(crate) async fn ahead_of(&self, current: usize, beyond: u64) -> Option<Chosen> {
        for place in self.ready_until(self.len()) {
            if place != current
                && let Some(chosen) = self.try_connect(place).await
                && chosen.node.is_at(beyond).await
            {
                return Some(chosen);
            }
        }
        None
    }

    /// Other nodes than `current` that connect now, in order of preference, at most `most`.
    pub(crate) async fn others(&self, current: usize, most: usize) -> Vec<Arc<Node>> {
        let mut others = Vec::new();
        for place in self.ready_until(self.len()) {
            if place != current
                && others.len() < most
                && let Some(chosen) = self.try_connect(place).await
            {
                others.push(chosen.node);
            }
        }
        others
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.slots().len()
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots
            .lock()
            .expect("never poisoned: no panic while held")
    }

    /// The first `count` endpoints, without those that are to be left alone for now.
    fn ready_until(&self, count: usize) -> Vec<usize> {
        let slots = self.slots();
        let ready = |place: &usize| slots[*place].reconnect.not_before().is_none();
        (0..count).filter(ready).collect()
    }

    /// Returns when one of the first `count` endpoints may be tried.
    async fn wait_for(&self, count: usize, not_before: impl Fn(&Slot) -> Option<Instant>) {
        if count == 0 {
            return std::future::pending().await;
        }
        // `None` (at once) is less than any moment.
        let next = self.slots()[..count].iter().map(not_before).min().flatten();
        if let Some(at) = next {
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// Connects, or notes why that failed.
    async fn try_connect(&self, place: usize) -> Option<Chosen> {
        match self.connect(place).await {
            Ok(node) => Some(Chosen {
                place,
                node: Arc::new(node),
                works_since: Arc::default(),
            }),
            Err(error) => {
                self.note_failure(place, &error);
                None
            }
        }
    }

    async fn connect(&self, place: usize) -> Result<Node, RpcError> {
        let (url, patience, range_limit) = {
            let mut slots = self.slots();
            if let Some(checked) = slots[place].checked.take() {
                return Ok(checked);
            }
            let patience = match slots.len() {
                1 => PATIENCE_ALONE,
                _ => PATIENCE_WITH_OTHERS,
            };
            let slot = &slots[place];
            (slot.url.clone(), patience, Arc::clone(&slot.range_limit))
        };
        let mut node = Node::connect(&url, self.chain_id, patience).await?;
        node.share_range_limit(&range_limit);
        Ok(node)
    }

    fn note_failure(&self, place: usize, error: &RpcError) {
        let slot = &mut self.slots()[place];
        let asked = match error {
            RpcError::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = slot.reconnect.failed(asked);
        let host = host(&slot.url);
        let trouble = format!("{host}: {error}");
        // A node that is down for hours is reported when the reason changes, not at each try.
        if slot.trouble.as_ref() == Some(&trouble) {
            debug!(rpc = host, place, %error, ?wait, "RPC node still fails");
        } else {
            warn!(rpc = host, place, %error, ?wait, "RPC node failed");
        }
        slot.trouble = Some(trouble);
    }
}
