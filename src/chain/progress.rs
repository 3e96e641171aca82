//! What the follower shows of itself in the status, and when it counts as being at the tip.

use std::time::{Duration, Instant};

use tokio::sync::watch::Sender;

use super::context::Context;
use super::modules::Joins;
use super::node::Header;
use super::state::Followed;
use crate::domain::ChainStatus;

/// The newest blocks are read one by one by their hashes, never by range.
const NEAR: u64 = 64;
/// Further behind than this the follower reads ranges again.
const FAR: u64 = 2 * NEAR;

/// The last block that is read by range: those near the head are read one by one.
pub(super) fn range_end(context: &Context, head: &Header) -> u64 {
    head.number
        .saturating_sub(context.confirmations().max(NEAR))
}

/// Whether the head is so far away that ranges are read up to near it.
pub(super) fn is_far(context: &Context, followed: &Followed, head: &Header) -> bool {
    let allowed = FAR + context.confirmations();
    head.number.saturating_sub(followed.window.tip().number) > allowed
}

/// Shows the newest head.
pub(super) fn show_head(status: &Sender<ChainStatus>, head: &Header) {
    let head = head.checkpoint();
    status.send_if_modified(|status| status.head.replace(head) != Some(head));
}

/// Says why the chain cannot be followed at the moment.
pub(super) fn report(status: &Sender<ChainStatus>, trouble: &str) {
    status.send_if_modified(|status| {
        let changed = status.trouble.as_deref() != Some(trouble);
        status.trouble = Some(trouble.to_owned());
        status.behind_since.get_or_insert_with(Instant::now);
        changed
    });
}

/// Publishes where the follower is, after every step.
pub(super) fn publish(
    context: &Context,
    followed: &mut Followed,
    joins: &Joins,
    block_time: Duration,
) {
    followed.settled |= joins.is_done(followed);
    let at_tip = followed.settled && followed.is_whole();
    let unread = joins.unread();
    let confirmed = followed.window.base();
    let unconfirmed = followed.window.unconfirmed();
    let pending: Vec<_> = unconfirmed
        .flat_map(|block| block.events.iter().cloned())
        .collect();
    context.status.send_if_modified(|status| {
        let before = status.clone();
        status.confirmed = Some(confirmed);
        status.set_at_tip(at_tip, Instant::now());
        status.block_time = Some(block_time);
        status.pending = pending;
        status.trouble = None;
        status.unread_modules = unread;
        *status != before
    });
}
