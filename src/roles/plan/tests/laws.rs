//! What holds of every plan, for random subscriptions, links, gates, policies and servers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::OnLapse;

const USERS: u64 = 6;
const ROLES: u64 = 4;

#[derive(Clone, Debug)]
struct Random {
    policy: Policy,
    gates: Vec<(bool, BTreeSet<u64>, BTreeSet<u64>)>,
    /// By wallet: plan, paid at, and what ended it (0 nothing, 1 failed, 2 paused, 3 cancelled).
    subscriptions: Vec<(u8, u64, Option<u64>, u8)>,
    /// By wallet: its owner.
    owners: Vec<u64>,
    blocked: BTreeSet<u8>,
    /// Roles seen on members, and which of them we gave.
    held: BTreeSet<(u64, u64)>,
    ours: BTreeSet<(u64, u64)>,
    absent: BTreeSet<u64>,
}

fn on_lapse() -> impl Strategy<Value = OnLapse> {
    prop_oneof![Just(OnLapse::Revoke), Just(OnLapse::KeepUntilExpiry)]
}

fn policy() -> impl Strategy<Value = Policy> {
    let manual_roles = prop_oneof![
        Just(ManualRoles::Adopt),
        Just(ManualRoles::Leave),
        Just(ManualRoles::Claim)
    ];
    (on_lapse(), on_lapse(), on_lapse(), manual_roles).prop_map(
        |(payment_failed, paused, cancelled, manual_roles)| Policy {
            payment_failed,
            paused,
            cancelled,
            manual_roles,
            ..Policy::default()
        },
    )
}

fn random() -> impl Strategy<Value = Random> {
    let some = |most: u64| proptest::collection::btree_set(1..=most, 1..=2);
    let pairs = || proptest::collection::btree_set((1..=USERS, 1..=ROLES), 0..8);
    let subscription = (
        1..=8u8,
        1..=3u64,
        proptest::option::of(4_000..10_000u64),
        0..4u8,
    );
    (
        policy(),
        proptest::collection::vec((any::<bool>(), some(3), some(ROLES)), 0..4),
        proptest::collection::vec(subscription, 0..12),
        proptest::collection::vec(1..=USERS, 8),
        proptest::collection::btree_set(1..=8u8, 0..2),
        pairs(),
        pairs(),
        proptest::collection::btree_set(1..=USERS, 0..2),
    )
        .prop_map(
            |(policy, gates, subscriptions, owners, blocked, held, ours, absent)| Random {
                policy,
                gates,
                subscriptions,
                owners,
                blocked,
                held,
                ours,
                absent,
            },
        )
}

impl Random {
    fn people(&self) -> People {
        let mut people = People::new(self.policy);
        for id in 1..=3 {
            people.set_plans([((MODULE, plan_id(id)), Some(TERMS))]);
        }
        people.set_complete(BTreeSet::from([MODULE]));
        let gates = self.gates.iter().zip(1..).map(|((all, plans, roles), id)| {
            let matching = if *all { GateMatch::All } else { GateMatch::Any };
            let plans: Vec<_> = plans.iter().copied().collect();
            let roles: Vec<_> = roles.iter().copied().map(RoleId).collect();
            gate(id, matching, &plans, &roles)
        });
        people.set_gates(gates.collect());
        for (id, (holder, plan, paid_at, lapse)) in self.subscriptions.iter().enumerate() {
            let state = Subscription {
                last_paid_at: paid_at.map(Timestamp),
                failed: (*lapse == 1).then_some((mark(), crate::domain::FailureReason(8))),
                paused: (*lapse == 2).then(mark),
                cancelled: (*lapse == 3).then(mark),
                ..paid(wallet(*holder), *plan, 0)
            };
            subscribe(&mut people, id as u64, state);
        }
        for holder in &self.blocked {
            people.set_blocked(MODULE, wallet(*holder), true);
        }
        let mut links = BTreeMap::<_, Vec<_>>::new();
        for (owner, holder) in self.owners.iter().zip(1..) {
            links
                .entry(UserId(*owner))
                .or_default()
                .push(wallet(holder));
        }
        for (user, wallets) in links {
            people.set_wallets(user, wallets);
        }
        for (user, role) in &self.ours {
            let given = Some(AppliedState::Granted);
            people.set_applied((GUILD, UserId(*user), RoleId(*role)), given);
        }
        for user in 1..=USERS {
            if self.absent.contains(&user) {
                people.left(GUILD, UserId(user));
                continue;
            }
            let held = self.held.iter().filter(|(of, _)| *of == user);
            let held: Vec<_> = held.map(|(_, role)| RoleId(*role)).collect();
            people.see(GUILD, UserId(user), &held, false);
        }
        people
    }

    /// Whether the gates give a member this role: the rule told once more, plainly.
    fn deserves(&self, user: u64, role: u64) -> bool {
        let open = |plan: u64| {
            self.subscriptions
                .iter()
                .any(|(holder, of, paid_at, lapse)| {
                    let kept = match lapse {
                        1 => self.policy.payment_failed == OnLapse::KeepUntilExpiry,
                        2 => self.policy.paused == OnLapse::KeepUntilExpiry,
                        3 => self.policy.cancelled == OnLapse::KeepUntilExpiry,
                        _ => true,
                    };
                    let in_time = paid_at.is_some_and(|at| at + 3_600 + 600 >= NOW.0);
                    *of == plan
                        && self.owners[usize::from(*holder) - 1] == user
                        && !self.blocked.contains(holder)
                        && kept
                        && in_time
                })
        };
        self.gates.iter().any(|(all, plans, roles)| {
            roles.contains(&role)
                && if *all {
                    plans.iter().all(|plan| open(*plan))
                } else {
                    plans.iter().any(|plan| open(*plan))
                }
        })
    }

    /// What a member should hold in the end.
    fn desired(&self, user: u64, role: u64) -> bool {
        let of_a_gate = self.gates.iter().any(|(.., roles)| roles.contains(&role));
        let claimed = self.policy.manual_roles == ManualRoles::Claim && of_a_gate;
        let by_hand = self.held.contains(&(user, role)) && !self.ours.contains(&(user, role));
        self.deserves(user, role) || (by_hand && !claimed)
    }
}

fn everybody(people: &People) -> Plan {
    plan(people, (1..=USERS).map(|user| (UserId(user), false)), NOW)
}

/// Makes all changes.
fn apply(people: &mut People, plan: Plan) {
    for one in plan.changes {
        people.acknowledge(one.member_role(), one.action);
    }
    for one in plan.adopted {
        people.set_applied(one.member_role(), Some(AppliedState::Granted));
    }
    for (guild, user, role) in plan.forgotten {
        people.set_applied((guild, user, role), None);
    }
}

proptest! {
    #[test]
    fn applying_a_plan_reaches_what_is_desired(random in random()) {
        let mut people = random.people();
        let before = everybody(&people);
        apply(&mut people, before);
        for user in 1..=USERS {
            // Of no interest here: nothing is known or changed about them.
            let person = people.person(UserId(user));
            let Some(seat) = person.and_then(|person| person.seat(GUILD)) else { continue };
            for role in 1..=ROLES {
                let expected = !random.absent.contains(&user) && random.desired(user, role);
                prop_assert_eq!(seat.held.contains(&RoleId(role)), expected, "user {} role {}", user, role);
            }
        }
    }

    #[test]
    fn a_second_plan_is_empty(random in random()) {
        let mut people = random.people();
        let first = everybody(&people);
        apply(&mut people, first);
        prop_assert_eq!(everybody(&people), Plan::default());
    }

    #[test]
    fn while_a_plan_is_under_way_the_next_is_empty(random in random()) {
        let mut people = random.people();
        let first = everybody(&people);
        for one in &first.changes {
            let intended = match one.action {
                RoleAction::Grant => AppliedState::Granting,
                RoleAction::Revoke if one.cause == Because::Other(Cause::ManualRole) => AppliedState::Claiming,
                RoleAction::Revoke => AppliedState::Revoking,
            };
            people.set_applied(one.member_role(), Some(intended));
        }
        apply(&mut people, Plan { changes: Vec::new(), ..first });
        prop_assert_eq!(everybody(&people), Plan::default());
    }

    #[test]
    fn grants_come_first_and_nothing_is_asked_twice(random in random()) {
        let changes = everybody(&random.people()).changes;
        prop_assert!(changes.is_sorted_by_key(|decision| decision.action));
        let asked: BTreeSet<_> = changes.iter().map(|one| (one.user, one.role)).collect();
        prop_assert_eq!(asked.len(), changes.len());
    }

    #[test]
    fn everyone_covers_all_who_need_a_change(random in random()) {
        let people = random.people();
        let everyone = people.everyone().map(|user| (user, false));
        prop_assert_eq!(plan(&people, everyone, NOW), everybody(&people));
    }

    #[test]
    fn who_paid_just_now_gets_the_same_as_others_once_read(random in random()) {
        let people = random.people();
        let just_now = plan(&people, (1..=USERS).map(|user| (UserId(user), true)), NOW);
        prop_assert_eq!(just_now.changes, everybody(&people).changes);
    }
}
