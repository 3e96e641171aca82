//! Who is of interest, and what is newer than what.

mod flips;

use alloy::primitives::Address;

use super::*;
use crate::domain::{
    AppliedState, Gate, GateId, GateMatch, GateOrigin, PlanId, RoleAction, Subscription,
    SubscriptionId,
};

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const GUILD: GuildId = GuildId(1);
const ADA: UserId = UserId(7);
const ROLE: RoleId = RoleId(100);

fn wallet(byte: u8) -> Wallet {
    Wallet(Address::repeat_byte(byte))
}

/// So many servers, each with a gate to a module of its own.
fn people(policy: ManualRoles, servers: u64) -> People {
    let mut people = People::new(Policy {
        manual_roles: policy,
        ..Policy::default()
    });
    let gate = |id| Gate {
        id: GateId(id),
        guild: GuildId(id),
        module: ModuleAddress(Address::repeat_byte(id.try_into().unwrap())),
        plans: [PlanId::from(1)].into(),
        matching: GateMatch::Any,
        roles: [ROLE].into(),
        origin: GateOrigin::Config,
    };
    people.set_gates((1..=servers).map(gate).collect());
    people
}

fn seats(people: &People, user: UserId) -> BTreeSet<GuildId> {
    let seats = people
        .person(user)
        .into_iter()
        .flat_map(|person| &person.seats);
    seats.map(|seat| seat.guild).collect()
}

#[test]
fn strangers_are_of_no_interest() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.see(GUILD, ADA, &[ROLE], false);
    people.left(GUILD, ADA);
    people.read(GUILD, ADA, Some((&[ROLE], false)), 0);
    assert_eq!(people.everyone().count(), 0);
    assert_eq!(people.seated(GUILD).count(), 0);
}

#[test]
fn holders_of_claimed_roles_are_while_they_hold_them() {
    let mut people = people(ManualRoles::Claim, 1);
    people.see(GUILD, ADA, &[RoleId(1)], false);
    assert_eq!(people.everyone().count(), 0);
    people.see(GUILD, ADA, &[ROLE], false);
    assert_eq!(people.everyone().count(), 1);
    people.see(GUILD, ADA, &[], false);
    assert_eq!(people.everyone().count(), 0);
    assert_eq!(people.seated(GUILD).count(), 0);
}

#[test]
fn a_member_list_finds_those_again_to_whom_a_manager_gave_a_role() {
    use crate::domain::{Grant, GrantTerms};
    let mut people = people(ManualRoles::Claim, 1);
    let terms = GrantTerms {
        by: UserId(9),
        at: Timestamp(0),
        until: Timestamp(1_000),
        reason: String::new(),
    };
    let (guild, user, role) = (GUILD, ADA, ROLE);
    let given = Grant {
        guild,
        user,
        role,
        terms,
    };
    people.set_grants(ADA, &[given]);
    people.see(GUILD, ADA, &[], true);
    people.forget_claimed(GUILD);
    people.read(GUILD, ADA, Some((&[], false)), people.news());
    let presence = people.seat_of(ADA, GUILD).map(|seat| seat.presence);
    assert_eq!(presence, Some(Presence::Present));
}

#[test]
fn who_unlinks_is_of_interest_until_the_last_role_of_ours_is_gone() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.set_applied((GUILD, ADA, ROLE), Some(AppliedState::Revoking));
    people.set_wallets(ADA, Vec::new());
    assert_eq!(people.everyone().count(), 1);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Revoke);
    assert_eq!(people.everyone().count(), 0);
}

#[test]
fn a_member_is_looked_for_in_every_server_while_there_are_few_and_else_where_something_speaks_for_it()
 {
    let mut few = people(ManualRoles::Adopt, 3);
    few.set_wallets(ADA, vec![wallet(9)]);
    assert_eq!(seats(&few, ADA), (1..=3).map(GuildId).collect());
    let mut many = people(ManualRoles::Adopt, 50);
    many.set_wallets(ADA, vec![wallet(9)]);
    assert_eq!(seats(&many, ADA), BTreeSet::new());
    let subscription = Subscription {
        subscriber: Some((wallet(9), PlanId::from(1))),
        ..Subscription::default()
    };
    many.set_subscription(MODULE, SubscriptionId::from(1), Some(&subscription));
    many.set_seen_in(ADA, GuildId(5));
    many.see(GuildId(6), ADA, &[], false);
    many.set_applied((GuildId(7), ADA, ROLE), Some(AppliedState::Granted));
    assert_eq!(seats(&many, ADA), [1, 5, 6, 7].map(GuildId).into());
    let unread = many.take_unread();
    assert_eq!(unread.len(), 4, "each is to be read: {unread:?}");
    assert_eq!(many.take_sightings(), [(ADA, GuildId(6))]);
    assert!(many.concerns(ADA, GuildId(1)) && many.concerns(ADA, GuildId(7)));
    assert!(!many.concerns(ADA, GuildId(5)));
}

#[test]
fn what_was_seen_and_not_acted_on_yet_survives_that_the_picture_is_filled_again() {
    let mut people = people(ManualRoles::Adopt, 50);
    people.set_wallets(ADA, vec![wallet(9)]);
    let subscription = Subscription {
        subscriber: Some((wallet(9), PlanId::from(1))),
        ..Subscription::default()
    };
    people.set_subscription(MODULE, SubscriptionId::from(1), Some(&subscription));
    people.see(GuildId(6), ADA, &[], false);
    people.clear_stored();
    people.set_wallets(ADA, vec![wallet(9)]);
    let unread = people.take_unread();
    assert_eq!(unread, [(GuildId(1), ADA), (GuildId(6), ADA)]);
    assert_eq!(people.take_sightings(), [(ADA, GuildId(6))]);
}

#[test]
fn absent_is_who_linked_a_wallet_and_was_found_in_none_of_the_servers() {
    let mut people = people(ManualRoles::Adopt, 2);
    people.set_wallets(ADA, vec![wallet(9)]);
    assert_eq!(people.absent(), BTreeSet::new(), "nothing was read");
    people.read(GuildId(1), ADA, None, people.news());
    assert_eq!(people.absent(), BTreeSet::new(), "one server was not read");
    people.read(GuildId(2), ADA, None, people.news());
    assert_eq!(people.absent(), [ADA].into());
    people.see(GuildId(2), ADA, &[], false);
    assert_eq!(people.absent(), BTreeSet::new());
    people.left(GuildId(2), ADA);
    assert_eq!(people.absent(), [ADA].into());
    people.set_wallets(ADA, Vec::new());
    assert_eq!(people.absent(), BTreeSet::new());
}

#[test]
fn what_was_heard_after_the_asking_is_not_older_than_the_answer() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    let held = |people: &People| {
        people
            .person(ADA)
            .unwrap()
            .seat(GUILD)
            .unwrap()
            .held
            .to_vec()
    };
    let asked = people.news();
    people.read(GUILD, ADA, Some((&[ROLE], false)), asked);
    assert_eq!(held(&people), [ROLE]);
    let asked = people.news();
    people.see(GUILD, ADA, &[], false);
    people.read(GUILD, ADA, Some((&[ROLE], false)), asked);
    assert_eq!(held(&people), []);
    people.read(GUILD, ADA, Some((&[ROLE], false)), people.news());
    assert_eq!(held(&people), [ROLE]);
}

#[test]
fn a_grant_that_is_acknowledged_while_its_member_is_read_is_not_lost() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.set_applied((GUILD, ADA, ROLE), Some(AppliedState::Granting));
    let asked = people.news();
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    people.read(GUILD, ADA, Some((&[RoleId(5)], false)), asked);
    let seat = people.person(ADA).unwrap().seat(GUILD).unwrap();
    assert_eq!(seat.held.as_slice(), [RoleId(5), ROLE]);
    assert_eq!(seat.presence, Presence::Present);
}

#[test]
fn a_deleted_role_is_struck_from_its_server_alone() {
    let mut people = people(ManualRoles::Adopt, 2);
    people.set_wallets(ADA, vec![wallet(9)]);
    for guild in [1, 2] {
        people.see(GuildId(guild), ADA, &[ROLE], false);
    }
    people.strike_role(GUILD, ROLE);
    assert_eq!(people.holders(GUILD, ROLE), 0);
    assert_eq!(people.holders(GuildId(2), ROLE), 1);
}

#[test]
fn what_was_seen_outlives_a_reload() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    people.see(GUILD, ADA, &[ROLE], false);
    people.clear_stored();
    people.set_wallets(ADA, vec![wallet(9)]);
    people.tidy_everyone();
    assert_eq!(people.holders(GUILD, ROLE), 1);
    people.clear_stored();
    people.tidy_everyone();
    assert_eq!(people.everyone().count(), 0, "the link is gone");
}

#[test]
fn what_was_heard_while_a_change_was_under_way_and_does_not_show_it_is_read_again() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(1)]);
    people.see(GUILD, ADA, &[], false);
    people.take_unread();
    let granting = Some(AppliedState::Granting);
    people.set_applied((GUILD, ADA, ROLE), granting);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    assert!(people.take_unread().is_empty(), "nothing else was heard");
    people.see(GUILD, ADA, &[ROLE], false);
    people.set_applied((GUILD, ADA, ROLE), granting);
    people.see(GUILD, ADA, &[ROLE], false);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    assert!(people.take_unread().is_empty(), "the change was shown");
    // Taken by hand between the change and its acknowledgement, or seen before the change.
    people.set_applied((GUILD, ADA, ROLE), granting);
    people.see(GUILD, ADA, &[], false);
    people.acknowledge((GUILD, ADA, ROLE), RoleAction::Grant);
    assert_eq!(people.take_unread(), [(GUILD, ADA)]);
    people.read(GUILD, ADA, Some((&[], false)), people.news());
    assert!(
        people
            .person(ADA)
            .unwrap()
            .seat(GUILD)
            .unwrap()
            .held
            .is_empty()
    );
}

/// A subscription of the wallet that is paid until this moment, grace included.
fn paid_until(people: &mut People, wallet: Wallet, until: u64) {
    let terms = crate::domain::Plan {
        token: Address::ZERO,
        price: alloy::primitives::U256::ONE,
        interval: 100,
        grace_period: 0,
        active: true,
    };
    people.set_plans([((MODULE, PlanId::from(1)), Some(terms))]);
    let subscription = Subscription {
        subscriber: Some((wallet, PlanId::from(1))),
        last_paid_at: Some(Timestamp(until - 100)),
        ..Subscription::default()
    };
    people.set_subscription(MODULE, SubscriptionId::from(1), Some(&subscription));
}

fn with_leeway(people: &mut People, guild: GuildId, expiry_leeway: u64) {
    let rules = ServerRules {
        policy: Policy {
            expiry_leeway,
            ..Policy::default()
        },
        ..people.rules(guild).clone()
    };
    people.set_rules(guild, rules);
}

#[test]
fn who_lapses_is_looked_at_when_each_servers_own_leeway_is_over() {
    let mut people = people(ManualRoles::Adopt, 2);
    people.set_wallets(ADA, vec![wallet(9)]);
    paid_until(&mut people, wallet(9), 1_000);
    with_leeway(&mut people, GuildId(2), 50);
    people.take_dirty(Timestamp(900));
    let mut looked_at = |now| people.take_dirty(Timestamp(now)).contains_key(&ADA);
    let moments = [1_000, 1_001, 1_002, 1_050, 1_051, 1_052];
    assert_eq!(
        moments.map(&mut looked_at),
        [false, true, false, false, true, false]
    );
    // A longer one opens access again, and ends once more.
    with_leeway(&mut people, GUILD, 300);
    let mut looked_at = |now| people.take_dirty(Timestamp(now)).contains_key(&ADA);
    let moments = [1_052, 1_300, 1_301, 1_302];
    assert_eq!(moments.map(&mut looked_at), [true, false, true, false]);
}

#[test]
fn a_clock_that_went_back_ends_access_once_more() {
    let mut people = people(ManualRoles::Adopt, 1);
    people.set_wallets(ADA, vec![wallet(9)]);
    paid_until(&mut people, wallet(9), 1_000);
    people.take_dirty(Timestamp(1_001));
    people.take_dirty(Timestamp(990));
    assert!(people.take_dirty(Timestamp(1_000)).is_empty());
    assert!(people.take_dirty(Timestamp(1_001)).contains_key(&ADA));
}

#[test]
fn a_change_of_one_servers_gates_concerns_those_in_it_alone() {
    let mut people = people(ManualRoles::Adopt, 50);
    let grace = UserId(8);
    for (user, byte, guild) in [(ADA, 9, 1), (grace, 10, 2)] {
        people.set_wallets(user, vec![wallet(byte)]);
        people.see(GuildId(guild), user, &[], false);
    }
    drop(people.take_dirty(Timestamp(1)));
    people.set_rules(GUILD, ServerRules::default());
    assert_eq!(
        people.take_dirty(Timestamp(1)).keys().collect::<Vec<_>>(),
        [&ADA]
    );
    assert_eq!(people.gate_count(), 49);
    assert!(!people.modules().contains(&MODULE));
    assert_eq!(people.rules(GUILD).gates, []);
}

#[test]
fn a_new_gate_finds_its_linked_subscribers_also_among_many_servers() {
    let mut people = people(ManualRoles::Adopt, 50);
    people.set_wallets(ADA, vec![wallet(9)]);
    paid_until(&mut people, wallet(9), 1_000);
    assert_eq!(seats(&people, ADA), [GUILD].into());
    let new = GuildId(77);
    let gate = Gate {
        guild: new,
        ..people.rules(GUILD).gates[0].clone()
    };
    let rules = ServerRules {
        gates: vec![gate],
        ..ServerRules::default()
    };
    people.set_rules(new, rules);
    assert_eq!(seats(&people, ADA), [GUILD, new].into());
}

#[test]
fn a_change_of_one_server_among_two_hundred_looks_at_its_members_alone() {
    const SERVERS: u64 = 200;
    let mut people = people(ManualRoles::Adopt, SERVERS);
    for server in 1..=SERVERS {
        let member = UserId(1_000 + server);
        people.set_wallets(member, vec![wallet(server.try_into().unwrap())]);
        people.set_seen_in(member, GuildId(server));
    }
    assert_eq!(people.take_dirty(Timestamp(0)).len() as u64, SERVERS);
    let mut rules = people.rules(GuildId(5)).clone();
    rules.gates[0].plans = [PlanId::from(2)].into();
    people.set_rules(GuildId(5), rules);
    let dirty = people.take_dirty(Timestamp(0));
    assert_eq!(Vec::from_iter(dirty.into_keys()), [UserId(1_005)]);
}
