//! Compares the history that was read from one node with another node's: a node that has lost logs answers without an
//! error. Events that only the other node has, on blocks that both have, are stored. With a single URL, the end of the
//! history is read again: one of the nodes behind it may be minutes late and answer `[]` for blocks that it does not have.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use super::context::Context;
use super::doubts::Doubt;
use super::error::SessionError;
use super::node::{Chosen, Node, RpcError, read};
use super::processors::{ProcessorError, Processors};
use super::range::RangeReader;
use crate::clock::machine_time;
use crate::domain::{ChainEvent, Checkpoint, Drift, ModuleAddress, Subject};
use crate::store::Store;

/// How many blocks at a history's end are read again from the same node: half an hour of Base.
const END: u64 = 1_000;
/// Pauses before another node is tried, and tried again while it could not be read, in intervals of the second look: none, 20 s,
/// 1 min and 3 min. The same node is read again after each but the first.
const PAUSES: [u32; 4] = [0, 1, 3, 9];

/// A history that was read from one node.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) modules: BTreeSet<ModuleAddress>,
    pub(super) from: u64,
    pub(super) to: Checkpoint,
    /// Why it is doubted; `None`: it is not, and every history is compared once.
    pub(super) doubted: Option<Doubt>,
}

/// Reads a history again, from another node than the `chosen` one where there is one, and stores what is missing of it.
pub(super) async fn compare(
    context: Context,
    chosen: Chosen,
    processors: Processors,
    mut history: History,
) -> Result<(), SessionError> {
    let Chosen { node, place, .. } = chosen;
    let every = context.config.second_look_every;
    let Some(Doubt { questions, blocks }) = history.doubted.clone() else {
        if context.pool.len() > 1 {
            for intervals in PAUSES {
                tokio::time::sleep(every * intervals).await;
                let other = context.pool.others(place, 1).await.pop();
                if let Some(other) = other
                    && look(&context, &node, &other, &processors, &history)
                        .await?
                        .is_some()
                {
                    return Ok(());
                }
            }
        }
        history.from = history.from.max(history.to.number.saturating_sub(END));
        for intervals in &PAUSES[1..] {
            tokio::time::sleep(every * *intervals).await;
            look(&context, &node, &node, &processors, &history).await?;
        }
        return Ok(());
    };
    let wallets = questions.len();
    // From the last payments that are known on, and also from the node in use: it may tell more than it did.
    history.from = match questions.is_empty() {
        true => u64::MAX,
        false => {
            let payment = move |store: &Store| store.last_known_payment(&questions);
            context.reads.read(payment).await?
        }
    };
    if let Some((first, last)) = blocks {
        history.from = history.from.min(first);
        if wallets == 0 {
            history.to.number = history.to.number.min(last);
        }
    }
    let others = context.pool.others(place, usize::MAX).await;
    let mut found = 0;
    for other in [Arc::clone(&node)].into_iter().chain(others) {
        let looked = look(&context, &node, &other, &processors, &history).await?;
        found += looked.unwrap_or_default();
    }
    if wallets > 0 && found == 0 {
        note(&context, &history, 0, wallets, node.host()).await?;
        let module = history.modules.first().map(tracing::field::display);
        let (from, to) = (history.from, history.to.number);
        warn!(
            module,
            wallets,
            from,
            to,
            "the module contradicts what is known of these wallets, and no node tells of a payment, or anything else, that is missing: their roles stay; check rpc_urls, and the module's ABI"
        );
    }
    Ok(())
}

/// Reads a history from the `other` node and stores what is missing of it. How many events those were; `None` where it could
/// not be read.
async fn look(
    context: &Context,
    node: &Arc<Node>,
    other: &Arc<Node>,
    processors: &Processors,
    history: &History,
) -> Result<Option<usize>, SessionError> {
    let (from, to, other_rpc) = (history.from, history.to.number, other.host());
    match read_missing(context, node, other, processors.clone(), history).await {
        Ok(0) => {
            info!(
                from,
                to,
                rpc = other_rpc,
                "a history was read again: nothing was missing"
            );
            Ok(Some(0))
        }
        Ok(events) => {
            let wallets = history.doubted.as_ref();
            let wallets = wallets.map_or(0, |one| one.questions.len());
            note(context, history, events, wallets, node.host()).await?;
            warn!(
                events,
                from,
                to,
                wallets,
                rpc = node.host(),
                other_rpc,
                "the node left events out: its history has holes; stored what was missed. Use an archive of receipts, or a later chain.start_block"
            );
            Ok(Some(events))
        }
        Err(SessionError::Rpc(error)) => {
            info!(rpc = other_rpc, %error, "a history could not be read again");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Tells the servers of these modules.
async fn note(
    context: &Context,
    history: &History,
    events: usize,
    wallets: usize,
    rpc: &str,
) -> Result<(), SessionError> {
    let drift = Drift {
        events: events as u64,
        wallets: wallets as u64,
        rpc: rpc.to_owned(),
    };
    let modules = history.modules.clone();
    let noted = context
        .writer
        .submit(move |store| store.note_drift(&modules, &drift, machine_time()));
    Ok(noted.await?)
}

/// Reads a history from the `other` node and stores what is missing of it. Returns how many events those were.
async fn read_missing(
    context: &Context,
    node: &Arc<Node>,
    other: &Arc<Node>,
    mut processors: Processors,
    history: &History,
) -> Result<usize, SessionError> {
    processors.retain(|module| history.modules.contains(module));
    processors.rewind(history.from.saturating_sub(1));
    processors.watch_from(history.from);
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
        let taken = processors.take(piece.events).map_err(|error| match error {
            ProcessorError::WrongStart { module, .. } => ProcessorError::Hidden(module),
            error => error,
        })?;
        if let Some(block) = taken.again_from {
            reader.restart(block, &processors.filter());
        }
        if !taken.events.is_empty() {
            added += store_missing(context, taken.events).await?;
        }
    }
    Ok(added)
}

async fn store_missing(context: &Context, events: Vec<ChainEvent>) -> Result<usize, SessionError> {
    let missing = context
        .reads
        .read(move |store| store.missing(&events))
        .await?;
    let is_update = |event: &&ChainEvent| event.subject() == Subject::Module;
    // From then on other logs count: the module is read again.
    if let Some(update) = missing.iter().find(is_update) {
        return Err(ProcessorError::Hidden(update.module).into());
    }
    if missing.is_empty() {
        return Ok(0);
    }
    context.plans.missed(&missing).await?;
    let mend = move |store: &Store| mend(store, missing);
    Ok(context.writer.submit(mend).await?)
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
