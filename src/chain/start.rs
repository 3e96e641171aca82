//! Where the following begins: at the store's cursor, else before the first block of the first module.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use tracing::info;

use super::context::Context;
use super::error::SessionError;
use super::modules::{REGISTERED_AT_ONCE, register};
use super::node::{Header, Node, read};
use super::processors::Processors;
use super::progress;
use super::reorg::window::{KEPT, Window};
use super::state::Followed;
use crate::domain::{Checkpoint, ModuleAddress, ModuleRecord, Synced};

/// Where to begin.
pub(super) async fn start(
    context: &Context,
    node: &Node,
    head: &Header,
) -> Result<Followed, SessionError> {
    let (cursor, known, finalized) = context
        .reads
        .read(|store| Ok((store.cursor()?, store.modules()?, store.finalized()?)))
        .await?;
    let mut followed = match cursor {
        Some(cursor) => resume(context, cursor, known).await?,
        None => begin(context, node, head).await?,
    };
    followed.finalized = finalized;
    Ok(followed)
}

/// Goes on at the cursor. Modules that are not at it join like new ones.
async fn resume(
    context: &Context,
    cursor: Checkpoint,
    known: BTreeMap<ModuleAddress, ModuleRecord>,
) -> Result<Followed, SessionError> {
    let wanted = context.wanted.borrow().clone();
    let start_block = context.config.start_block;
    let (watched, left): (BTreeMap<_, _>, BTreeMap<_, _>) = known
        .into_iter()
        .filter(|(_, record)| record.synced == Synced::ToCursor)
        .partition(|(module, record)| {
            // One whose start is configured otherwise, or that had no processor, is registered again.
            wanted.contains(module)
                && start_block.is_none_or(|start| start == record.start_block)
                && !record.is_without_processor()
        });
    let (below, events) = context
        .reads
        .read(move |store| {
            let below = store.headers_below(cursor.number.saturating_sub(1), KEPT)?;
            let oldest = cursor.number.saturating_sub(KEPT as u64);
            Ok((below, store.events_after(oldest)?))
        })
        .await?;
    info!(
        block = cursor.number,
        modules = watched.len(),
        "following from the stored cursor"
    );
    let processors = Processors::of(context.config.layouts.clone(), &watched);
    let window = Window::resume(cursor, &below, &events);
    let mut followed = Followed::at(window, processors, true);
    followed.unsaved.next.left = left.into_keys().collect();
    Ok(followed)
}

/// Registers what is wanted. What cannot be registered is tried again with the modules that come later: one contract must not
/// hold up the others.
async fn register_all(
    context: &Context,
    node: &Node,
    head: &Header,
) -> Result<BTreeMap<ModuleAddress, ModuleRecord>, SessionError> {
    let wanted = context.wanted.borrow().clone();
    let mut records = BTreeMap::new();
    let head = head.number;
    let confirmed = head.saturating_sub(context.confirmations());
    let one = |module| async move {
        let registered = register(context, node, module, confirmed, head).await;
        (module, registered)
    };
    let mut registered = stream::iter(wanted)
        .map(one)
        .buffer_unordered(REGISTERED_AT_ONCE);
    while let Some((module, registered)) = registered.next().await {
        match registered {
            Ok(Ok(registered)) => drop(records.insert(module, registered.record)),
            Ok(Err(_)) => {}
            Err(SessionError::Rpc(error)) if !error.is_about_node() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// Begins before the first block of the first module.
async fn begin(context: &Context, node: &Node, head: &Header) -> Result<Followed, SessionError> {
    let confirmed = head.number.saturating_sub(context.confirmations());
    let base_of = |first: Option<u64>| match first {
        None => confirmed,
        // The genesis block holds no transactions, so nothing is lost by starting on top of it.
        Some(first) => first.saturating_sub(1).min(confirmed),
    };
    // A start that is configured is known before the modules have answered.
    let (records, expected, range_end) = futures_util::try_join!(
        register_all(context, node, head),
        async { Ok(read::header_at(node, base_of(context.config.start_block)).await?) },
        async { Ok(read::header_at(node, progress::range_end(context, head)).await?) },
    )?;
    let starts = records.values().map(|record| record.start_block);
    let base = base_of(starts.min());
    let base = match expected.filter(|expected| expected.number == base) {
        Some(header) => header.checkpoint(),
        None => read::known_header(node, base).await?.checkpoint(),
    };
    info!(
        block = base.number,
        modules = records.len(),
        "following from the start"
    );
    let processors = Processors::of(context.config.layouts.clone(), &records);
    let mut followed = Followed::at(Window::new(base), processors, false);
    followed.unsaved.next.joined = records.into_keys().collect();
    followed.range_end = range_end;
    Ok(followed)
}
