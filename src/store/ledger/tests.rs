//! Intents and what became of them.

use alloy::primitives::Address;

use super::*;
use crate::domain::{Cause, ModuleAddress, RoleAction, SubscriptionId};

fn change(action: RoleAction) -> RoleChange {
    RoleChange {
        action,
        guild: GuildId(1),
        user: UserId(2),
        role: RoleId(3),
        cause: Cause::ExpiredAt {
            module: ModuleAddress(Address::repeat_byte(1)),
            subscription: SubscriptionId::from(1),
            at: Timestamp(5),
        },
    }
}

fn intend(store: &Store, action: RoleAction, block: u64) {
    let intent = Intent {
        change: change(action),
        block,
        just_now: false,
    };
    store.intend(&[intent]).unwrap();
}

fn settled(store: &Store, action: RoleAction, outcome: Outcome) {
    let entry = JournalEntry {
        at: Timestamp(9),
        block: 7,
        change: change(action),
        outcome,
    };
    store.settle(&[entry]).unwrap();
}

fn state(store: &Store) -> Option<(AppliedState, u64)> {
    let applied = store.applied(GuildId(1), UserId(2), RoleId(3)).unwrap();
    applied.map(|applied| (applied.state, applied.block))
}

#[test]
fn an_intent_is_settled_by_what_became_of_it() {
    let store = Store::in_memory().unwrap();
    intend(&store, RoleAction::Grant, 7);
    assert_eq!(state(&store), Some((AppliedState::Granting, 7)));
    let refused = Outcome::Failed {
        code: 50013,
        message: String::new(),
    };
    settled(&store, RoleAction::Grant, refused);
    assert_eq!(state(&store), Some((AppliedState::Granting, 7)));
    settled(&store, RoleAction::Grant, Outcome::Done);
    assert_eq!(state(&store), Some((AppliedState::Granted, 7)));
    intend(&store, RoleAction::Revoke, 8);
    assert_eq!(state(&store), Some((AppliedState::Revoking, 8)));
    settled(&store, RoleAction::Revoke, Outcome::Done);
    assert_eq!(state(&store), None);
    assert_eq!(store.journal(9).unwrap().len(), 3);
}

#[test]
fn a_grant_that_is_not_ours_is_journaled_and_leaves_no_row() {
    let store = Store::in_memory().unwrap();
    let change = change(RoleAction::Grant);
    let of = change.member_role();
    let entry = JournalEntry {
        at: Timestamp(9),
        block: 7,
        change,
        outcome: Outcome::Done,
    };
    store.settle_and_disown(&[entry], &[of]).unwrap();
    assert_eq!((state(&store), store.journal(9).unwrap().len()), (None, 1));
}

#[test]
fn a_revoke_that_was_overtaken_leaves_the_newer_intent() {
    let store = Store::in_memory().unwrap();
    intend(&store, RoleAction::Revoke, 7);
    intend(&store, RoleAction::Grant, 8);
    settled(&store, RoleAction::Revoke, Outcome::Done);
    assert_eq!(state(&store), Some((AppliedState::Granting, 8)));
}

#[test]
fn an_adopted_role_counts_as_given_and_nothing_was_changed() {
    let store = Store::in_memory().unwrap();
    store.adopt(&[change(RoleAction::Grant)], 8).unwrap();
    assert_eq!(state(&store), Some((AppliedState::Granted, 8)));
    assert_eq!(store.journal(9).unwrap(), []);
}

#[test]
fn of_one_who_is_not_there_only_what_was_given_is_remembered() {
    let store = Store::in_memory().unwrap();
    let of = change(RoleAction::Grant).member_role();
    let not_there = |action| store.settle_not_there(&[(of, action)]).unwrap();
    intend(&store, RoleAction::Grant, 7);
    not_there(RoleAction::Revoke);
    assert_eq!(
        state(&store),
        Some((AppliedState::Granting, 7)),
        "another change's answer"
    );
    not_there(RoleAction::Grant);
    assert_eq!(state(&store), None);
    intend(&store, RoleAction::Revoke, 8);
    not_there(RoleAction::Revoke);
    assert_eq!(state(&store), Some((AppliedState::Granted, 8)));
    intend(&store, RoleAction::Revoke, 9);
    store.forget_member(UserId(2)).unwrap();
    not_there(RoleAction::Revoke);
    assert_eq!(state(&store), None);
    assert!(!store.is_forgotten(UserId(2)).unwrap());
    assert_eq!(store.journal(9).unwrap(), [], "nothing was changed");
}

#[test]
fn of_a_forgotten_member_nothing_is_journaled_and_in_the_end_nothing_is_left() {
    let store = Store::in_memory().unwrap();
    intend(&store, RoleAction::Grant, 7);
    settled(&store, RoleAction::Grant, Outcome::Done);
    store.forget_member(UserId(2)).unwrap();
    assert_eq!(store.journal(9).unwrap(), []);
    intend(&store, RoleAction::Revoke, 8);
    settled(&store, RoleAction::Revoke, Outcome::Done);
    assert_eq!(store.journal(9).unwrap(), []);
    // The request is forgotten with the last role: what happens from now on is journaled again.
    intend(&store, RoleAction::Grant, 9);
    settled(&store, RoleAction::Grant, Outcome::Done);
    assert_eq!(store.journal(9).unwrap().len(), 1);
}

#[test]
fn what_the_brake_needs_is_there_after_a_restart() {
    let store = Store::in_memory().unwrap();
    assert_eq!(store.stopped().unwrap(), BTreeMap::new());
    let stopped = BTreeMap::from([((GuildId(1), RoleId(3)), Timestamp(5))]);
    store.set_stopped(&stopped).unwrap();
    assert_eq!(store.stopped().unwrap(), stopped);
    store.set_stopped(&BTreeMap::new()).unwrap();
    assert_eq!(store.stopped().unwrap(), BTreeMap::new());
    settled(&store, RoleAction::Revoke, Outcome::Done);
    assert_eq!(store.made_since(Timestamp(9)).unwrap().len(), 1);
    assert_eq!(store.made_since(Timestamp(10)).unwrap(), []);
}
