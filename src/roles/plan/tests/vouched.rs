//! While the chain cannot be followed: what the word of amser's API gives, and what it does not.

use super::*;
use crate::domain::ActiveQuestion;
use crate::roles::people::Sources;

const VOUCHED: Because = Because::Other(Cause::ApiSays {
    module: MODULE,
    plan: PlanId(U256::from_limbs([1, 0, 0, 0])),
});

fn any() -> Vec<Gate> {
    vec![gate(1, GateMatch::Any, &[1], &[ROLE])]
}

fn vouch(people: &mut People, plan: u64) {
    let question = ActiveQuestion {
        module: MODULE,
        wallet: wallet(9),
        plan: plan_id(plan),
    };
    people.set_vouched(question, true);
}

fn grants(people: &People) -> Vec<Because> {
    let decided = decided(people).into_iter();
    let grants = decided.filter(|one| one.action == RoleAction::Grant);
    grants.map(|one| one.cause).collect()
}

#[test]
fn the_apis_word_grants_while_it_counts_and_is_forgotten_when_it_does_not() {
    let mut people = scene(Policy::default(), any());
    people.set_sources(Sources::Both);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), [VOUCHED]);
    people.set_sources(Sources::Events);
    assert_eq!(grants(&people), []);
    people.set_sources(Sources::Both);
    assert_eq!(grants(&people), []);
}

#[test]
fn a_lapsed_subscription_that_the_api_calls_active_was_renewed_meanwhile() {
    let mut people = scene(Policy::default(), any());
    subscribe(&mut people, 1, paid(wallet(9), 1, 1));
    people.set_sources(Sources::Both);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), [VOUCHED]);
}

#[test]
fn what_the_events_shut_by_policy_stays_shut_and_a_policy_that_keeps_it_open_keeps_it_open() {
    let failed = Subscription {
        failed: Some((mark(), crate::domain::FailureReason(8))),
        ..paid(wallet(9), 1, 1)
    };
    let mut people = scene(Policy::default(), any());
    subscribe(&mut people, 1, failed);
    people.set_sources(Sources::Both);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), []);
    let keeps = Policy {
        payment_failed: crate::domain::OnLapse::KeepUntilExpiry,
        ..Policy::default()
    };
    let mut people = scene(keeps, any());
    subscribe(&mut people, 1, failed);
    people.set_sources(Sources::Both);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), [VOUCHED]);
}

#[test]
fn events_give_the_better_receipt_unless_they_are_old() {
    let mut people = scene(Policy::default(), any());
    subscribe(&mut people, 1, paid(wallet(9), 1, NOW.0));
    people.set_sources(Sources::Both);
    vouch(&mut people, 1);
    assert!(matches!(grants(&people)[..], [Because::Holding(_)]));
    people.set_sources(Sources::Api);
    assert_eq!(grants(&people), [VOUCHED]);
    people.set_vouched(
        ActiveQuestion {
            module: MODULE,
            wallet: wallet(9),
            plan: plan_id(1),
        },
        false,
    );
    assert_eq!(grants(&people), []);
}

#[test]
fn a_gate_that_needs_all_plans_may_stand_on_both_sources() {
    let both = vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])];
    let mut people = scene(Policy::default(), both);
    subscribe(&mut people, 1, paid(wallet(9), 2, NOW.0));
    people.set_sources(Sources::Both);
    assert_eq!(grants(&people), []);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), [VOUCHED]);
}

#[test]
fn a_module_that_was_never_read_completely_gives_nothing_on_any_word() {
    let mut people = scene(Policy::default(), any());
    people.set_complete(BTreeSet::new());
    people.set_sources(Sources::Api);
    vouch(&mut people, 1);
    assert_eq!(grants(&people), []);
}
