//! Turns decisions into role changes with a full cause: the receipt needs the subscription's stored state.

use super::desired::Because;
use super::plan::Decision;
use crate::domain::{
    Cause, ModuleAddress, RoleAction, RoleChange, SubscriptionId, Timestamp, Wallet,
};
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
        .map(|decision| {
            Ok(RoleChange {
                action: decision.action,
                guild: decision.guild,
                user: decision.user,
                role: decision.role,
                cause: cause(store, decision, now)?,
            })
        })
        .collect()
}

fn cause(store: &Store, decision: &Decision, now: Timestamp) -> anyhow::Result<Cause> {
    if is_unconfirmed(store, decision, now)? {
        return Ok(Cause::ApiUnconfirmed);
    }
    Ok(match decision.because {
        Because::Other(cause) => cause,
        Because::NoHolding { linked } => match undone(store, decision)? {
            Some(fork_block) if linked => Cause::Reorganised { fork_block },
            _ => Cause::NoSubscription,
        },
        Because::Holding {
            wallet,
            module,
            id,
            access,
        } => {
            let cause = cause_of(store, wallet, module, id, access, now)?;
            // The store may have moved on since the decision; the next tick decides again. Until then the cause is the
            // best that can be told.
            cause.unwrap_or(Cause::NoSubscription)
        }
    })
}

/// Why a subscription of a wallet gives this access, by its stored state; `None` where that tells nothing.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn cause_of(
    store: &Store,
    wallet: Wallet,
    module: ModuleAddress,
    id: SubscriptionId,
    access: Access,
    now: Timestamp,
) -> anyhow::Result<Option<Cause>> {
    let blocked = store.blocked(module, wallet)?;
    let state = store.subscription(module, id)?;
    Ok(state.and_then(|state| projection::cause(module, id, &state, blocked, access, now)))
}

/// Whether the role was given on the word of amser's API, and is taken because the chain does not tell of access.
fn is_unconfirmed(store: &Store, decision: &Decision, now: Timestamp) -> anyhow::Result<bool> {
    let is_absence = match decision.because {
        Because::NoHolding { linked } => linked,
        Because::Holding { access, .. } => matches!(access, Access::Until(until) if until < now),
        _ => false,
    };
    if decision.action == RoleAction::Grant || !is_absence {
        return Ok(false);
    }
    let given = store.applied(decision.guild, decision.user, decision.role)?;
    Ok(given.is_some_and(|given| matches!(given.cause, Cause::ApiSays { .. })))
}

/// The fork block of the reorganisation that took away the payment for which the role was given, if one did: the payment
/// stood above it, and what is left of its subscription was never paid by one of the member's wallets. A gate that asks
/// for something else now leaves the payment where it is.
fn undone(store: &Store, decision: &Decision) -> anyhow::Result<Option<u64>> {
    let Some(fork_block) = store.last_fork()? else {
        return Ok(None);
    };
    let given = store.applied(decision.guild, decision.user, decision.role)?;
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
    ) = given.map(|given| given.cause)
    else {
        return Ok(None);
    };
    let wallets = store.wallets_of(decision.user)?;
    let still_paid = store
        .subscription(module, subscription)?
        .is_some_and(|state| {
            let by = state.subscriber.map(|(wallet, _)| wallet);
            state.paid.is_some() && by.is_some_and(|wallet| wallets.contains(&wallet))
        });
    let was_replaced = mark.position.block > fork_block && !still_paid;
    Ok(was_replaced.then_some(fork_block))
}
