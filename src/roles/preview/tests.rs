//! A preview says what the planner would do, and leaves the picture as it was.

use alloy::primitives::{Address, B256, U256};

use super::*;
use crate::domain::{
    AppliedState, GateMatch, GateOrigin, Mark, ModuleAddress, Plan as Terms, PlanId, Policy,
    Position, Subscription, SubscriptionId, Wallet,
};

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const GUILD: GuildId = GuildId(1);
const GOLD: RoleId = RoleId(100);
const SILVER: RoleId = RoleId(200);
const NOW: Timestamp = Timestamp(1_000);

fn gate(id: u64, plan: u64, role: RoleId) -> Gate {
    Gate {
        id: GateId(id),
        guild: GUILD,
        module: MODULE,
        plans: [PlanId::from(plan)].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
        origin: GateOrigin::Dashboard,
    }
}

fn wallet(user: u64) -> Wallet {
    Wallet(Address::from_word(B256::from(U256::from(user))))
}

/// Users 1 to 4 are linked and in the server. 1 and 2 paid for plan 1, 3 for plan 2, 4 for nothing.
fn scene(manual_roles: ManualRoles, gates: Vec<Gate>) -> People {
    let mut people = People::new(Policy {
        manual_roles,
        ..Policy::default()
    });
    for plan in [1, 2] {
        let terms = Terms {
            token: Address::ZERO,
            price: U256::ONE,
            interval: 500,
            grace_period: 0,
            active: true,
        };
        people.set_plans([((MODULE, PlanId::from(plan)), Some(terms))]);
    }
    people.set_complete([MODULE].into());
    people.set_gates(gates);
    for (user, plan) in [(1, Some(1)), (2, Some(1)), (3, Some(2)), (4, None)] {
        people.set_wallets(UserId(user), vec![wallet(user)]);
        if let Some(plan) = plan {
            let mark = Mark {
                position: Position {
                    block: 1,
                    log_index: 0,
                },
                transaction: B256::ZERO,
            };
            let state = Subscription {
                subscriber: Some((wallet(user), PlanId::from(plan))),
                last_paid_at: Some(Timestamp(900)),
                paid: Some(mark),
                ..Subscription::default()
            };
            people.set_subscription(MODULE, SubscriptionId::from(user), Some(&state));
        }
        people.seat_subscribers(GUILD, MODULE);
        people.see(GUILD, UserId(user), &[], false);
        people.set_name(GUILD, UserId(user), &format!("user {user}"));
    }
    people
}

fn users(named: &[Named]) -> Vec<u64> {
    named.iter().map(|one| one.user.0).collect()
}

fn ahead(people: &mut People, gates: &[Gate], listed: Option<&[(u64, &[RoleId])]>) -> Preview {
    let before = people.rules(GUILD).clone();
    drop(people.take_dirty(NOW));
    drop(people.take_unread());
    let everyone: BTreeSet<_> = people.everyone().collect();
    let listed = listed.map(|listed| -> BTreeMap<_, _> {
        let listed = listed.iter();
        listed
            .map(|(user, roles)| (UserId(*user), roles.to_vec()))
            .collect()
    });
    let draft = gates.last().unwrap().id;
    let preview = look_ahead(people, GUILD, gates.to_vec(), draft, listed.as_ref(), NOW);
    assert_eq!(people.rules(GUILD), &before, "the gates are as before");
    assert_eq!(people.everyone().collect::<BTreeSet<_>>(), everyone);
    assert!(people.take_dirty(NOW).is_empty(), "nobody is looked at");
    assert!(people.take_unread().is_empty(), "nobody is to be read");
    preview
}

#[test]
fn a_new_gate_gives_its_role_to_those_who_pay() {
    let mut people = scene(ManualRoles::Adopt, vec![gate(1, 2, SILVER)]);
    let gates = [gate(1, 2, SILVER), gate(2, 1, GOLD)];
    let preview = ahead(&mut people, &gates, Some(&[]));
    assert_eq!(users(&preview.grants), [1, 2]);
    assert_eq!(preview.grants[0].name, "user 1");
    assert_eq!(preview.grants[0].role, GOLD);
    assert_eq!((preview.revokes, preview.held_already), (vec![], 0));
}

#[test]
fn another_plan_takes_the_role_from_some_and_gives_it_to_others() {
    let mut people = scene(ManualRoles::Adopt, vec![gate(1, 1, GOLD)]);
    for user in [1, 2] {
        people.see(GUILD, UserId(user), &[GOLD], false);
        people.set_applied((GUILD, UserId(user), GOLD), Some(AppliedState::Granted));
    }
    let preview = ahead(&mut people, &[gate(1, 2, GOLD)], None);
    assert_eq!(users(&preview.grants), [3]);
    assert_eq!(users(&preview.revokes), [1, 2]);
    let lapsed = Holders {
        lapsed: 2,
        ..Holders::default()
    };
    assert_eq!((preview.held_already, preview.holders), (2, lapsed));
}

#[test]
fn who_holds_the_role_already_is_told_by_what_they_pay() {
    let mut people = scene(ManualRoles::Adopt, vec![]);
    people.see(GUILD, UserId(1), &[GOLD], false);
    let listed: [(u64, &[RoleId]); 4] = [(1, &[GOLD]), (4, &[GOLD]), (8, &[GOLD]), (9, &[GOLD])];
    let preview = ahead(&mut people, &[gate(1, 1, GOLD)], Some(&listed));
    assert_eq!(users(&preview.grants), [2], "the first has it");
    assert_eq!(preview.revokes, [], "others keep it");
    let holders = Holders {
        paying: 1,
        lapsed: 1,
        not_linked: 2,
    };
    assert_eq!((preview.held_already, preview.holders), (4, holders));
}

#[test]
fn a_server_that_claims_its_roles_takes_them_from_those_who_are_not_linked() {
    let mut people = scene(ManualRoles::Claim, vec![]);
    let listed: [(u64, &[RoleId]); 2] = [(8, &[SILVER, GOLD]), (9, &[GOLD])];
    let preview = ahead(&mut people, &[gate(1, 1, GOLD)], Some(&listed));
    assert_eq!(users(&preview.grants), [1, 2]);
    assert_eq!(users(&preview.revokes), [8, 9]);
}

#[test]
fn what_is_planned_already_is_not_the_gates_doing() {
    let mut people = scene(ManualRoles::Adopt, vec![gate(1, 2, SILVER)]);
    // Somebody's silver role is to be taken, whatever becomes of gold.
    people.see(GUILD, UserId(4), &[SILVER], false);
    people.set_applied((GUILD, UserId(4), SILVER), Some(AppliedState::Granted));
    let gates = [gate(1, 2, SILVER), gate(2, 1, GOLD)];
    let preview = ahead(&mut people, &gates, None);
    assert_eq!(
        (users(&preview.grants), preview.revokes),
        (vec![1, 2], vec![])
    );
}
