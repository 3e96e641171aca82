//! A history that one node has told is compared with another node's, beside the tip: a node that has lost logs answers
//! without an error. What only the other one has, on blocks that both have, is taken. Where there is one node alone, the
//! end of the history is read again some times: behind one URL there may be a node that is minutes behind the others, and
//! answers for blocks that it does not have yet as if nothing had happened in them. And what a module
//! contradicts is read again from every node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::error::{SessionError, blocking};
use super::node::{Chosen, Node, Pool, RpcError, read};
use super::processors::{Processors, Taken};
use super::range::RangeReader;
use super::writer::Writer;
use crate::domain::{ActiveQuestion, ChainEvent, Checkpoint, EventKind, ModuleAddress};
use crate::store::Store;

/// How many blocks at a history's end are read again from the same node: half an hour of Base.
const END: u64 = 1_000;
/// When that is done, in intervals of the second look: after 20 s, 1 min and 3 min, each counted from the one before.
const END_AFTER: [u32; 3] = [1, 3, 9];

/// A history that was read from one node.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) modules: BTreeSet<ModuleAddress>,
    pub(super) from: u64,
    pub(super) to: Checkpoint,
    /// The module says that these have access, which its events do not show.
    pub(super) doubted: BTreeSet<ActiveQuestion>,
}

impl History {
    /// What is to be read again of a module that contradicts its events.
    pub(super) fn doubted(
        module: ModuleAddress,
        doubted: BTreeSet<ActiveQuestion>,
        to: Checkpoint,
    ) -> Self {
        Self {
            modules: [module].into(),
            from: 0,
            to,
            doubted,
        }
    }
}

/// Reads a history from another node than the `chosen` one, and stores what that one did not tell; without another node
/// its end, from the same one.
pub(super) async fn compare(
    pool: Pool,
    chosen: Chosen,
    store: Store,
    writer: Writer,
    processors: Processors,
    history: History,
    look_every: Duration,
) -> Result<(), SessionError> {
    let Chosen { node, place, .. } = chosen;
    if !history.doubted.is_empty() {
        return read_doubted(&pool, place, &node, &store, &writer, processors, history).await;
    }
    let Some(other) = pool.another(place).await else {
        return read_end_again(&node, &store, &writer, &processors, history, look_every).await;
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

async fn read_end_again(
    node: &Arc<Node>,
    store: &Store,
    writer: &Writer,
    processors: &Processors,
    mut history: History,
    look_every: Duration,
) -> Result<(), SessionError> {
    history.from = history.from.max(history.to.number.saturating_sub(END));
    for intervals in END_AFTER {
        tokio::time::sleep(look_every * intervals).await;
        match read_missing(node, node, store, writer, processors.clone(), &history).await {
            Ok(0) => {}
            Ok(events) => warn!(
                events,
                node = node.host(),
                "the node had blocks before their logs; stored what was missed of the history's end"
            ),
            Err(SessionError::Rpc(error)) => {
                info!(%error, "the end of a history could not be read again");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads on from the last payments that are known of those who are in doubt, from every node: the one in use may tell more
/// than it did.
async fn read_doubted(
    pool: &Pool,
    place: usize,
    node: &Arc<Node>,
    store: &Store,
    writer: &Writer,
    processors: Processors,
    mut history: History,
) -> Result<(), SessionError> {
    let (known, doubted) = (store.clone(), history.doubted.clone());
    history.from = blocking(move || known.last_known_payment(&doubted)).await?;
    let mut others = vec![Arc::clone(node)];
    others.extend(pool.others(place).await);
    let mut found = 0;
    for other in others {
        let processors = processors.clone();
        match read_missing(node, &other, store, writer, processors, &history).await {
            Ok(events) => found += events,
            Err(SessionError::Rpc(error)) => {
                info!(other = other.host(), %error, "doubted blocks could not be read again");
            }
            Err(error) => return Err(error),
        }
    }
    let (module, wallets) = (history.modules.first(), history.doubted.len());
    let module = module.map(tracing::field::display);
    let (from, to) = (history.from, history.to.number);
    if found > 0 {
        warn!(
            module,
            wallets,
            from,
            to,
            events = found,
            "the node left payments out that the module knows of; stored what was missed"
        );
    } else {
        warn!(
            module,
            wallets,
            from,
            to,
            "the module says that wallets have access for which no node tells of a payment: their roles stay; check rpc_urls, and the module's ABI"
        );
    }
    Ok(())
}

async fn read_missing(
    node: &Arc<Node>,
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
        // The same node need not be asked twice for its block.
        if !Arc::ptr_eq(node, other) {
            let header = read::header_at(node, piece.end.number).await?;
            if header.is_none_or(|header| header.hash != piece.end.hash) {
                return Err(RpcError::unavailable("it has other blocks").into());
            }
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
        false => writer.submit(move |store| mend(store, missing)).await,
    }
}

/// Stores what is missing of the modules that are still stored so far: one may have begun again since the reading began.
fn mend(store: &Store, mut missing: Vec<ChainEvent>) -> anyhow::Result<usize> {
    let (modules, cursor) = (store.modules()?, store.cursor()?);
    let cursor = cursor.map(|cursor| cursor.number);
    missing.retain(|event| {
        let record = modules.get(&event.module);
        let synced_to = record.and_then(|record| record.synced_to(cursor));
        synced_to.is_some_and(|to| event.position.block <= to)
    });
    store.mend(&missing)
}
