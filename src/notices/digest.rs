//! The week's numbers of a server. PURE.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Cause, JournalEntry, RoleAction, Timestamp, UserId};
use crate::text::{Digest, loss};

const DAY: u64 = 86_400;
/// Seconds of a week.
pub(super) const WEEK: u64 = 7 * DAY;
/// The hour of Monday (UTC) at which the digest comes.
const HOUR: u64 = 9;
/// The reasons that are told.
const MOST_REASONS: usize = 3;

/// The newest Monday, nine o'clock (UTC), that is not after this moment of the machine's clock.
pub(super) fn newest_monday(now: Timestamp) -> Timestamp {
    let days = now.0.saturating_sub(HOUR * 3_600) / DAY;
    // The Unix epoch was a Thursday.
    let monday = days.saturating_sub((days + 3) % 7);
    Timestamp(monday * DAY + HOUR * 3_600)
}

/// The numbers of these role changes, of which each was made. `at_risk`: renewals that look unlikely.
pub(super) fn digest(made: &[JournalEntry], at_risk: Option<usize>) -> Digest {
    let mut new: BTreeSet<UserId> = BTreeSet::new();
    let mut lost: BTreeMap<UserId, &'static str> = BTreeMap::new();
    for JournalEntry { change, .. } in made {
        match (change.action, &change.cause) {
            (RoleAction::Grant, Cause::Paid { .. } | Cause::Resumed { .. }) => {
                new.insert(change.user);
            }
            (RoleAction::Grant, _) => {}
            (RoleAction::Revoke, cause) => {
                if let Some(reason) = loss(cause) {
                    lost.entry(change.user).or_insert(reason);
                }
            }
        }
    }
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for reason in lost.values() {
        *reasons.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    reasons.truncate(MOST_REASONS);
    Digest {
        new: new.len(),
        lapsed: lost.len(),
        reasons,
        at_risk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GuildId, Outcome, RoleChange, RoleId};

    #[test]
    fn the_week_begins_on_monday_at_nine() {
        // 2026-01-05T09:00:00Z, a Monday.
        let monday = Timestamp(1_767_603_600);
        assert_eq!(newest_monday(monday), monday);
        assert_eq!(newest_monday(monday.plus(WEEK - 1)), monday);
        assert_eq!(newest_monday(monday.plus(WEEK)), monday.plus(WEEK));
        let before = newest_monday(Timestamp(monday.0 - 1));
        assert_eq!(before.plus(WEEK), monday);
    }

    #[test]
    fn members_are_counted_once_and_what_was_no_loss_of_a_subscription_is_not() {
        let entry = |user: u64, cause: Cause| JournalEntry {
            at: Timestamp(5),
            block: 1,
            change: RoleChange {
                action: RoleAction::Revoke,
                guild: GuildId(1),
                user: UserId(user),
                role: RoleId(1),
                cause,
            },
            outcome: Outcome::Done,
        };
        let made = [
            entry(1, Cause::NoSubscription),
            entry(1, Cause::NoSubscription),
            entry(2, Cause::NoSubscription),
            entry(3, Cause::Unlinked),
            entry(4, Cause::ManagerAct),
            entry(5, Cause::Forgotten),
        ];
        let week = digest(&made, Some(0));
        assert_eq!((week.new, week.lapsed), (0, 3));
        assert_eq!(
            week.reasons,
            [
                ("no subscription was found", 2),
                ("the wallet was unlinked", 1)
            ]
        );
    }
}
