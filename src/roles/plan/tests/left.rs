//! What a member did is the reason for a removal where it is one, and never where it is not.

use super::*;
use crate::domain::LinkEnd;

/// A role of ours that ada holds, and the subscriptions of wallets that left her (by byte: when it was paid).
fn because(
    gates: Vec<Gate>,
    own: Option<u64>,
    left: &[(u8, u64, Option<u64>, LinkEnd)],
    forgotten: bool,
) -> Because {
    let mut people = scene(Policy::default(), gates);
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    if let Some(at) = own {
        subscribe(&mut people, 9, paid(wallet(9), 1, at));
    }
    let mut ended = Vec::new();
    for (byte, plan, at, end) in left {
        if let Some(at) = at {
            subscribe(
                &mut people,
                u64::from(*byte),
                paid(wallet(*byte), *plan, *at),
            );
        }
        ended.push((wallet(*byte), *end));
    }
    people.set_ended_links(ADA, ended);
    people.set_forgotten(ADA, forgotten);
    let [decision] = decided(&people).try_into().unwrap();
    assert_eq!(decision.action, RoleAction::Revoke);
    decision.cause
}

#[test]
fn a_wallet_with_an_open_subscription_that_left_is_the_reason() {
    for end in [LinkEnd::Unlinked, LinkEnd::Moved] {
        let left = [(4, 1, None, LinkEnd::Unlinked), (5, 1, Some(9_000), end)];
        assert_eq!(
            because(one_gate(), None, &left, false),
            Because::Other(end.into())
        );
        // Another one of hers ended long before.
        assert_eq!(
            because(one_gate(), Some(1), &left, false),
            Because::Other(end.into())
        );
    }
}

#[test]
fn a_subscription_that_ended_is_the_reason_where_the_wallet_that_left_would_not_help() {
    let left = [(5, 1, Some(2), LinkEnd::Unlinked)];
    let Because::Holding(reason) = because(one_gate(), Some(1), &left, false) else {
        panic!("the subscription of the wallet that stayed ended");
    };
    let ended = Access::Until(Timestamp(1 + 4_200));
    assert_eq!((reason.wallet, reason.access), (wallet(9), ended));
    let unlinked = Because::Other(Cause::Unlinked);
    assert_eq!(because(one_gate(), None, &left, false), unlinked);
}

#[test]
fn a_wallet_that_left_is_no_reason_where_the_gate_asks_for_something_else() {
    let left = [(5, 2, Some(9_000), LinkEnd::Unlinked)];
    let nothing = Because::NoHolding { linked: true };
    assert_eq!(because(one_gate(), None, &left, false), nothing);
    assert_eq!(
        because(vec![], None, &left, false),
        Because::Other(Cause::GateRemoved)
    );
}

#[test]
fn one_of_several_wallets_that_a_gate_needs_together_is_a_reason() {
    let both = vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])];
    let left = [(5, 2, Some(9_000), LinkEnd::Moved)];
    let moved = Because::Other(Cause::WalletMoved);
    assert_eq!(because(both, Some(9_000), &left, false), moved);
}

#[test]
fn a_wallet_that_left_before_the_role_was_lost_is_no_reason_to_lose_it_again() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 5, paid(wallet(5), 1, 9_000));
    people.set_ended_links(ADA, vec![(wallet(5), LinkEnd::Unlinked)]);
    let held_and_given = |people: &mut People| {
        ours(people, ROLE, AppliedState::Granted);
        observe(people, &[ROLE]);
    };
    held_and_given(&mut people);
    let unlinked = Because::Other(Cause::Unlinked);
    assert_eq!(planned(&people), revokes(unlinked));
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Revoke);
    // Another wallet of hers paid since, for a while.
    subscribe(&mut people, 9, paid(wallet(9), 1, 1));
    held_and_given(&mut people);
    let expired = holding(&people, 9, Access::Until(Timestamp(1 + 4_200)));
    assert_eq!(planned(&people), revokes(expired));
}

#[test]
fn being_forgotten_is_the_reason_before_everything_else() {
    for gates in [one_gate(), vec![]] {
        assert_eq!(
            because(gates, None, &[], true),
            Because::Other(Cause::Forgotten)
        );
    }
}
