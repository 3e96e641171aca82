//! How long a role change took, from the block of the chain event behind it to Discord's acknowledgement: what members feel.

use crate::domain::{JournalEntry, Outcome, Timestamp};
use crate::store::Store;
use crate::watching::EVENT_TO_ROLE;

/// An event that is more than so many blocks older than the decision was not what caused it: a member linked a wallet, say, that
/// had paid before.
const FRESH: u64 = 150;

/// Records it for each of these changes that Discord has just acknowledged.
pub(super) fn record(store: &Store, entries: &[JournalEntry]) {
    for entry in entries {
        let time_of = |block| {
            let header = store.headers_below(block, 1).ok()?.pop()?;
            (header.number == block).then_some(header.timestamp)
        };
        if let Some(seconds) = seconds(entry, time_of) {
            let action = entry.change.action.name();
            metrics::histogram!(EVENT_TO_ROLE, "action" => action).record(seconds);
        }
    }
}

fn seconds(entry: &JournalEntry, time_of: impl FnOnce(u64) -> Option<Timestamp>) -> Option<f64> {
    let event = entry
        .change
        .cause
        .mark()
        .filter(|_| entry.outcome == Outcome::Done)?;
    let block = event.position.block;
    let is_cause = block.saturating_add(FRESH) >= entry.block;
    let time = time_of(block).filter(|_| is_cause)?;
    let seconds = entry.at.0.saturating_sub(time.0);
    Some(f64::from(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};

    use super::*;
    use crate::domain::{
        Cause, GuildId, Mark, ModuleAddress, PlanId, Position, RoleAction, RoleChange, RoleId,
        SubscriptionId, UserId,
    };

    fn entry(decided_at: u64, outcome: Outcome) -> JournalEntry {
        let position = Position {
            block: 100,
            log_index: 0,
        };
        JournalEntry {
            at: Timestamp(1_010),
            block: decided_at,
            change: RoleChange {
                action: RoleAction::Grant,
                guild: GuildId(1),
                user: UserId(2),
                role: RoleId(3),
                cause: Cause::Paid {
                    module: ModuleAddress(Address::ZERO),
                    subscription: SubscriptionId::from(1),
                    plan: PlanId::from(1),
                    mark: Mark {
                        position,
                        transaction: B256::ZERO,
                    },
                    until: Timestamp(9_999),
                },
            },
            outcome,
        }
    }

    #[test]
    fn the_delay_is_counted_from_the_events_block_and_only_where_the_event_is_the_cause() {
        let time_of = |block| (block == 100).then_some(Timestamp(1_003));
        assert_eq!(seconds(&entry(102, Outcome::Done), time_of), Some(7.0));
        assert_eq!(
            seconds(&entry(251, Outcome::Done), time_of),
            None,
            "a late link"
        );
        assert_eq!(seconds(&entry(102, Outcome::Done), |_| None), None);
        let refused = Outcome::Failed {
            code: 50_013,
            message: String::new(),
        };
        assert_eq!(seconds(&entry(102, refused), time_of), None);
        // A chain whose clock is ahead of ours.
        let ahead = |_| Some(Timestamp(2_000));
        assert_eq!(seconds(&entry(102, Outcome::Done), ahead), Some(0.0));
    }
}
