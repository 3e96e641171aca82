//! Decisions as values, and the planner's laws as properties.

mod findings;
mod laws;
mod left;

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use rustc_hash::FxHashSet;

use super::{Because, Decision, Findings, plan};
use crate::domain::{
    Applied, AppliedState, Cause, Gate, GateId, GateMatch, GateOrigin, GuildId, ManualRoles, Mark,
    ModuleAddress, Plan, PlanId, Policy, Position, RoleAction, RoleId, Subscription,
    SubscriptionId, Timestamp, UserId, Wallet,
};
use crate::projection::{Access, Lapse};
use crate::roster::Roster;

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const GUILD: GuildId = GuildId(1);
const ADA: UserId = UserId(7);
const ROLE: RoleId = RoleId(100);
const NOW: Timestamp = Timestamp(10_000);
const TERMS: Plan = Plan {
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
fn scene(policy: Policy, gates: Vec<Gate>) -> Roster {
    let mut roster = Roster::new(policy);
    for id in 1..=3 {
        roster.set_plan(MODULE, plan_id(id), Some(TERMS));
    }
    roster.set_complete(BTreeSet::from([MODULE]));
    roster.set_gates(gates);
    roster.set_wallets(ADA, vec![wallet(9)]);
    observe(&mut roster, &[]);
    roster
}

fn observe(roster: &mut Roster, held: &[RoleId]) {
    let interest = roster.roles_of_interest(GUILD);
    let held = if held.is_empty() {
        Vec::new()
    } else {
        vec![(ADA, held.to_vec())]
    };
    roster.observe_guild(GUILD, interest, vec![ADA], held);
}

fn subscribe(roster: &mut Roster, id: u64, state: Subscription) {
    roster.set_subscription(MODULE, SubscriptionId::from(id), Some(&state));
}

fn ours(roster: &mut Roster, role: RoleId, state: AppliedState) {
    roster.set_applied(&Applied {
        guild: GUILD,
        user: ADA,
        role,
        state,
        cause: Cause::NoSubscription,
        block: 1,
    });
}

fn decided(roster: &Roster) -> Vec<Decision> {
    plan(roster, [ADA], NOW).0
}

fn decision(action: RoleAction, role: RoleId, because: Because) -> Decision {
    Decision {
        action,
        guild: GUILD,
        user: ADA,
        role,
        because,
    }
}

fn holding(id: u64, access: Access) -> Because {
    Because::Holding {
        wallet: wallet(9),
        module: MODULE,
        id: SubscriptionId::from(id),
        access,
    }
}

fn one_gate() -> Vec<Gate> {
    vec![gate(1, GateMatch::Any, &[1], &[ROLE])]
}

const UNTIL: Access = Access::Until(Timestamp(9_000 + 3_600 + 600));

#[test]
fn a_paid_subscription_grants_and_says_by_which() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    let expected = decision(RoleAction::Grant, ROLE, holding(4, UNTIL));
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn a_role_that_is_held_and_deserved_needs_nothing() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    observe(&mut roster, &[ROLE]);
    assert_eq!(decided(&roster), []);
}

#[test]
fn access_includes_its_last_second() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    let at = |now| plan(&roster, [ADA], Timestamp(now)).0;
    assert_eq!(at(13_200), []);
    let expected = decision(RoleAction::Revoke, ROLE, holding(4, UNTIL));
    assert_eq!(at(13_201), [expected]);
}

#[test]
fn a_lapse_revokes_what_we_gave_and_names_the_subscription() {
    let mut roster = scene(Policy::default(), one_gate());
    let state = Subscription {
        paused: Some(mark()),
        ..paid(wallet(9), 1, 9_000)
    };
    subscribe(&mut roster, 4, state);
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    let because = holding(4, Access::Shut(Lapse::Paused));
    let expected = decision(RoleAction::Revoke, ROLE, because);
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn what_is_still_open_is_never_the_reason_for_a_revoke() {
    let all = vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])];
    let mut roster = scene(Policy::default(), all);
    // The one that is paid later is open; the other has ended.
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut roster, 5, paid(wallet(9), 2, 5_000));
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    let ended = Access::Until(Timestamp(5_000 + 3_600 + 600));
    let expected = decision(RoleAction::Revoke, ROLE, holding(5, ended));
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn a_gate_that_asks_for_more_than_before_is_the_reason_itself() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    roster.set_gates(vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])]);
    let expected = decision(RoleAction::Revoke, ROLE, Because::NoGate);
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn a_role_given_by_hand_is_left_unless_gates_claim_theirs() {
    let mut roster = scene(Policy::default(), one_gate());
    observe(&mut roster, &[ROLE]);
    assert_eq!(decided(&roster), []);
    let claim = Policy {
        manual_roles: ManualRoles::Claim,
        ..Policy::default()
    };
    let mut roster = scene(claim, one_gate());
    observe(&mut roster, &[ROLE]);
    let expected = decision(RoleAction::Revoke, ROLE, Because::ByHand);
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn an_all_gate_needs_each_plan_whichever_wallet_pays() {
    let mut roster = scene(
        Policy::default(),
        vec![gate(1, GateMatch::All, &[1, 2], &[ROLE])],
    );
    roster.set_wallets(ADA, vec![wallet(9), wallet(8)]);
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(decided(&roster), []);
    subscribe(&mut roster, 5, paid(wallet(8), 2, 9_000));
    assert_eq!(decided(&roster).len(), 1);
}

#[test]
fn an_any_gate_names_the_subscription_that_lasts_longest() {
    let mut roster = scene(
        Policy::default(),
        vec![gate(1, GateMatch::Any, &[1, 2], &[ROLE])],
    );
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut roster, 5, paid(wallet(9), 2, 9_500));
    let until = Access::Until(Timestamp(9_500 + 4_200));
    let expected = decision(RoleAction::Grant, ROLE, holding(5, until));
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn two_gates_to_one_role_grant_it_once_and_either_keeps_it() {
    let gates = vec![
        gate(1, GateMatch::Any, &[1], &[ROLE]),
        gate(2, GateMatch::Any, &[2], &[ROLE]),
    ];
    let mut roster = scene(Policy::default(), gates);
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    subscribe(&mut roster, 5, paid(wallet(9), 2, 9_000));
    assert_eq!(decided(&roster).len(), 1);
    subscribe(&mut roster, 4, paid(wallet(9), 1, 1));
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    assert_eq!(decided(&roster), []);
}

#[test]
fn nothing_is_decided_about_what_is_not_known() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    roster.guild_gone(GUILD);
    assert_eq!(decided(&roster), [], "the server has not been read");
    observe(&mut roster, &[]);
    roster.member_left(GUILD, ADA);
    assert_eq!(decided(&roster), [], "ada is not there");
    observe(&mut roster, &[ROLE]);
    ours(&mut roster, ROLE, AppliedState::Granted);
    subscribe(&mut roster, 4, paid(wallet(9), 1, 1));
    roster.set_complete(BTreeSet::new());
    assert_eq!(decided(&roster), [], "the module is still being read");
    roster.set_complete(BTreeSet::from([MODULE]));
    assert_eq!(decided(&roster).len(), 1);
}

#[test]
fn a_role_of_a_gate_that_is_gone_is_taken_back() {
    let mut roster = scene(Policy::default(), one_gate());
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    roster.set_gates(Vec::new());
    let expected = decision(RoleAction::Revoke, ROLE, Because::NoGate);
    assert_eq!(decided(&roster), [expected]);
}

#[test]
fn nothing_is_decided_about_a_role_that_was_not_looked_at() {
    let later = RoleId(200);
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    observe(&mut roster, &[ROLE]);
    ours(&mut roster, later, AppliedState::Granting);
    roster.set_gates(vec![gate(1, GateMatch::Any, &[1], &[ROLE, later])]);
    let nothing = (vec![], Findings::default());
    assert_eq!(plan(&roster, [ADA], NOW), nothing);
    roster.set_gates(one_gate());
    assert_eq!(plan(&roster, [ADA], NOW), nothing);
    roster.set_gates(vec![gate(1, GateMatch::Any, &[1], &[ROLE, later])]);
    observe(&mut roster, &[ROLE]);
    assert_eq!(decided(&roster)[0].role, later);
}

#[test]
fn only_members_whose_evidence_changed_or_ended_are_looked_at() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(roster.take_dirty(NOW), FxHashSet::from_iter([ADA]));
    assert_eq!(roster.take_dirty(Timestamp(13_200)), FxHashSet::default());
    assert_eq!(
        roster.take_dirty(Timestamp(13_201)),
        FxHashSet::from_iter([ADA])
    );
    assert_eq!(roster.take_dirty(Timestamp(20_000)), FxHashSet::default());
}

#[test]
fn what_ended_already_ends_again_when_the_clock_goes_back() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(
        roster.take_dirty(Timestamp(13_201)),
        FxHashSet::from_iter([ADA])
    );
    assert_eq!(roster.take_dirty(Timestamp(13_200)), FxHashSet::default());
    assert_eq!(
        roster.take_dirty(Timestamp(13_201)),
        FxHashSet::from_iter([ADA])
    );
}
