//! Roles that a manager gave for a time.

use super::*;
use crate::domain::{Grant, GrantTerms};

const MANAGER: UserId = UserId(8);
/// By the machine's clock, which is not the chain's.
const END: Timestamp = Timestamp(50);

fn given(role: RoleId) -> Grant {
    let reason = "thanks".to_owned();
    let (by, at, until) = (MANAGER, Timestamp(1), END);
    Grant {
        guild: GUILD,
        user: ADA,
        role,
        terms: GrantTerms {
            by,
            at,
            until,
            reason,
        },
    }
}

fn is_given() -> Because {
    Because::Other(Cause::Granted {
        by: MANAGER,
        until: END,
    })
}

fn has_ended() -> Because {
    Because::Other(Cause::GrantEnded {
        by: MANAGER,
        at: END,
    })
}

/// Ada holds the role that a manager gave her.
fn holder(gates: Vec<Gate>) -> People {
    let mut people = scene(Policy::default(), gates);
    people.set_grants(ADA, &[given(ROLE)]);
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    people
}

#[test]
fn a_role_is_given_for_a_time_with_a_gate_or_without_and_to_whom_pays_nothing() {
    for gates in [one_gate(), Vec::new()] {
        let mut people = People::new(Policy::default());
        people.set_gates(gates);
        people.set_grants(ADA, &[given(ROLE)]);
        observe(&mut people, &[]);
        assert_eq!(planned(&people), grants(is_given()));
        assert_eq!(people.guilds(), [GUILD].into());
        assert_eq!(people.roles_of(GUILD), [ROLE].into());
        ours(&mut people, ROLE, AppliedState::Granted);
        observe(&mut people, &[ROLE]);
        assert_eq!(planned(&people), Plan::default());
        // Somebody takes it by hand.
        observe(&mut people, &[]);
        assert_eq!(planned(&people), grants(is_given()));
    }
}

#[test]
fn the_role_goes_when_the_time_is_over_and_not_a_second_before() {
    for gates in [one_gate(), Vec::new()] {
        let mut people = holder(gates);
        people.end_grants(Timestamp(END.0 - 1));
        assert_eq!(planned(&people), Plan::default());
        people.end_grants(END);
        assert_eq!(planned(&people), revokes(has_ended()));
        assert!(people.take_dirty(NOW).contains_key(&ADA));
        // The end is forgotten when the removal is decided, and the member with it when that is made.
        ours(&mut people, ROLE, AppliedState::Revoking);
        assert_eq!(planned(&people).over, [(GUILD, ADA, ROLE)]);
        people.drop_grant((GUILD, ADA, ROLE));
        assert_eq!(planned(&people), Plan::default());
    }
}

#[test]
fn a_role_that_a_subscription_gives_too_stays_and_goes_with_the_subscription() {
    let mut people = holder(one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(planned(&people), Plan::default());
    people.end_grants(END);
    let expected = Plan {
        adopted: vec![decision(
            RoleAction::Grant,
            ROLE,
            holding(&people, 4, UNTIL),
        )],
        over: vec![(GUILD, ADA, ROLE)],
        ..Plan::default()
    };
    assert_eq!(planned(&people), expected);
    people.drop_grant((GUILD, ADA, ROLE));
    assert_eq!(planned(&people), Plan::default());
    subscribe(&mut people, 4, paid(wallet(9), 1, 1));
    let expired = holding(&people, 4, Access::Until(Timestamp(1 + 4_200)));
    assert_eq!(planned(&people), revokes(expired));
}

#[test]
fn the_end_waits_while_it_is_not_known_who_subscribed() {
    let mut people = holder(one_gate());
    people.set_complete(BTreeSet::new());
    people.end_grants(END);
    assert_eq!(planned(&people), Plan::default());
    people.set_complete(BTreeSet::from([MODULE]));
    assert_eq!(planned(&people), revokes(has_ended()));
}

#[test]
fn a_grant_that_is_made_anew_goes_on_and_is_not_dropped_with_the_old_one() {
    let mut people = holder(one_gate());
    people.end_grants(END);
    let mut longer = given(ROLE);
    longer.terms.until = Timestamp(90);
    assert!(people.set_grants(ADA, &[longer.clone()]));
    assert!(!people.set_grants(ADA, &[longer]), "nothing new");
    people.drop_grant((GUILD, ADA, ROLE));
    assert_eq!(planned(&people), Plan::default());
    people.end_grants(Timestamp(90));
    assert_eq!(decided(&people).len(), 1);
}

#[test]
fn of_who_was_given_something_nothing_is_left_when_it_is_gone() {
    let mut people = People::new(Policy::default());
    people.set_grants(ADA, &[given(ROLE)]);
    people.end_grants(END);
    people.drop_grant((GUILD, ADA, ROLE));
    assert_eq!(people.everyone().count(), 0);
    assert_eq!(people.guilds(), BTreeSet::new());
}
