//! Finds where the node's chain left the stored one, however deep, and goes back to there.

use std::time::Instant;

use alloy::primitives::B256;
use tracing::warn;

use super::follow::{Follower, Setback, blocking};
use super::node::Node;
use super::node::read;
use super::place::Place;
use crate::domain::Checkpoint;

/// Stored headers that are looked through at a time.
const PAGE: usize = 1024;

impl Follower {
    /// Goes back to the newest followed block that is on the node's chain; what lies above it is rolled back in the store
    /// with the next commit, which brings the new chain.
    pub(super) async fn recover(&mut self, node: &Node, place: &mut Place) -> Result<(), Setback> {
        // Another chain is no reorganisation: nothing is undone for it.
        node.check_chain().await?;
        let from = place.window.base();
        let fork = match self.find_fork(node, from).await? {
            Some(fork) => fork,
            None => {
                // Not one stored block is on this chain: everything is read again, of modules that are not watched at
                // the moment too.
                let store = self.store.clone();
                let records = blocking(move || store.modules()).await?;
                let starts = records.values().map(|record| record.start_block);
                let start = starts
                    .min()
                    .unwrap_or(from.number)
                    .min(from.number)
                    .saturating_sub(1);
                self.known_header(node, start).await?.checkpoint()
            }
        };
        if fork == from {
            // Nodes behind one address disagree, or it changed its mind while we looked.
            return Err(Setback::Moved(
                "the node is back on the followed chain".to_owned(),
            ));
        }
        let depth = from.number - fork.number;
        warn!(
            fork = fork.number,
            depth, "the chain was reorganised below the confirmed tip"
        );
        place.window.rewind(fork);
        place.watch.rewind(fork.number);
        place.unsure.forget_from(fork.number + 1);
        self.committer.roll_back_to(fork.number);
        self.status.send_modify(|status| {
            status.set_at_tip(false, Instant::now());
            status.reorgs += 1;
        });
        Ok(())
    }

    /// Whether the node's chain differs from the followed one at a height that both have: the only evidence of a
    /// reorganisation that a shorter chain can give.
    pub(super) async fn is_on_another_chain(
        &self,
        node: &Node,
        place: &Place,
        head: u64,
    ) -> Result<bool, Setback> {
        let below = head.min(place.window.base().number);
        let known = match place.window.at(below) {
            Some(known) => Some(known),
            None => {
                let store = self.store.clone();
                blocking(move || store.headers_below(below, 1)).await?.pop()
            }
        };
        match known {
            Some(known) => Ok(read::header_at(node, known.number)
                .await?
                .is_some_and(|header| header.hash != known.hash)),
            None => Ok(false),
        }
    }

    /// The newest followed block that the node's chain has too. If it has one, it has all below it: hence a search in
    /// steps that double, then by halves.
    async fn find_fork(
        &self,
        node: &Node,
        from: Checkpoint,
    ) -> Result<Option<Checkpoint>, Setback> {
        // Newest first; what is not stored yet comes before what is.
        let mut known: Vec<Checkpoint> = self.committer.unsaved().collect();
        if known.first() != Some(&from) {
            known.insert(0, from);
        }
        loop {
            let oldest = known.last().map_or(from.number, |header| header.number);
            let store = self.store.clone();
            let page = match oldest.checked_sub(1) {
                Some(below) => blocking(move || store.headers_below(below, PAGE)).await?,
                None => Vec::new(),
            };
            let is_last = page.len() < PAGE;
            known.extend(page);
            if let Some(fork) = newest_shared(node, &known).await? {
                return Ok(Some(fork));
            }
            if is_last {
                return Ok(None);
            }
            // None of these: only the oldest needs to stay, as the upper bound of the next page.
            known.drain(..known.len() - 1);
        }
    }
}

async fn newest_shared(node: &Node, known: &[Checkpoint]) -> Result<Option<Checkpoint>, Setback> {
    // Invariant: not shared before `low`; shared from `high` on, where `high` is an index.
    let (mut low, mut step) = (0, 1);
    let mut high = loop {
        let probe = (low + step - 1).min(known.len().saturating_sub(1));
        let Some(candidate) = known.get(probe) else {
            return Ok(None);
        };
        if is_shared(node, candidate).await? {
            break probe;
        }
        low = probe + 1;
        if low >= known.len() {
            return Ok(None);
        }
        step *= 2;
    };
    while low < high {
        let middle = low + (high - low) / 2;
        if is_shared(node, &known[middle]).await? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(known.get(high).copied())
}

async fn is_shared(node: &Node, known: &Checkpoint) -> Result<bool, Setback> {
    let header = read::header_at(node, known.number).await?;
    Ok(header.map_or(B256::ZERO, |header| header.hash) == known.hash)
}
