//! Turns decisions into role changes with a full cause: the receipt needs the subscription's stored state.

use super::desired::{Because, Reason};
use super::people::Holding;
use super::plan::Decision;
use crate::domain::{Cause, RoleAction, RoleChange, Timestamp, UserId};
use crate::projection::{self, Access};
use crate::store::Store;

/// Looks up the cause of each decision. Keeps the order.
///
/// # Errors
/// When the store cannot be read.
pub fn to_changes(
    store: &Store,
    decisions: &[Decision],
    now: Timestamp,
) -> anyhow::Result<Vec<RoleChange>> {
    decisions
        .iter()
        .map(|decision| Ok(decision.because(cause(store, decision, now)?)))
        .collect()
}

fn cause(store: &Store, decision: &Decision, now: Timestamp) -> anyhow::Result<Cause> {
    let is_absence = match decision.cause {
        Because::NoHolding { linked } => linked,
        Because::Holding(one) => matches!(one.access, Access::Until(until) if until < now),
        Because::Other(_) => false,
    };
    // What the role was given for that is taken for want of something.
    let given = match is_absence && decision.action == RoleAction::Revoke {
        true => store.applied(decision.guild, decision.user, decision.role)?,
        false => None,
    };
    Ok(match (decision.cause, given.map(|given| given.cause)) {
        // The chain does not tell of access.
        (_, Some(Cause::ApiSays { .. })) => Cause::ApiUnconfirmed,
        (Because::Other(cause), _) => cause,
        (Because::NoHolding { .. }, given) => match undone(store, decision.user, given)? {
            Some(fork_block) => Cause::Reorganised { fork_block },
            None => Cause::NoSubscription,
        },
        // The store may have moved on since the decision; the next tick decides again. Until then the cause is the best that can
        // be told.
        (Because::Holding(reason), _) => {
            cause_of(store, &reason, now)?.unwrap_or(Cause::NoSubscription)
        }
    })
}

/// Why a subscription of a wallet gives this access, by its stored state; `None` where that tells nothing.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn cause_of(
    store: &Store,
    reason: &Reason,
    now: Timestamp,
) -> anyhow::Result<Option<Cause>> {
    let (access, Holding { module, id, .. }) = (reason.access, reason.holding);
    let blocked = store.blocked(module, reason.wallet)?;
    let state = store.subscription(module, id)?;
    Ok(state.and_then(|state| projection::cause(module, id, &state, blocked, access, now)))
}

/// The fork block of the reorganisation that took away the payment for which the role was given, if one did: the payment
/// stood above it, and what is left of its subscription was never paid by one of the member's wallets. A gate that asks
/// for something else now leaves the payment where it is.
fn undone(store: &Store, user: UserId, given: Option<Cause>) -> anyhow::Result<Option<u64>> {
    let Some(
        Cause::Paid {
            module,
            subscription,
            mark,
            ..
        }
        | Cause::Resumed {
            module,
            subscription,
            mark,
            ..
        },
    ) = given
    else {
        return Ok(None);
    };
    let wallets = store.wallets_of(user)?;
    let state = store.subscription(module, subscription)?;
    let still_paid = state.is_some_and(|state| {
        let by = state.subscriber.map(|(wallet, _)| wallet);
        state.paid.is_some() && by.is_some_and(|wallet| wallets.contains(&wallet))
    });
    let fork = store.last_fork()?;
    Ok(fork.filter(|fork_block| mark.position.block > *fork_block && !still_paid))
}
