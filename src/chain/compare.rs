//! A history that one node has told is compared with another node's, beside the tip: a node that has lost logs answers
//! without an error. What only the other one has, on blocks that both have, is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use super::error::{SessionError, blocking};
use super::node::{Node, Pool, RpcError, read};
use super::processors::{Processors, Taken};
use super::range::RangeReader;
use super::writer::Writer;
use crate::domain::{ChainEvent, Checkpoint, EventKind, ModuleAddress};
use crate::store::Store;

/// A history that was read from one node.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) modules: BTreeSet<ModuleAddress>,
    pub(super) from: u64,
    pub(super) to: Checkpoint,
}

/// Reads a history from another node than the one at `place`, and stores what that one did not tell.
pub(super) async fn compare(
    pool: Pool,
    place: usize,
    node: Arc<Node>,
    store: Store,
    writer: Writer,
    processors: Processors,
    history: History,
) -> Result<(), SessionError> {
    let Some(other) = pool.another(place).await else {
        return Ok(());
    };
    let read = read_missing(&node, &other, &store, &writer, processors, &history).await;
    match read {
        Ok(0) => info!(
            from = history.from,
            to = history.to.number,
            other = other.host(),
            "two nodes tell the same history"
        ),
        Ok(events) => warn!(
            events,
            node = node.host(),
            other = other.host(),
            "the node's history has holes; stored what another node has: use an archive of receipts, or a later chain.start_block"
        ),
        Err(SessionError::Rpc(error)) => {
            info!(other = other.host(), %error, "a history could not be compared with another node's");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn read_missing(
    node: &Node,
    other: &Arc<Node>,
    store: &Store,
    writer: &Writer,
    mut processors: Processors,
    history: &History,
) -> Result<usize, SessionError> {
    processors.keep_only(&history.modules);
    processors.rewind(history.from.saturating_sub(1));
    for module in &history.modules {
        processors.watch_from(module, history.from);
    }
    let filter = processors.filter();
    let mut reader = RangeReader::new(Arc::clone(other), filter, history.from, history.to.number);
    let mut added = 0;
    while let Some(piece) = reader.next().await {
        let piece = piece?;
        let header = read::header_at(node, piece.end.number).await?;
        if header.is_none_or(|header| header.hash != piece.end.hash) {
            return Err(RpcError::unavailable("it has other blocks").into());
        }
        let events = match processors.take(piece.events) {
            Taken::Events(events) => events,
            Taken::AskAgain { from, before } => {
                reader.restart(from, &processors.filter());
                before
            }
            Taken::WrongStart { module, .. } | Taken::Hostile(module) => {
                return Err(RpcError::unavailable(format!(
                    "it tells other processors of {module}"
                ))
                .into());
            }
        };
        added += store_missing(store, writer, events).await?;
    }
    Ok(added)
}

async fn store_missing(
    store: &Store,
    writer: &Writer,
    events: Vec<ChainEvent>,
) -> Result<usize, SessionError> {
    if events.is_empty() {
        return Ok(0);
    }
    let store = store.clone();
    let missing = blocking(move || store.missing(&events)).await?;
    let is_update =
        |event: &ChainEvent| matches!(event.kind, EventKind::PaymentProcessorUpdated { .. });
    if let Some(update) = missing.iter().find(|event| is_update(event)) {
        let (module, block) = (update.module, update.position.block);
        return Err(RpcError::unavailable(format!(
            "it tells of a new payment processor of {module} in block {block}, which the other does not"
        ))
        .into());
    }
    match missing.is_empty() {
        true => Ok(0),
        false => writer.submit(move |store| store.mend(&missing)).await,
    }
}
