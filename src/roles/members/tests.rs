//! Where members stand, whom a server's managers see, and page by page.

use alloy::primitives::{Address, B256, U256};

use super::*;
use crate::domain::{
    AppliedState, FailureReason, Gate, GateId, GateMatch, GateOrigin, Mark, ModuleAddress, OnLapse,
    Plan as Terms, PlanId, Policy, Position, Subscription, SubscriptionId,
};
use crate::roles::people::ServerRules;

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const GUILD: GuildId = GuildId(1);
const OTHER: GuildId = GuildId(2);
const GOLD: RoleId = RoleId(100);
const NOW: Timestamp = Timestamp(1_000);
const ADA: UserId = UserId(5);

fn gate(guild: GuildId, plan: u64) -> Gate {
    Gate {
        id: GateId(guild.0),
        guild,
        module: MODULE,
        plans: [PlanId::from(plan)].into(),
        matching: GateMatch::Any,
        roles: [GOLD].into(),
        origin: GateOrigin::Dashboard,
    }
}

fn wallet(user: u64) -> Wallet {
    Wallet(Address::from_word(B256::from(U256::from(user))))
}

fn mark() -> Mark {
    Mark {
        position: Position {
            block: 1,
            log_index: 0,
        },
        transaction: B256::ZERO,
    }
}

fn paid(user: u64, plan: u64, at: u64) -> Subscription {
    Subscription {
        subscriber: Some((wallet(user), PlanId::from(plan))),
        last_paid_at: Some(Timestamp(at)),
        paid: Some(mark()),
        ..Subscription::default()
    }
}

fn people() -> People {
    let mut people = People::new(Policy::default());
    for plan in [1, 2] {
        let terms = Terms {
            token: Address::ZERO,
            price: U256::ONE,
            interval: 300,
            grace_period: 100,
            active: true,
        };
        people.set_plans([((MODULE, PlanId::from(plan)), Some(terms))]);
    }
    people.set_complete([MODULE].into());
    people.set_gates(vec![gate(GUILD, 1), gate(OTHER, 2)]);
    people
}

fn subscribe(people: &mut People, user: u64, state: &Subscription) {
    people.set_subscription(MODULE, SubscriptionId::from(user), Some(state));
}

fn link(people: &mut People, user: UserId, held: &[RoleId]) {
    people.set_wallets(user, vec![wallet(user.0)]);
    people.see(GUILD, user, held, false);
}

fn query(people: &People, query: &MembersQuery) -> (Vec<(Key, MemberState)>, Option<Key>) {
    let (found, next) = page(people, GUILD, query, NOW, &|_| None);
    let found = found.into_iter().map(|(key, found)| (key, found.state));
    (found.collect(), next)
}

fn everyone(people: &People) -> Vec<(Key, MemberState)> {
    query(people, &MembersQuery::default()).0
}

/// The state of one linked member with this subscription who holds these roles.
fn state(state: &Subscription, held: &[RoleId]) -> MemberState {
    let mut people = people();
    subscribe(&mut people, ADA.0, state);
    link(&mut people, ADA, held);
    let found = everyone(&people);
    assert_eq!(found.len(), 1);
    found[0].1
}

#[test]
fn each_state_of_a_subscription_has_its_name() {
    let at = |paid_at| paid(ADA.0, 1, paid_at);
    assert_eq!(state(&at(900), &[GOLD]), MemberState::Active);
    assert_eq!(state(&at(650), &[GOLD]), MemberState::Grace);
    assert_eq!(state(&at(500), &[]), MemberState::Lapsed);
    assert_eq!(state(&at(900), &[]), MemberState::Waiting);
    let failed = Subscription {
        failed: Some((mark(), FailureReason(8))),
        ..at(900)
    };
    assert_eq!(state(&failed, &[]), MemberState::Failed);
    let paused = Subscription {
        paused: Some(mark()),
        ..at(900)
    };
    assert_eq!(state(&paused, &[]), MemberState::Paused);
    let cancelled = Subscription {
        cancelled: Some(mark()),
        ..at(900)
    };
    assert_eq!(state(&cancelled, &[]), MemberState::Cancelled);
    let pending = Subscription {
        last_paid_at: None,
        paid: None,
        ..at(0)
    };
    assert_eq!(state(&pending, &[]), MemberState::Unpaid);
}

#[test]
fn a_subscriber_who_linked_no_account_is_not_linked_while_the_subscription_is_open() {
    let mut people = people();
    subscribe(&mut people, 6, &paid(6, 1, 900));
    subscribe(&mut people, 7, &paid(7, 1, 100));
    let mut states: Vec<_> = everyone(&people).iter().map(|one| one.1).collect();
    states.sort_unstable();
    assert_eq!(states, [MemberState::Lapsed, MemberState::NotLinked]);
}

#[test]
fn a_kept_role_does_not_hide_that_the_payment_failed() {
    let mut people = people();
    let rules = ServerRules {
        policy: Policy {
            payment_failed: OnLapse::KeepUntilExpiry,
            ..Policy::default()
        },
        ..people.rules(GUILD).clone()
    };
    people.set_rules(GUILD, rules);
    let failed = Subscription {
        failed: Some((mark(), FailureReason(8))),
        ..paid(ADA.0, 1, 900)
    };
    subscribe(&mut people, ADA.0, &failed);
    link(&mut people, ADA, &[GOLD]);
    let linked = Key::Linked(ADA);
    assert_eq!(everyone(&people), [(linked, MemberState::Failed)]);
    people.see(GUILD, ADA, &[], false);
    assert_eq!(everyone(&people), [(linked, MemberState::Waiting)]);
}

#[test]
fn what_keeps_a_role_from_being_given_is_told() {
    let mut people = people();
    subscribe(&mut people, ADA.0, &paid(ADA.0, 1, 900));
    link(&mut people, ADA, &[]);
    let with = |people: &People, obstacle: Option<Obstacle>| {
        let (found, _) = page(people, GUILD, &MembersQuery::default(), NOW, &|_| {
            obstacle.clone()
        });
        found[0].1.state
    };
    assert_eq!(with(&people, None), MemberState::Waiting);
    assert_eq!(with(&people, Some(Obstacle::Gone)), MemberState::RoleGone);
    let low = with(&people, Some(Obstacle::NoManageRoles));
    assert_eq!(low, MemberState::RoleTooLow);
    people.left(GUILD, ADA);
    assert_eq!(with(&people, None), MemberState::NotInServer);
}

#[test]
fn members_of_other_servers_are_not_shown() {
    let mut people = people();
    // Paid for the other server's plan, and is not here.
    subscribe(&mut people, 6, &paid(6, 2, 900));
    people.set_wallets(UserId(6), vec![wallet(6)]);
    people.left(GUILD, UserId(6));
    // The same, linked to nobody.
    subscribe(&mut people, 7, &paid(7, 2, 900));
    // Linked for another server's sake, and is here: a member of this one.
    link(&mut people, UserId(8), &[]);
    let here = (Key::Linked(UserId(8)), MemberState::Unpaid);
    assert_eq!(everyone(&people), [here]);
    // A role of ours that is to be taken.
    people.set_wallets(UserId(8), vec![]);
    people.set_applied((GUILD, UserId(8), GOLD), Some(AppliedState::Granted));
    let ours = (Key::Linked(UserId(8)), MemberState::NotLinked);
    assert_eq!(everyone(&people), [ours]);
}

#[test]
fn a_search_is_by_name_or_by_the_beginning_of_an_id() {
    let mut people = people();
    for (user, name) in [(51, "Ada Lovelace"), (52, "Grace")] {
        link(&mut people, UserId(user), &[]);
        people.set_name(GUILD, UserId(user), name);
    }
    subscribe(&mut people, 9, &paid(9, 1, 900));
    let found = |text: &str| -> Vec<Key> {
        let asked = MembersQuery {
            text: text.to_owned(),
            ..MembersQuery::default()
        };
        query(&people, &asked)
            .0
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    assert_eq!(
        found(""),
        everyone(&people)
            .iter()
            .map(|one| one.0)
            .collect::<Vec<_>>()
    );
    assert_eq!(found(" LOVE"), [Key::Linked(UserId(51))]);
    assert_eq!(found("5").len(), 2);
    assert_eq!(found("52"), [Key::Linked(UserId(52))]);
    assert_eq!(found("nobody"), []);
}

#[test]
fn pages_hold_everyone_once_and_a_filter_only_its_own() {
    let mut people = people();
    for user in 1..=250 {
        let at = if user % 2 == 0 { 900 } else { 100 };
        subscribe(&mut people, user, &paid(user, 1, at));
        if user <= 150 {
            link(&mut people, UserId(user), &[GOLD]);
        }
    }
    let mut all = Vec::new();
    let mut asked = MembersQuery::default();
    loop {
        let (found, next) = query(&people, &asked);
        all.extend(found);
        match next {
            Some(next) => asked.after = Some(next.token()),
            None => break,
        }
    }
    assert_eq!(all.len(), 250);
    assert!(all.is_sorted_by_key(|(key, _)| *key));
    let count = |state| all.iter().filter(|(_, other)| *other == state).count();
    assert_eq!(count(MemberState::Active), 75);
    assert_eq!(count(MemberState::Lapsed), 125);
    let asked = MembersQuery {
        filter: Some(MemberState::NotLinked),
        ..MembersQuery::default()
    };
    let (found, next) = query(&people, &asked);
    assert_eq!((found.len(), next), (50, None));
}

#[test]
fn a_token_leads_to_its_row() {
    for key in [Key::Linked(ADA), Key::Unlinked(wallet(9))] {
        assert_eq!(Key::of(&key.token()), Some(key));
    }
    for bad in ["", "u", "x5", "w0x", "ü5"] {
        assert_eq!(Key::of(bad), None);
    }
}
