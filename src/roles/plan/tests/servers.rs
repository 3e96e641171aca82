//! Each server's own policy, and what its managers ordered.

use super::*;
use crate::domain::OnLapse;
use crate::roles::people::ServerRules;

const OTHER: GuildId = GuildId(2);

fn with(people: &mut People, guild: GuildId, change: impl FnOnce(&mut ServerRules)) {
    let mut rules = people.rules(guild).clone();
    change(&mut rules);
    people.set_rules(guild, rules);
}

#[test]
fn a_failed_payment_takes_the_role_only_where_the_server_says_so() {
    let mut gates = one_gate();
    gates.push(Gate {
        guild: OTHER,
        ..gates[0].clone()
    });
    let mut people = scene(Policy::default(), gates);
    people.see(OTHER, ADA, &[], false);
    with(&mut people, OTHER, |rules| {
        rules.policy.payment_failed = OnLapse::KeepUntilExpiry;
    });
    let failed = Subscription {
        failed: Some((mark(), crate::domain::FailureReason(8))),
        ..paid(wallet(9), 1, 9_000)
    };
    subscribe(&mut people, 9, failed);
    let granted: Vec<_> = decided(&people).iter().map(|one| one.guild).collect();
    assert_eq!(granted, [OTHER]);
}

#[test]
fn a_leeway_keeps_a_role_in_its_own_server_alone() {
    let mut gates = one_gate();
    gates.push(Gate {
        guild: OTHER,
        ..gates[0].clone()
    });
    let mut people = scene(Policy::default(), gates);
    for guild in [GUILD, OTHER] {
        people.see(guild, ADA, &[ROLE], false);
        people.set_applied((guild, ADA, ROLE), Some(AppliedState::Granted));
    }
    with(&mut people, OTHER, |rules| {
        rules.policy.expiry_leeway = 5_000
    });
    // The grace of 4,200 seconds is over since 800.
    subscribe(&mut people, 9, paid(wallet(9), 1, 5_000));
    let revoked: Vec<_> = decided(&people)
        .iter()
        .map(|one| (one.action, one.guild))
        .collect();
    assert_eq!(revoked, [(RoleAction::Revoke, GUILD)]);
}

#[test]
fn roles_given_by_hand_are_claimed_in_the_server_that_says_so_alone() {
    let mut people = scene(Policy::default(), one_gate());
    observe(&mut people, &[ROLE]);
    assert_eq!(decided(&people), []);
    with(&mut people, GUILD, |rules| {
        rules.policy.manual_roles = ManualRoles::Claim;
    });
    let [decision] = decided(&people).try_into().unwrap();
    assert_eq!(decision.cause, Because::Other(Cause::ManualRole));
}

/// Ada pays for plan 2 and holds the role as ours, under these gates and after those that a manager ended.
fn ordered(gates: Vec<Gate>, ended: Vec<Gate>) -> Vec<Because> {
    let mut people = scene(Policy::default(), gates);
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    subscribe(&mut people, 9, paid(wallet(9), 2, 9_000));
    with(&mut people, GUILD, |rules| {
        rules.ended = ended.into_iter().map(|gate| (ROLE, gate)).collect();
    });
    let decided = decided(&people);
    assert!(decided.iter().all(|one| one.action == RoleAction::Revoke));
    decided.iter().map(|one| one.cause).collect()
}

#[test]
fn a_manager_who_deletes_the_gate_orders_the_removals() {
    let gate = |plan| gate(1, GateMatch::Any, &[plan], &[ROLE]);
    assert_eq!(
        ordered(vec![], vec![gate(2)]),
        [Because::Other(Cause::ManagerAct)]
    );
    assert_eq!(
        ordered(vec![], vec![]),
        [Because::Other(Cause::GateRemoved)]
    );
}

#[test]
fn an_undo_orders_the_removals_of_those_whom_the_change_had_entitled() {
    let gate = |plan| gate(1, GateMatch::Any, &[plan], &[ROLE]);
    assert_eq!(
        ordered(vec![gate(1)], vec![gate(2)]),
        [Because::Other(Cause::ManagerAct)]
    );
    let other = Because::NoHolding { linked: true };
    assert_eq!(ordered(vec![gate(1)], vec![gate(3)]), [other]);
    assert_eq!(ordered(vec![gate(2)], vec![gate(2)]), [], "she is entitled");
}
