//! Decisions as values, and the laws of plans as properties.

mod grants;
mod intents;
mod laws;
mod left;
mod servers;
mod vouched;

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use rustc_hash::FxHashMap;

use super::{Decision, Plan, plan};
use crate::domain::{
    AppliedState, Cause, Gate, GateId, GateMatch, GateOrigin, GuildId, ManualRoles, Mark,
    ModuleAddress, Plan as Terms, PlanId, Policy, Position, RoleAction, RoleId, Subscription,
    SubscriptionId, Timestamp, UserId, Wallet,
};
use crate::projection::{Access, Lapse};
use crate::roles::desired::{Because, Reason};
use crate::roles::people::People;

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const GUILD: GuildId = GuildId(1);
const ADA: UserId = UserId(7);
const ROLE: RoleId = RoleId(100);
const NOW: Timestamp = Timestamp(10_000);
const TERMS: Terms = Terms {
    token: Address::ZERO,
    price: U256::ZERO,
    interval: 3_600,
    grace_period: 600,
    active: true,
};

fn mark() -> Mark {
    Mark {
        position: Position {
            block: 1,
            log_index: 0,
        },
        transaction: Default::default(),
    }
}

fn wallet(byte: u8) -> Wallet {
    Wallet(Address::repeat_byte(byte))
}

fn plan_id(id: u64) -> PlanId {
    PlanId::from(id)
}

fn gate(id: u64, matching: GateMatch, plans: &[u64], roles: &[RoleId]) -> Gate {
    Gate {
        id: GateId(id),
        guild: GUILD,
        module: MODULE,
        plans: plans.iter().copied().map(plan_id).collect(),
        matching,
        roles: roles.iter().copied().collect(),
        origin: GateOrigin::Config,
    }
}

fn paid(wallet: Wallet, plan: u64, at: u64) -> Subscription {
    Subscription {
        subscriber: Some((wallet, plan_id(plan))),
        last_paid_at: Some(Timestamp(at)),
        paid: Some(mark()),
        ..Subscription::default()
    }
}

/// A server with ada, who has linked wallet 9, under these gates.
fn scene(policy: Policy, gates: Vec<Gate>) -> People {
    let mut people = unread(policy, gates);
    observe(&mut people, &[]);
    people
}

/// The same before ada was read.
fn unread(policy: Policy, gates: Vec<Gate>) -> People {
    let mut people = People::new(policy);
    for id in 1..=3 {
        people.set_plans([((MODULE, plan_id(id)), Some(TERMS))]);
    }
    people.set_complete(BTreeSet::from([MODULE]));
    people.set_gates(gates);
    people.set_wallets(ADA, vec![wallet(9)]);
    people
}

fn observe(people: &mut People, held: &[RoleId]) {
    people.see(GUILD, ADA, held, false);
}

fn subscribe(people: &mut People, id: u64, state: Subscription) {
    people.set_subscription(MODULE, SubscriptionId::from(id), Some(&state));
}

fn ours(people: &mut People, role: RoleId, state: AppliedState) {
    people.set_applied((GUILD, ADA, role), Some(state));
}

fn planned(people: &People) -> Plan {
    plan(people, [(ADA, false)], NOW)
}

fn decided(people: &People) -> Vec<Decision> {
    planned(people).changes
}

fn decision(action: RoleAction, role: RoleId, because: Because) -> Decision {
    Decision {
        action,
        guild: GUILD,
        user: ADA,
        role,
        cause: because,
    }
}

fn revokes(because: Because) -> Plan {
    Plan {
        changes: vec![decision(RoleAction::Revoke, ROLE, because)],
        ..Plan::default()
    }
}

fn grants(because: Because) -> Plan {
    Plan {
        changes: vec![decision(RoleAction::Grant, ROLE, because)],
        ..Plan::default()
    }
}

fn forgets() -> Plan {
    Plan {
        forgotten: vec![(GUILD, ADA, ROLE)],
        ..Plan::default()
    }
}

fn under(manual_roles: ManualRoles) -> Policy {
    Policy {
        manual_roles,
        ..Policy::default()
    }
}

/// By a subscription of the first wallet, as it stands in the picture.
fn holding(people: &People, id: u64, access: Access) -> Because {
    let mut held = people.holdings().of(wallet(9)).iter();
    let holding = held.find(|one| one.id == SubscriptionId::from(id));
    Because::Holding(Reason {
        wallet: wallet(9),
        holding: *holding.unwrap(),
        access,
    })
}

fn one_gate() -> Vec<Gate> {
    vec![gate(1, GateMatch::Any, &[1], &[ROLE])]
}

const UNTIL: Access = Access::Until(Timestamp(9_000 + 3_600 + 600));

#[test]
fn a_paid_subscription_grants_and_says_by_which() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    let expected = decision(RoleAction::Grant, ROLE, holding(&people, 4, UNTIL));
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn a_role_that_is_held_and_deserved_becomes_ours_without_a_change() {
    for (manual_roles, adopted) in [
        (ManualRoles::Adopt, true),
        (ManualRoles::Claim, true),
        (ManualRoles::Leave, false),
    ] {
        let mut people = scene(under(manual_roles), one_gate());
        subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
        observe(&mut people, &[ROLE]);
        let adoption = decision(RoleAction::Grant, ROLE, holding(&people, 4, UNTIL));
        let expected = Plan {
            adopted: adopted.then_some(adoption).into_iter().collect(),
            ..Plan::default()
        };
        assert_eq!(planned(&people), expected);
        ours(&mut people, ROLE, AppliedState::Granted);
        assert_eq!(planned(&people), Plan::default());
    }
}

#[test]
fn the_leeway_keeps_a_role_beyond_the_end_of_grace() {
    let policy = Policy {
        expiry_leeway: 60,
        ..Policy::default()
    };
    let mut people = scene(policy, one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    let at = |now| plan(&people, [(ADA, false)], Timestamp(now)).changes.len();
    assert_eq!((at(13_260), at(13_261)), (0, 1));
}

#[test]
fn access_includes_its_last_second() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    let at = |now| plan(&people, [(ADA, false)], Timestamp(now)).changes;
    assert_eq!(at(13_200), []);
    let expected = decision(RoleAction::Revoke, ROLE, holding(&people, 4, UNTIL));
    assert_eq!(at(13_201), [expected]);
}

#[test]
fn a_lapse_revokes_what_we_gave_and_names_the_subscription() {
    let mut people = scene(Policy::default(), one_gate());
    let state = Subscription {
        paused: Some(mark()),
        ..paid(wallet(9), 1, 9_000)
    };
    subscribe(&mut people, 4, state);
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    let because = holding(&people, 4, Access::Shut(Lapse::Paused));
    let expected = decision(RoleAction::Revoke, ROLE, because);
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn what_is_still_open_is_never_the_reason_for_a_revoke() {
    let all = vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])];
    let mut people = scene(Policy::default(), all);
    // The one that is paid later is open; the other has ended.
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut people, 5, paid(wallet(9), 2, 5_000));
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    let ended = Access::Until(Timestamp(5_000 + 3_600 + 600));
    let expected = decision(RoleAction::Revoke, ROLE, holding(&people, 5, ended));
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn a_gate_that_asks_for_more_than_before_is_the_reason_itself() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    people.set_gates(vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])]);
    let expected = decision(RoleAction::Revoke, ROLE, Because::Other(Cause::GateRemoved));
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn a_role_given_by_hand_is_left_unless_gates_claim_theirs() {
    let mut people = scene(Policy::default(), one_gate());
    observe(&mut people, &[ROLE]);
    assert_eq!(decided(&people), []);
    let claim = under(ManualRoles::Claim);
    let mut people = scene(claim, one_gate());
    observe(&mut people, &[ROLE]);
    let expected = decision(RoleAction::Revoke, ROLE, Because::Other(Cause::ManualRole));
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn an_all_gate_needs_each_plan_whichever_wallet_pays() {
    let mut people = scene(
        Policy::default(),
        vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])],
    );
    people.set_wallets(ADA, vec![wallet(9), wallet(8)]);
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(decided(&people), []);
    subscribe(&mut people, 5, paid(wallet(8), 2, 9_000));
    assert_eq!(decided(&people).len(), 1);
}

#[test]
fn an_any_gate_names_the_subscription_that_lasts_longest() {
    let mut people = scene(
        Policy::default(),
        vec![gate(1, GateMatch::Any, &[1, 2], &[ROLE])],
    );
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut people, 5, paid(wallet(9), 2, 9_500));
    let until = Access::Until(Timestamp(9_500 + 4_200));
    let expected = decision(RoleAction::Grant, ROLE, holding(&people, 5, until));
    assert_eq!(decided(&people), [expected]);
}

#[test]
fn two_gates_to_one_role_grant_it_once_and_either_keeps_it() {
    let gates = vec![
        gate(1, GateMatch::Any, &[1], &[ROLE]),
        gate(2, GateMatch::Any, &[2], &[ROLE]),
    ];
    let mut people = scene(Policy::default(), gates);
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut people, 5, paid(wallet(9), 2, 9_000));
    assert_eq!(decided(&people).len(), 1);
    subscribe(&mut people, 4, paid(wallet(9), 1, 1));
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    assert_eq!(decided(&people), []);
}

#[test]
fn nothing_is_decided_about_what_is_not_known() {
    let mut people = unread(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(decided(&people), [], "ada has not been read");
    people.left(GUILD, ADA);
    assert_eq!(decided(&people), [], "ada is not there");
    observe(&mut people, &[ROLE]);
    ours(&mut people, ROLE, AppliedState::Granted);
    subscribe(&mut people, 4, paid(wallet(9), 1, 1));
    people.set_complete(BTreeSet::new());
    assert_eq!(decided(&people), [], "the module is still being read");
    people.set_complete(BTreeSet::from([MODULE]));
    assert_eq!(decided(&people).len(), 1);
}

#[test]
fn who_paid_just_now_need_not_have_been_read() {
    let just_now = |people: &People| plan(people, [(ADA, true)], NOW).changes;
    let mut people = unread(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    let grant = decision(RoleAction::Grant, ROLE, holding(&people, 4, UNTIL));
    assert_eq!(just_now(&people), [grant]);
    // Nor one whose payment failed.
    ours(&mut people, ROLE, AppliedState::Granted);
    subscribe(&mut people, 4, paid(wallet(9), 1, 1));
    assert_eq!(just_now(&people)[0].action, RoleAction::Revoke);
    // A role that was given by hand is not to be taken for ours.
    let mut people = unread(under(ManualRoles::Leave), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(just_now(&people), []);
}

#[test]
fn who_has_not_accepted_the_servers_rules_gets_the_role_afterwards() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    people.see(GUILD, ADA, &[], true);
    assert_eq!(planned(&people), Plan::default());
    people.see(GUILD, ADA, &[], false);
    assert_eq!(planned(&people), grants(holding(&people, 4, UNTIL)));
}

#[test]
fn a_role_of_a_gate_that_is_gone_is_taken_back() {
    let mut people = scene(Policy::default(), one_gate());
    ours(&mut people, ROLE, AppliedState::Granted);
    observe(&mut people, &[ROLE]);
    people.set_gates(Vec::new());
    let expected = decision(RoleAction::Revoke, ROLE, Because::Other(Cause::GateRemoved));
    assert_eq!(decided(&people), [expected]);
}

fn of_ada(just_now: bool) -> FxHashMap<UserId, bool> {
    FxHashMap::from_iter([(ADA, just_now)])
}

#[test]
fn only_members_whose_evidence_changed_or_ended_are_looked_at() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(people.take_dirty(NOW), of_ada(true));
    assert_eq!(people.take_dirty(Timestamp(13_200)), FxHashMap::default());
    assert_eq!(people.take_dirty(Timestamp(13_201)), of_ada(false));
    assert_eq!(people.take_dirty(Timestamp(20_000)), FxHashMap::default());
}

#[test]
fn what_ended_already_ends_again_when_the_clock_goes_back() {
    let mut people = scene(Policy::default(), one_gate());
    subscribe(&mut people, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(people.take_dirty(Timestamp(13_201)), of_ada(true));
    assert_eq!(people.take_dirty(Timestamp(13_200)), FxHashMap::default());
    assert_eq!(people.take_dirty(Timestamp(13_201)), of_ada(false));
}
