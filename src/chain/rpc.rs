//! The nodes of `rpc_urls`, in order of preference: the first that works is used, a preferred one is gone back to.

pub(crate) mod endpoint;
pub mod error;
pub mod http_logs;
pub(crate) mod transport;

pub use error::RpcError;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tracing::{debug, info, warn};
use url::Url;

use self::endpoint::{Endpoint, host};
use super::reconnect::Reconnect;

/// A rate limit that asks for a longer wait than this makes the next endpoint the better choice.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(2);
/// The same with a single endpoint: there is nothing better to do than to wait.
const PATIENCE_ALONE: Duration = Duration::from_secs(120);
/// How long an endpoint must have worked for its next failure to count as the first.
const SETTLED: Duration = Duration::from_secs(20);

/// The endpoints and what is known of their health.
#[derive(Debug)]
pub(crate) struct Pool {
    chain_id: u64,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    url: Url,
    reconnect: Reconnect,
    trouble: Option<String>,
}

/// An endpoint in use and its place in the order of preference.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// Index into `rpc_urls`; 0 is preferred.
    pub(crate) place: usize,
    /// The connection.
    pub(crate) endpoint: Arc<Endpoint>,
    since: Instant,
}

impl Pool {
    /// A pool over `rpc_urls`; connects to nothing yet.
    pub(crate) fn new(rpc_urls: &[Url], chain_id: u64) -> Self {
        let slots = rpc_urls
            .iter()
            .map(|url| Slot {
                url: url.clone(),
                reconnect: Reconnect::new(),
                trouble: None,
            })
            .collect();
        Self { chain_id, slots }
    }

    /// Refuses when every URL that answers at all answers with another chain id and none answers with ours.
    /// URLs that do not answer are given the benefit of the doubt: they may be down for now.
    pub(crate) async fn refuse_wrong_chain(&mut self) -> anyhow::Result<()> {
        let mut wrong = None;
        for place in 0..self.slots.len() {
            match self.connect(place).await {
                Ok(_) => return Ok(()),
                Err(RpcError::WrongChain { actual, .. }) => wrong = Some((place, actual)),
                Err(_) => return Ok(()),
            }
        }
        match wrong {
            Some((place, actual)) => bail!(
                "the node at {} is on chain {actual}, but chain_id is {}: correct rpc_urls or chain_id",
                host(&self.slots[place].url),
                self.chain_id
            ),
            None => bail!("rpc_urls is empty"),
        }
    }

    /// The most preferred endpoint that connects now; waits and tries again for ever. `report` is told why there is none.
    pub(crate) async fn choose(&mut self, report: impl Fn(&str)) -> Chosen {
        loop {
            for place in 0..self.slots.len() {
                if self.slots[place].reconnect.not_before().is_some() {
                    continue;
                }
                match self.connect(place).await {
                    Ok(endpoint) => {
                        info!(rpc = endpoint.host(), place, "RPC endpoint in use");
                        return chosen(place, endpoint);
                    }
                    Err(error) => self.note_failure(place, &error),
                }
            }
            if let Some(trouble) = self.slots.iter().rev().find_map(|slot| slot.trouble.as_deref())
            {
                report(trouble);
            }
            let next = self.slots.iter().filter_map(|slot| slot.reconnect.not_before()).min();
            if let Some(at) = next {
                tokio::time::sleep_until(at.into()).await;
            }
        }
    }

    /// The endpoint in use failed: it is not chosen again before its schedule allows.
    pub(crate) fn failed(&mut self, chosen: &Chosen, error: &RpcError) {
        if chosen.since.elapsed() > SETTLED {
            self.slots[chosen.place].reconnect.healthy();
        }
        self.note_failure(chosen.place, error);
    }

    /// Waits until an endpoint preferred to `current` connects and has come as far as `at_least`. Never returns when
    /// `current` is the preferred one.
    pub(crate) async fn better_than(&mut self, current: usize, at_least: u64) -> Chosen {
        loop {
            for place in 0..current {
                if self.slots[place].reconnect.not_before().is_some() {
                    continue;
                }
                match self.connect_at_height(place, at_least).await {
                    Ok(endpoint) => {
                        info!(rpc = endpoint.host(), place, "back to a preferred RPC endpoint");
                        return chosen(place, endpoint);
                    }
                    Err(error) => self.note_failure(place, &error),
                }
            }
            let next = self.slots[..current]
                .iter()
                .filter_map(|slot| slot.reconnect.not_before())
                .min();
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None if current == 0 => std::future::pending().await,
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Another endpoint than `current` that already has block `beyond`; tried once, in order of preference.
    pub(crate) async fn ahead_of(&mut self, current: usize, beyond: u64) -> Option<Chosen> {
        for place in (0..self.slots.len()).filter(|place| *place != current) {
            if self.slots[place].reconnect.not_before().is_some() {
                continue;
            }
            if let Ok(endpoint) = self.connect_at_height(place, beyond).await {
                return Some(chosen(place, endpoint));
            }
        }
        None
    }

    /// Whether there is a choice at all.
    pub(crate) fn has_others(&self) -> bool {
        self.slots.len() > 1
    }

    async fn connect_at_height(&mut self, place: usize, height: u64) -> Result<Endpoint, RpcError> {
        let endpoint = self.connect(place).await?;
        let number: alloy::primitives::U64 = endpoint.call("eth_blockNumber", ()).await?;
        if number.to::<u64>() < height {
            return Err(RpcError::unavailable(format!(
                "the node is at block {number}, behind {height}"
            )));
        }
        Ok(endpoint)
    }

    async fn connect(&mut self, place: usize) -> Result<Endpoint, RpcError> {
        let patience = if self.has_others() { PATIENCE_WITH_OTHERS } else { PATIENCE_ALONE };
        let slot = &mut self.slots[place];
        Endpoint::connect(&slot.url, self.chain_id, patience).await
    }

    fn note_failure(&mut self, place: usize, error: &RpcError) {
        let slot = &mut self.slots[place];
        let asked = match error {
            RpcError::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = slot.reconnect.failed(asked);
        let host = host(&slot.url);
        let trouble = format!("{host}: {error}");
        // A node that is down for hours is reported when the reason changes, not at each try.
        if slot.trouble.as_ref() == Some(&trouble) {
            debug!(rpc = host, place, %error, ?wait, "RPC endpoint still fails");
        } else {
            warn!(rpc = host, place, %error, ?wait, "RPC endpoint failed");
        }
        slot.trouble = Some(trouble);
    }
}

fn chosen(place: usize, endpoint: Endpoint) -> Chosen {
    Chosen {
        place,
        endpoint: Arc::new(endpoint),
        since: Instant::now(),
    }
}
