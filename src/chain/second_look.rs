//! The second look: the newest blocks are read once more by range and compared with what was followed. A node may have a
//! block before its logs, and answer `[]`: only asking again tells that from a block without logs.

use std::sync::Arc;

use tracing::{debug, warn};

use super::context::Context;
use super::error::SessionError;
use super::node::{Node, RpcError};
use super::processors::Processors;
use super::range::RangeReader;
use super::state::Followed;
use crate::domain::{ChainEvent, Checkpoint, Subject};

/// Blocks that are looked at again, at least.
const BLOCKS: u64 = 30;
/// Failures in a row after which a look is given up. Fewer would be too few where each second answer comes from a node that
/// does not have the newest blocks yet, and only a few blocks can be asked for at a time.
const MOST_FAILURES: u32 = 8;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Ends of ranges, as the node had them.
    ends: Vec<Checkpoint>,
    events: Vec<ChainEvent>,
    /// The block from which on everything must be followed again: a module's processor changed there, unseen.
    changed_at: Option<u64>,
}

/// What to read: from the first block that fewer than two looks have seen, or further down, to the tip.
pub(super) fn blocks(followed: &Followed) -> Option<(u64, u64)> {
    let tip = followed.window.tip().number;
    let from = (tip + 1).saturating_sub(BLOCKS).min(followed.looked.0 + 1);
    let from = from.max(followed.window.oldest().number + 1);
    (from <= tip).then_some((from, tip))
}

/// Reads these blocks for the modules of `processors`.
pub(super) async fn look(
    node: Arc<Node>,
    mut processors: Processors,
    (from, to): (u64, u64),
) -> Result<Seen, RpcError> {
    processors.rewind(from - 1);
    let mut seen = Seen {
        ends: Vec::new(),
        events: Vec::new(),
        changed_at: None,
    };
    let mut reader = RangeReader::new(node, processors.filter(), from, to);
    while let Some(piece) = reader.next_retrying(MOST_FAILURES).await {
        let piece = piece?;
        let start = piece.from;
        seen.ends.push(piece.end);
        match processors.take(piece.events) {
            Ok(taken) => {
                seen.events.extend(taken.events);
                seen.changed_at = taken.again_from;
            }
            Err(_) => seen.changed_at = Some(start),
        }
        if seen.changed_at.is_some() {
            break;
        }
    }
    Ok(seen)
}

/// Adds missed events to the unconfirmed blocks, to joining modules, or to the store. Says whether blocks must be followed
/// again instead.
pub(super) async fn compare(
    context: &Context,
    followed: &mut Followed,
    seen: Seen,
) -> Result<bool, SessionError> {
    let is_followed = |end: &Checkpoint| followed.window.at(end.number) == Some(*end);
    if !seen.ends.iter().all(is_followed) {
        debug!("the chain moved during a second look");
        return Ok(false);
    }
    if let Some(end) = seen.ends.last() {
        followed.looked = (followed.looked.1, end.number);
    }
    let missed: Vec<ChainEvent> = seen
        .events
        .into_iter()
        .filter(|event| !followed.window.has_event_at(event.position))
        // A module may have been left, or have begun again, since the reading began.
        .filter(|event| {
            let watched = followed.processors.get(&event.module);
            watched.is_some_and(|watched| event.position.block >= watched.from)
        })
        .collect();
    let is_update = |event: &&ChainEvent| event.subject() == Subject::Module;
    let updates = missed.iter().filter(is_update);
    let updated_at = updates.map(|event| event.position.block);
    if let Some(block) = updated_at.chain(seen.changed_at).min() {
        warn!(
            block,
            "the node had a block before its logs, with a new payment processor; following it again"
        );
        go_back(followed, block);
        return Ok(true);
    }
    let mut confirmed = Vec::new();
    for event in missed {
        if followed.window.add(&event) {
            continue;
        }
        match followed.joining.get_mut(&event.module) {
            Some(joining) => {
                joining.events.push(event);
                joining.events.sort_by_key(|event| event.position);
            }
            None => confirmed.push(event),
        }
    }
    if !confirmed.is_empty() {
        // An event must not be stored above the cursor, or it would be read twice after a crash.
        followed.save(context).await?;
        context.plans.missed(&confirmed).await?;
        let mended = context
            .writer
            .submit(move |store| store.mend(&confirmed))
            .await?;
        if mended > 0 {
            warn!(
                events = mended,
                "the node had blocks before their logs; stored what was missed"
            );
        }
    }
    Ok(false)
}

/// Goes back to the block before this one, or to the confirmed tip if that is lower.
fn go_back(followed: &mut Followed, block: u64) {
    let base = followed.window.base();
    match followed.window.at(block.saturating_sub(1)) {
        Some(below) if below.number < base.number => followed.roll_back_to(below),
        _ => {
            followed.window.rewind(base);
            followed.replaced_above(base.number);
        }
    }
}
