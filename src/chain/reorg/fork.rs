//! Where the node's chain left the followed one, however deep.

use alloy::primitives::B256;

use crate::chain::error::{SessionError, blocking};
use crate::chain::node::{Node, read};
use crate::domain::Checkpoint;
use crate::store::Store;

/// Stored headers that are looked through at a time.
const PAGE: usize = 1024;

/// Whether the node's chain differs from the followed one at a height that both have: the only evidence of a
/// reorganisation that a chain of another height can give. `known` is the newest followed block up to the node's head,
/// where it is not in the store yet.
pub(in crate::chain) async fn contradicts(
    node: &Node,
    store: &Store,
    known: Option<Checkpoint>,
    head: u64,
) -> Result<bool, SessionError> {
    let known = match known {
        Some(known) => Some(known),
        None => {
            let store = store.clone();
            blocking(move || store.headers_below(head, 1)).await?.pop()
        }
    };
    match known {
        Some(known) => Ok(read::header_at(node, known.number)
            .await?
            .is_some_and(|header| header.hash != known.hash)),
        None => Ok(false),
    }
}

/// The newest followed block that the node's chain has too. `unsaved` are the followed blocks that are not stored yet,
/// newest first. If the node has one, it has all below it: hence a search in steps that double, then by halves. `None`
/// when it has not one of them.
pub(in crate::chain) async fn find_fork(
    node: &Node,
    store: &Store,
    unsaved: Vec<Checkpoint>,
    from: Checkpoint,
) -> Result<Option<Checkpoint>, SessionError> {
    let mut known = unsaved;
    if known.first() != Some(&from) {
        known.insert(0, from);
    }
    loop {
        let oldest = known.last().map_or(from.number, |header| header.number);
        let store = store.clone();
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

async fn newest_shared(
    node: &Node,
    known: &[Checkpoint],
) -> Result<Option<Checkpoint>, SessionError> {
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

async fn is_shared(node: &Node, known: &Checkpoint) -> Result<bool, SessionError> {
    let header = read::header_at(node, known.number).await?;
    Ok(header.map_or(B256::ZERO, |header| header.hash) == known.hash)
}
