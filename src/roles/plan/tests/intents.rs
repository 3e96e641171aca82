//! Changes that were decided and not acknowledged, became moot, or whose member has left.

use super::*;
use crate::domain::RoleChange;

fn change(action: RoleAction) -> RoleChange {
    RoleChange {
        action,
        guild: GUILD,
        user: ADA,
        role: ROLE,
        cause: Cause::NoSubscription,
    }
}

const ENDED: Access = Access::Until(Timestamp(1 + 3_600 + 600));

/// Ada, entitled or not, with a change of the role decided.
fn decided_before(entitled: bool, state: AppliedState) -> People {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(
        &mut people,
        4,
        paid(wallet(9), 1, if entitled { 9_000 } else { 1 }),
    );
    ours(&mut people, ROLE, state);
    people
}

#[test]
fn a_decided_change_stands_whatever_is_seen_until_it_is_acknowledged() {
    for held in [&[][..], &[ROLE]] {
        let mut people = decided_before(true, AppliedState::Granting);
        observe(&mut people, held);
        assert_eq!(planned(&people), Plan::default());
        let mut people = decided_before(false, AppliedState::Revoking);
        observe(&mut people, held);
        assert_eq!(planned(&people), Plan::default());
    }
}

#[test]
fn only_its_opposite_takes_the_place_of_a_decided_change() {
    for held in [&[][..], &[ROLE]] {
        let mut people = decided_before(false, AppliedState::Granting);
        observe(&mut people, held);
        assert_eq!(planned(&people), revokes(holding(&people, 4, ENDED)));
        for state in [AppliedState::Revoking, AppliedState::Claiming] {
            let mut people = decided_before(true, state);
            observe(&mut people, held);
            assert_eq!(planned(&people), grants(holding(&people, 4, UNTIL)));
        }
    }
}

#[test]
fn an_acknowledgement_of_an_older_change_leaves_the_newer_intent() {
    let mut people = decided_before(true, AppliedState::Granting);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Revoke);
    assert_eq!(
        planned(&people),
        Plan::default(),
        "the grant is still to come"
    );
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    assert_eq!(planned(&people), Plan::default());
    let mut people = decided_before(false, AppliedState::Revoking);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    assert_eq!(
        planned(&people),
        Plan::default(),
        "the removal is still to come"
    );
}

#[test]
fn a_role_of_ours_that_somebody_took_comes_back_and_is_forgotten_where_it_is_not_deserved() {
    let mut people = decided_before(true, AppliedState::Granted);
    observe(&mut people, &[]);
    assert_eq!(planned(&people), grants(holding(&people, 4, UNTIL)));
    let mut people = decided_before(false, AppliedState::Granted);
    observe(&mut people, &[]);
    assert_eq!(planned(&people), forgets());
}

/// Ada was given the role, and left.
fn departed() -> People {
    let mut people = decided_before(false, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    people.left(GUILD, ADA);
    people
}

#[test]
fn a_role_that_comes_back_with_a_member_who_lapsed_while_away_is_taken() {
    let mut people = departed();
    assert_eq!(planned(&people), Plan::default(), "ada may come back");
    observe(&mut people, &[ROLE]);
    assert_eq!(planned(&people), revokes(holding(&people, 4, ENDED)));
    observe(&mut people, &[]);
    assert_eq!(planned(&people), forgets());
}

#[test]
fn a_role_may_come_after_its_member_came_back_until_the_next_reading() {
    let back = || {
        let mut people = departed();
        people.see(GUILD, ADA, &[], true);
        assert_eq!(planned(&people), Plan::default(), "the rules come first");
        observe(&mut people, &[]);
        // Other news of the member, and another role of ours, say nothing of this one.
        observe(&mut people, &[RoleId(99)]);
        people.acknowledge((GUILD, ADA, RoleId(99)), RoleAction::Grant);
        assert_eq!(planned(&people).forgotten, []);
        people
    };
    let mut people = back();
    observe(&mut people, &[ROLE]);
    assert_eq!(planned(&people).changes.len(), 1);
    let mut people = back();
    people.read(GUILD, ADA, Some((&[ROLE], false)), people.news());
    assert_eq!(planned(&people).changes.len(), 1);
    let mut people = back();
    people.take_dirty(NOW);
    people.read(GUILD, ADA, Some((&[], false)), people.news());
    assert!(people.take_dirty(NOW).contains_key(&ADA));
    assert!(planned(&people).forgotten.contains(&(GUILD, ADA, ROLE)));
}

#[test]
fn of_one_who_is_not_there_only_what_was_given_is_remembered() {
    for (state, action, left) in [
        (AppliedState::Granting, RoleAction::Grant, None),
        (AppliedState::Claiming, RoleAction::Revoke, None),
        (
            AppliedState::Revoking,
            RoleAction::Revoke,
            Some(AppliedState::Granted),
        ),
    ] {
        let mut people = departed();
        ours(&mut people, ROLE, state);
        people.not_there(&change(action));
        let state = |people: &People| people.person(ADA).unwrap().seat(GUILD).unwrap().state(ROLE);
        assert_eq!(state(&people), left);
        assert_eq!(planned(&people), Plan::default());
    }
    // The answer to an older change says nothing about the newer one.
    let mut people = departed();
    ours(&mut people, ROLE, AppliedState::Granting);
    people.not_there(&change(RoleAction::Revoke));
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    let seat = people.person(ADA).unwrap().seat(GUILD).unwrap();
    assert_eq!(seat.state(ROLE), Some(AppliedState::Granted));
}

#[test]
fn who_was_seen_there_is_read_before_it_is_believed_that_they_are_not() {
    let state = |people: &People| people.seat_of(ADA, GUILD).unwrap().state(ROLE);
    let mut people = decided_before(true, AppliedState::Granting);
    observe(&mut people, &[]);
    people.take_unread();
    assert!(!people.not_there(&change(RoleAction::Grant)));
    assert_eq!(people.take_unread(), [(GUILD, ADA)]);
    assert_eq!(state(&people), Some(AppliedState::Granting));
    assert_eq!(planned(&people), Plan::default(), "it is sent again");
    people.read(GUILD, ADA, None, people.news());
    assert!(people.not_there(&change(RoleAction::Grant)));
    assert_eq!(state(&people), None);
    assert_eq!(planned(&people), Plan::default());
    // They are read once more, and are there.
    assert_eq!(people.take_unread(), [(GUILD, ADA)]);
    people.read(GUILD, ADA, Some((&[], false)), people.news());
    assert_eq!(planned(&people), grants(holding(&people, 4, UNTIL)));
}

#[test]
fn a_grant_that_is_acknowledged_after_its_member_left_leaves_nothing_to_take() {
    let mut people = departed();
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    let seat = people.person(ADA).unwrap().seat(GUILD).unwrap();
    assert!(seat.held.is_empty());
    assert_eq!(planned(&people), Plan::default());
}

#[test]
fn nothing_is_remembered_of_one_who_left_and_asked_to_be_forgotten() {
    let mut people = departed();
    people.set_wallets(ADA, Vec::new());
    people.set_forgotten(ADA, true);
    assert_eq!(planned(&people), forgets());
    let mut people = departed();
    people.set_forgotten(ADA, true);
    ours(&mut people, ROLE, AppliedState::Revoking);
    people.not_there(&change(RoleAction::Revoke));
    let seat = people.person(ADA).unwrap().seat(GUILD).unwrap();
    assert_eq!(seat.state(ROLE), None);
}

#[test]
fn a_claim_that_the_gates_do_not_make_any_more_is_forgotten() {
    let mut people = scene(under(ManualRoles::Claim), one_gate());
    ours(&mut people, ROLE, AppliedState::Claiming);
    observe(&mut people, &[ROLE]);
    assert_eq!(planned(&people), Plan::default());
    let mut people = scene(under(ManualRoles::Adopt), one_gate());
    ours(&mut people, ROLE, AppliedState::Claiming);
    observe(&mut people, &[ROLE]);
    assert_eq!(planned(&people), forgets());
}

#[test]
fn a_removal_is_dropped_while_the_module_of_a_newer_gate_is_read() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    observe(&mut people, &[ROLE]);
    people.set_complete(BTreeSet::new());
    for state in [AppliedState::Revoking, AppliedState::Claiming] {
        ours(&mut people, ROLE, state);
        let dropped = Plan {
            dropped: vec![(GUILD, ADA, ROLE)],
            ..Plan::default()
        };
        assert_eq!(planned(&people), dropped);
        people.drop_removal((GUILD, ADA, ROLE));
        assert_eq!(planned(&people), Plan::default());
    }
}

#[test]
fn who_has_no_wallet_loses_the_role_though_a_module_is_still_being_read() {
    let mut people = scene(Policy::default(), one_gate());
    observe(&mut people, &[ROLE]);
    ours(&mut people, ROLE, AppliedState::Granted);
    people.set_complete(BTreeSet::new());
    assert_eq!(planned(&people), Plan::default());
    people.set_forgotten(ADA, true);
    people.set_wallets(ADA, Vec::new());
    assert_eq!(planned(&people), revokes(Because::Other(Cause::Forgotten)));
}
