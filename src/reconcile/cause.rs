//! Turns decisions into role changes with a full cause: the receipt needs the subscription's stored state.

use crate::domain::{Cause, RoleChange, Timestamp};
use crate::planner::{Because, Decision};
use crate::projection;
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
                cause: cause(store, decision.because, now)?,
            })
        })
        .collect()
}

fn cause(store: &Store, because: Because, now: Timestamp) -> anyhow::Result<Cause> {
    Ok(match because {
        Because::NoGate => Cause::GateRemoved,
        Because::ByHand => Cause::ManualRole,
        Because::NoHolding { linked } => match store.last_fork()? {
            // The wallet is still linked and its subscription is gone: only a reorganisation takes events away.
            Some(fork_block) if linked => Cause::Reorganised { fork_block },
            _ => Cause::NoSubscription,
        },
        Because::Holding {
            wallet,
            module,
            id,
            access,
        } => {
            let blocked = store.blocked(module, wallet)?;
            let state = store.subscription(module, id)?.unwrap_or_default();
            // The store may have moved on since the decision; the next tick decides anew. Until then the cause is the
            // best that can be told.
            projection::cause(module, id, &state, blocked, access, now)
                .unwrap_or(Cause::NoSubscription)
        }
    })
}
