//! PURE. Which role changes a member is told of: those that just happened to the member. A new gate gives roles to thousands
//! who paid long ago, and a deleted one takes them; of that the managers tell their members in their own words.

use std::collections::BTreeSet;

use crate::domain::{Act, ActEntry, Cause, JournalEntry, Outcome, RoleAction, RoleId, Timestamp};

/// A payment or a link that is older than this, in seconds, did not just happen.
const RECENT: u64 = 3_600;
/// A change that is older than this, in seconds, is no news.
const STALE: u64 = 7 * 86_400;

/// What is known around a role change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around<'a> {
    /// The chain's time at the block of the payment; `None`: too long ago to be kept.
    pub(super) paid_at: Option<Timestamp>,
    /// The chain's time at the decision.
    pub(super) decided_at: Option<Timestamp>,
    /// When the member's newest wallet was linked (machine clock).
    pub(super) linked_at: Option<Timestamp>,
    /// What managers did in the server, newest first.
    pub(super) acts: &'a [ActEntry],
}

/// Whether the member is told of this change.
pub(super) fn is_told(entry: &JournalEntry, around: Around<'_>, now: Timestamp) -> bool {
    if entry.outcome != Outcome::Done || entry.at.plus(STALE) < now {
        return false;
    }
    match (entry.change.action, &entry.change.cause) {
        (RoleAction::Grant, Cause::Granted { .. }) => true,
        (RoleAction::Grant, Cause::Paid { .. } | Cause::Resumed { .. }) => {
            let paid = around.decided_at.zip(around.paid_at);
            let paid = paid.map(|(decided, paid)| decided.0.saturating_sub(paid.0));
            let age = |at: Timestamp| entry.at.0.saturating_sub(at.0);
            let linked = around.linked_at.map(age);
            let newest = paid.into_iter().chain(linked).min();
            let gate = gate_of(around.acts, entry.change.role, entry.at).map(age);
            newest.is_some_and(|newest| newest <= RECENT && gate.is_none_or(|gate| newest <= gate))
        }
        (RoleAction::Grant, _) => false,
        (RoleAction::Revoke, cause) => matches!(
            cause,
            Cause::ExpiredAt { .. }
                | Cause::PaymentFailed { .. }
                | Cause::Paused { .. }
                | Cause::Cancelled { .. }
                | Cause::Blocked { .. }
                | Cause::Reorganised { .. }
                | Cause::NoSubscription
                | Cause::Drift
                | Cause::GrantEnded { .. }
        ),
    }
}

/// Whether the change before, of the same member and role, was this one already: somebody else undid it, and it was made again,
/// maybe many times. `newest_first` is the member's journal.
pub(super) fn is_repeated(entry: &JournalEntry, newest_first: &[JournalEntry]) -> bool {
    let at = newest_first.iter().rposition(|other| other == entry);
    let older = newest_first.iter().skip(at.map_or(0, |at| at + 1));
    let mut before = older.filter(|other| {
        let (one, other_change) = (&entry.change, &other.change);
        other.outcome == Outcome::Done
            && (one.guild, one.role) == (other_change.guild, other_change.role)
    });
    before.next().is_some_and(|before| {
        before.change.action == entry.change.action && before.change.cause == entry.change.cause
    })
}

/// When a gate of this role was last made or changed before this moment.
fn gate_of(acts: &[ActEntry], role: RoleId, before: Timestamp) -> Option<Timestamp> {
    let changed = acts.iter().filter(|entry| entry.at <= before);
    let mut changed = changed.filter(|entry| match &entry.act {
        Act::Gate {
            after: Some(gate), ..
        } => gate.roles.contains(&role),
        _ => false,
    });
    changed.next().map(|entry| entry.at)
}

/// The changes from `first` on that go into one message: of the same member, in the same direction, one right after the other.
pub(super) fn together(entries: &[(u64, JournalEntry)]) -> (BTreeSet<RoleId>, usize) {
    let mut roles = BTreeSet::new();
    let Some((_, first)) = entries.first() else {
        return (roles, 0);
    };
    let first = &first.change;
    let of_first = entries.iter().take_while(|(_, entry)| {
        let change = &entry.change;
        let is_same = (change.user, change.action) == (first.user, first.action);
        is_same && entry.outcome == Outcome::Done && change.cause == first.cause
    });
    let mut count = 0;
    for (_, entry) in of_first {
        roles.insert(entry.change.role);
        count += 1;
    }
    (roles, count)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};

    use super::*;
    use crate::domain::{
        Gate, GateId, GateMatch, GateOrigin, GuildId, Mark, ModuleAddress, PlanId, Position,
        RoleChange, SubscriptionId, UserId,
    };

    const ROLE: RoleId = RoleId(9);
    const AT: Timestamp = Timestamp(1_000_000);

    fn paid() -> Cause {
        Cause::Paid {
            module: ModuleAddress(Address::ZERO),
            subscription: SubscriptionId::from(1),
            plan: PlanId::from(1),
            mark: Mark {
                position: Position {
                    block: 5,
                    log_index: 0,
                },
                transaction: B256::ZERO,
            },
            until: Timestamp(2_000_000),
        }
    }

    fn entry(action: RoleAction, cause: Cause) -> JournalEntry {
        JournalEntry {
            at: AT,
            block: 6,
            change: RoleChange {
                action,
                guild: GuildId(1),
                user: UserId(2),
                role: ROLE,
                cause,
            },
            outcome: Outcome::Done,
        }
    }

    /// A gate of the role that was made so many seconds before.
    fn gate_made(ago: u64) -> ActEntry {
        let gate = Gate {
            id: GateId(1),
            guild: GuildId(1),
            module: ModuleAddress(Address::ZERO),
            plans: [PlanId::from(1)].into(),
            matching: GateMatch::Any,
            roles: [ROLE].into(),
            origin: GateOrigin::Dashboard,
        };
        ActEntry {
            at: Timestamp(AT.0 - ago),
            guild: GuildId(1),
            by: None,
            act: Act::Gate {
                before: None,
                after: Some(gate),
                is_undo: false,
            },
        }
    }

    /// Whether a grant is told whose payment, link and gate were so many seconds before.
    fn told(paid_ago: Option<u64>, linked_ago: Option<u64>, gate_ago: Option<u64>) -> bool {
        // The chain's clock runs far ahead of the machine's.
        let chain = Timestamp(9_000_000);
        let acts: Vec<_> = gate_ago.map(gate_made).into_iter().collect();
        let around = Around {
            paid_at: paid_ago.map(|ago| Timestamp(chain.0 - ago)),
            decided_at: Some(chain),
            linked_at: linked_ago.map(|ago| Timestamp(AT.0 - ago)),
            acts: &acts,
        };
        is_told(&entry(RoleAction::Grant, paid()), around, AT)
    }

    #[test]
    fn who_paid_or_linked_just_now_is_told() {
        assert!(told(Some(10), Some(90_000), None));
        assert!(told(Some(90_000), Some(10), None));
        assert!(told(None, Some(10), Some(90_000)));
        assert!(!told(Some(90_000), Some(90_000), None));
        assert!(!told(None, None, None));
    }

    #[test]
    fn whom_a_new_gate_gives_a_role_is_not_told_unless_they_paid_after_it_was_made() {
        assert!(!told(Some(600), Some(90_000), Some(5)));
        assert!(told(Some(3), Some(90_000), Some(5)));
        // Of one second nobody knows which was first.
        assert!(told(Some(5), Some(90_000), Some(5)));
    }

    #[test]
    fn what_managers_or_the_member_did_is_not_told_and_the_end_of_a_subscription_is() {
        let is_told = |action, cause| is_told(&entry(action, cause), Around::default(), AT);
        for cause in [
            Cause::ManagerAct,
            Cause::GateRemoved,
            Cause::ManualRole,
            Cause::Unlinked,
            Cause::WalletMoved,
            Cause::Forgotten,
        ] {
            assert!(!is_told(RoleAction::Revoke, cause), "{cause:?}");
        }
        let (by, until) = (UserId(3), Timestamp(2_000_000));
        assert!(is_told(RoleAction::Grant, Cause::Granted { by, until }));
        assert!(is_told(
            RoleAction::Revoke,
            Cause::GrantEnded { by, at: until }
        ));
        assert!(is_told(RoleAction::Revoke, Cause::NoSubscription));
        let refused = JournalEntry {
            outcome: Outcome::Failed {
                code: 1,
                message: String::new(),
            },
            ..entry(RoleAction::Revoke, Cause::NoSubscription)
        };
        assert!(!super::is_told(&refused, Around::default(), AT));
        let old = entry(RoleAction::Revoke, Cause::NoSubscription);
        let later = AT.plus(STALE + 1);
        assert!(!super::is_told(&old, Around::default(), later));
    }

    #[test]
    fn a_role_that_is_given_again_because_somebody_took_it_is_no_news() {
        let first = entry(RoleAction::Grant, paid());
        let mut again = first.clone();
        again.at = AT.plus(5);
        let mut lost = entry(RoleAction::Revoke, Cause::NoSubscription);
        lost.at = AT.plus(3);
        let mut elsewhere = again.clone();
        elsewhere.change.role = RoleId(10);
        assert!(!is_repeated(&first, std::slice::from_ref(&first)));
        assert!(is_repeated(&again, &[again.clone(), first.clone()]));
        assert!(is_repeated(
            &again,
            &[again.clone(), elsewhere, first.clone()]
        ));
        assert!(!is_repeated(&again, &[again.clone(), lost, first]));
    }

    #[test]
    fn roles_of_one_payment_are_told_together() {
        let mut all = vec![
            (1, entry(RoleAction::Grant, paid())),
            (2, entry(RoleAction::Grant, paid())),
            (3, entry(RoleAction::Grant, paid())),
        ];
        all[1].1.change.role = RoleId(10);
        all[2].1.change.user = UserId(7);
        assert_eq!(together(&all), ([ROLE, RoleId(10)].into(), 2));
        assert_eq!(together(&all[2..]), ([ROLE].into(), 1));
        assert_eq!(together(&[]), ([].into(), 0));
    }
}
