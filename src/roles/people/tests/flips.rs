//! What somebody else did to a role, told apart from what we did.

use super::*;

const OF: MemberRole = (GUILD, ADA, ROLE);

#[test]
fn what_is_heard_first_after_a_grant_is_not_taken_for_somebody_elses_removal() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.see(GUILD, ADA, &[], false);
    people.set_applied(OF, Some(AppliedState::Granting));
    people.acknowledge(OF, RoleAction::Grant);
    // Of our own removal before the grant: events come apart from answers.
    people.see(GUILD, ADA, &[], false);
    assert_eq!(people.take_flips(), []);
    people.see(GUILD, ADA, &[ROLE], false);
    people.see(GUILD, ADA, &[], false);
    let flip = (OF, RoleAction::Grant);
    assert_eq!(people.take_flips(), [flip]);
}

#[test]
fn a_role_that_is_given_and_taken_within_the_answer_is_a_flip_in_whatever_order_that_is_heard() {
    const FLIP: (MemberRole, RoleAction) = (OF, RoleAction::Grant);
    // The answer comes after so many of the two events.
    for heard_before in 0..=2 {
        let mut people = people(ManualRoles::Adopt, 1);
        people.set_wallets(ADA, vec![wallet(9)]);
        people.see(GUILD, ADA, &[], false);
        people.set_applied(OF, Some(AppliedState::Granting));
        for (number, roles) in [[ROLE].as_slice(), &[]].into_iter().enumerate() {
            if number == heard_before {
                people.acknowledge(OF, RoleAction::Grant);
            }
            people.see(GUILD, ADA, roles, false);
        }
        if heard_before == 2 {
            people.acknowledge(OF, RoleAction::Grant);
            // What was heard contradicts the answer, so the member is read.
            let asked = people.news();
            people.read(GUILD, ADA, Some((&[], false)), asked);
        }
        assert_eq!(people.take_flips(), [FLIP], "{heard_before}");
        assert_eq!(people.seat_of(ADA, GUILD).unwrap().held.as_slice(), []);
    }
}

#[test]
fn who_left_and_came_back_while_nothing_was_told_is_no_flip() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.set_applied(OF, Some(AppliedState::Granted));
    people.see(GUILD, ADA, &[ROLE], false);
    people.lose_sight(GUILD);
    people.read(GUILD, ADA, Some((&[], false)), people.news());
    assert_eq!(people.take_flips(), []);
    // Whose role is seen again then is watched again.
    people.see(GUILD, ADA, &[ROLE], false);
    people.see(GUILD, ADA, &[], false);
    assert_eq!(people.take_flips(), [(OF, RoleAction::Grant)]);
}

/// What happens to the role of a member in the test of our own removals.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Discord shows the member with the role, or without it.
    Heard(bool),
    Decided(AppliedState),
    Acknowledged(RoleAction),
}

#[test]
fn our_own_removal_is_no_flip_though_everything_is_read_from_the_store_again_before_it_is_heard() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.see(GUILD, ADA, &[ROLE], false);
    for state in [AppliedState::Revoking, AppliedState::Granting] {
        people.set_applied(OF, Some(state));
    }
    people.clear_stored();
    people.set_wallets(ADA, vec![wallet(9)]);
    people.set_applied(OF, Some(AppliedState::Granting));
    people.see(GUILD, ADA, &[], false);
    assert_eq!(people.take_flips(), []);
}

#[test]
fn our_own_removal_before_a_grant_is_no_flip_whenever_it_is_heard() {
    use AppliedState::{Granting, Revoking};
    use RoleAction::{Grant, Revoke};
    use Step::{Acknowledged, Decided, Heard};
    let stories = [
        // The grant is decided before the removal is answered.
        vec![
            Decided(Granting),
            Heard(false),
            Acknowledged(Revoke),
            Acknowledged(Grant),
            Heard(true),
        ],
        vec![
            Decided(Granting),
            Acknowledged(Revoke),
            Acknowledged(Grant),
            Heard(false),
            Heard(true),
        ],
        vec![
            Decided(Granting),
            Acknowledged(Revoke),
            Heard(true),
            Heard(false),
            Heard(true),
            Acknowledged(Grant),
        ],
        // Something older is heard first.
        vec![
            Decided(Granting),
            Heard(true),
            Heard(false),
            Acknowledged(Revoke),
            Heard(true),
            Acknowledged(Grant),
        ],
        // The removal is answered before the grant is decided, and heard after.
        vec![
            Acknowledged(Revoke),
            Decided(Granting),
            Heard(true),
            Heard(false),
            Heard(true),
            Acknowledged(Grant),
        ],
        vec![
            Acknowledged(Revoke),
            Decided(Granting),
            Acknowledged(Grant),
            Heard(true),
            Heard(false),
            Heard(true),
        ],
    ];
    for story in stories {
        let mut people = people(ManualRoles::Adopt, 1);
        people.set_wallets(ADA, vec![wallet(9)]);
        people.see(GUILD, ADA, &[ROLE], false);
        people.set_applied(OF, Some(AppliedState::Granted));
        people.set_applied(OF, Some(Revoking));
        for step in &story {
            match step {
                Heard(true) => people.see(GUILD, ADA, &[ROLE], false),
                Heard(false) => people.see(GUILD, ADA, &[], false),
                Decided(state) => people.set_applied(OF, Some(*state)),
                Acknowledged(action) => people.acknowledge(OF, *action),
            }
        }
        assert_eq!(people.take_flips(), [], "{story:?}");
        people.see(GUILD, ADA, &[], false);
        assert_eq!(people.take_flips(), [(OF, Grant)], "{story:?}");
    }
}
