//! What holds of every plan, for random subscriptions, links, gates, policies and servers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::{OnLapse, RoleChange};
use crate::planner::{hold_back, without_revokes};

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
    (on_lapse(), on_lapse(), on_lapse(), any::<bool>()).prop_map(
        |(payment_failed, paused, cancelled, claim)| Policy {
            payment_failed,
            paused,
            cancelled,
            manual_roles: if claim {
                ManualRoles::Claim
            } else {
                ManualRoles::Leave
            },
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
    fn roster(&self) -> Roster {
        let mut roster = Roster::new(self.policy);
        for id in 1..=3 {
            roster.set_plan(MODULE, plan_id(id), Some(TERMS));
        }
        roster.set_complete(BTreeSet::from([MODULE]));
        let gates = self.gates.iter().zip(1..).map(|((all, plans, roles), id)| {
            let matching = if *all { GateMatch::All } else { GateMatch::Any };
            let plans: Vec<_> = plans.iter().copied().collect();
            let roles: Vec<_> = roles.iter().copied().map(RoleId).collect();
            gate(id, matching, &plans, &roles)
        });
        roster.set_gates(gates.collect());
        for (id, (holder, plan, paid_at, lapse)) in self.subscriptions.iter().enumerate() {
            let state = Subscription {
                last_paid_at: paid_at.map(Timestamp),
                failed: (*lapse == 1).then_some((mark(), crate::domain::FailureReason(8))),
                paused: (*lapse == 2).then(mark),
                cancelled: (*lapse == 3).then(mark),
                ..paid(wallet(*holder), *plan, 0)
            };
            subscribe(&mut roster, id as u64, state);
        }
        for holder in &self.blocked {
            roster.set_blocked(MODULE, wallet(*holder), true);
        }
        let mut links = BTreeMap::<_, Vec<_>>::new();
        for (owner, holder) in self.owners.iter().zip(1..) {
            links
                .entry(UserId(*owner))
                .or_default()
                .push(wallet(holder));
        }
        for (user, wallets) in links {
            roster.set_wallets(user, wallets);
        }
        for (user, role) in &self.ours {
            roster.set_applied(&Applied {
                guild: GUILD,
                user: UserId(*user),
                role: RoleId(*role),
                state: AppliedState::Granted,
                cause: Cause::NoSubscription,
                block: 1,
            });
        }
        let mut held = BTreeMap::<_, Vec<_>>::new();
        for (user, role) in &self.held {
            if !self.absent.contains(user) {
                held.entry(UserId(*user)).or_default().push(RoleId(*role));
            }
        }
        let present = (1..=USERS).filter(|user| !self.absent.contains(user));
        let interest = (1..=ROLES).map(RoleId).collect();
        let present = present.map(UserId).collect();
        roster.observe_guild(GUILD, interest, present, held.into_iter().collect());
        roster
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

fn everybody(roster: &Roster) -> (Vec<Decision>, Findings) {
    plan(roster, (1..=USERS).map(UserId), NOW)
}

proptest! {
    #[test]
    fn applying_a_plan_reaches_what_is_desired(random in random()) {
        let mut roster = random.roster();
        let (decisions, _) = everybody(&roster);
        for decision in &decisions {
            roster.acknowledge(decision.guild, decision.user, decision.role, decision.action);
        }
        for user in 1..=USERS {
            let held = roster.guild(GUILD).expect("it was observed").held(UserId(user)).to_vec();
            for role in 1..=ROLES {
                let expected = !random.absent.contains(&user) && random.desired(user, role);
                prop_assert_eq!(held.contains(&RoleId(role)), expected, "user {} role {}", user, role);
            }
        }
    }

    #[test]
    fn a_second_plan_is_empty(random in random()) {
        let mut roster = random.roster();
        for decision in everybody(&roster).0 {
            roster.acknowledge(decision.guild, decision.user, decision.role, decision.action);
        }
        prop_assert_eq!(everybody(&roster).0, vec![]);
    }

    #[test]
    fn grants_come_first_and_nothing_is_asked_twice(random in random()) {
        let (decisions, _) = everybody(&random.roster());
        prop_assert!(decisions.is_sorted_by_key(|decision| decision.action));
        let asked: BTreeSet<_> = decisions.iter().map(|one| (one.user, one.role)).collect();
        prop_assert_eq!(asked.len(), decisions.len());
    }

    #[test]
    fn everyone_covers_all_who_need_a_change(random in random()) {
        let roster = random.roster();
        prop_assert_eq!(plan(&roster, roster.everyone(), NOW), everybody(&roster));
    }

    #[test]
    fn before_the_tip_only_grants_are_left_and_the_others_wait(random in random()) {
        let (decisions, _) = everybody(&random.roster());
        let mut left = decisions.clone();
        let waiting = without_revokes(&mut left);
        prop_assert!(left.iter().all(|decision| decision.action == RoleAction::Grant));
        for decision in decisions {
            prop_assert!(left.contains(&decision) || waiting.contains(&decision.user));
        }
    }

    #[test]
    fn the_brake_stops_outsized_groundless_removals_alone(
        holders in 1..60u64,
        removals in 0..60u64,
        grounded in 0..60u64,
        share in 0.0..1.0f64,
        floor in 1..10u32,
    ) {
        let (removals, grounded) = (removals.min(holders), grounded.min(holders));
        let policy = Policy { max_revoke_share: share, max_revoke_floor: floor, ..Policy::default() };
        let mut roster = Roster::new(policy);
        let held = (1..=holders).map(|user| (UserId(user), vec![ROLE])).collect();
        roster.observe_guild(GUILD, BTreeSet::from([ROLE]), (1..=holders).map(UserId).collect(), held);
        let change = |action, user, cause: &Cause| RoleChange {
            action, guild: GUILD, user: UserId(user), role: ROLE, cause: cause.clone(),
        };
        let unlinked = Cause::Unlinked;
        let mut changes = vec![change(RoleAction::Grant, 1_000, &Cause::NoSubscription)];
        changes.extend((1..=grounded).map(|user| change(RoleAction::Revoke, user, &unlinked)));
        // A chain that was started over is one node's word.
        let groundless = [Cause::GateRemoved, Cause::Reorganised { fork_block: 0 }];
        let groundless = (1..=removals).zip(groundless.iter().cycle());
        changes.extend(groundless.map(|(user, cause)| change(RoleAction::Revoke, user, cause)));
        let before = changes.clone();
        let stopped = hold_back(&roster, &mut changes, &BTreeSet::new());
        let outsized = removals >= u64::from(floor) && removals as f64 > share * holders as f64;
        prop_assert_eq!(!stopped.is_empty(), outsized);
        let gone = before.len() - changes.len();
        prop_assert_eq!(gone as u64, if outsized { removals } else { 0 });
        prop_assert!(changes.iter().all(|one| before.contains(one)));
        prop_assert!(changes.len() as u64 > grounded, "grants and grounded removals pass");
        // What was stopped stays so, however few are looked at; what has a reason never is.
        let mut one_by_one = before.clone();
        hold_back(&roster, &mut one_by_one, &BTreeSet::from([(GUILD, ROLE)]));
        prop_assert_eq!(one_by_one.len() as u64, 1 + grounded);
    }
}
