use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::domain::{Cause, FailureReason, Mark, ModuleAddress, Position, SubscriptionId, Wallet};

const GUILD: GuildId = GuildId(1);
const ROLE: RoleId = RoleId(2);
const OTHER: RoleId = RoleId(3);
const START: u64 = 1_000_000;
const NOBODY: [u64; 0] = [];
const MODULE: ModuleAddress = ModuleAddress(alloy::primitives::Address::ZERO);

fn revoke(role: RoleId, user: u64, cause: Cause) -> RoleChange {
    RoleChange {
        action: RoleAction::Revoke,
        guild: GUILD,
        user: UserId(user),
        role,
        cause,
    }
}

fn expired() -> Cause {
    Cause::ExpiredAt {
        module: MODULE,
        subscription: SubscriptionId::from(1),
        at: Timestamp(START),
    }
}

fn expired_revoke(user: u64) -> RoleChange {
    revoke(ROLE, user, expired())
}

fn unlinked(user: u64) -> RoleChange {
    revoke(ROLE, user, Cause::Unlinked)
}

/// A role that so many hold, and the brake.
struct Scene {
    brake: Brake,
    policy: Policy,
    holders: usize,
    now: Cell<u64>,
}

impl Scene {
    fn new(holders: usize) -> Self {
        Self {
            brake: Brake::default(),
            policy: Policy::default(),
            holders,
            now: Cell::new(START),
        }
    }

    /// A pass that looked at these users, each of whom is to lose the role, and at nobody else; who is let through loses it.
    fn remove(&mut self, users: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let wanted: Vec<_> = users.into_iter().collect();
        self.look(&wanted, &wanted, false)
    }

    /// A brake of a new process, which knows from the store what was made and approved.
    fn restart(
        &mut self,
        made: impl IntoIterator<Item = RoleChange>,
        approvals: impl IntoIterator<Item = Approval>,
    ) {
        let made = made.into_iter().map(|change| (Timestamp(START), change));
        self.brake = Brake::default();
        self.brake.count(made, approvals);
    }

    /// A pass over everyone.
    fn remove_of_all(&mut self, wanted: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let wanted: Vec<_> = wanted.into_iter().collect();
        self.look(&wanted, &wanted, true)
    }

    fn look(&mut self, looked_at: &[u64], wanted: &[u64], whole: bool) -> Vec<u64> {
        let mut changes: Vec<_> = wanted
            .iter()
            .map(|user| revoke(ROLE, *user, expired()))
            .collect();
        self.pass(&mut changes, looked_at, whole);
        self.holders -= changes.len();
        changes.iter().map(|change| change.user.0).collect()
    }

    fn pass(&mut self, changes: &mut Vec<RoleChange>, looked_at: &[u64], whole: bool) {
        let holders = self.holders;
        let pass = Pass {
            is_looked_at: &|_, user| whole || looked_at.contains(&user.0),
            is_whole: &|_, _| whole,
            holders: &|_, _| holders,
            policy: &self.policy,
            now: Timestamp(self.now.get()),
        };
        self.brake.hold_back(changes, &pass);
    }

    fn later(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds);
    }

    fn held(&self) -> Option<HeldBack> {
        let mut held = self.brake.held_back().into_iter();
        held.next().map(|(_, held)| held)
    }
}

#[test]
fn an_outsized_removal_is_stopped_whole() {
    let mut scene = Scene::new(20);
    assert_eq!(scene.remove(1..=5), NOBODY);
    let held = scene.held().unwrap();
    assert_eq!((held.removals, held.holders, held.since.0), (5, 20, START));
}

#[test]
fn a_usual_number_of_removals_passes_each_hour() {
    let mut scene = Scene::new(100);
    for hour in 0..3 {
        for user in 1..=20 {
            assert_eq!(scene.remove([100 * hour + user]), [100 * hour + user]);
        }
        scene.holders += 20;
        scene.later(WINDOW);
    }
    assert_eq!(scene.held(), None);
}

#[test]
fn removals_that_come_one_by_one_are_stopped_when_they_are_too_many() {
    let mut scene = Scene::new(100);
    let passed: usize = (1..=100)
        .map(|user| {
            scene.later(30);
            scene.remove([user]).len()
        })
        .sum();
    assert_eq!(passed, 20);
    assert_eq!(scene.held().unwrap().removals, 80);
}

#[test]
fn what_was_let_through_may_come_again_until_it_is_made_and_counts_once() {
    let mut scene = Scene::new(100);
    for _ in 0..50 {
        scene.holders = 100;
        assert_eq!(scene.remove(1..=20).len(), 20);
    }
    scene.holders = 100;
    // Too many with these: the first ones are under way all the same.
    assert_eq!(scene.remove(1..=21).len(), 20);
}

#[test]
fn a_stopped_role_stays_so_however_few_are_looked_at_and_however_long() {
    let mut scene = Scene::new(100);
    assert_eq!(scene.remove(1..=50), NOBODY);
    for user in 1..=50 {
        scene.later(WINDOW);
        assert_eq!(scene.remove([user]), NOBODY);
    }
    assert_eq!(scene.remove([60]), NOBODY, "another one too");
    assert_eq!(scene.held().unwrap().removals, 51);
}

#[test]
fn the_stop_ends_when_nothing_is_to_be_removed_any_more() {
    let mut scene = Scene::new(100);
    scene.remove(1..=50);
    // One after another deserves the role again; nobody else was looked at.
    for user in 1..=50 {
        scene.look(&[user], &[], false);
    }
    assert_eq!(scene.held(), None);
    assert_eq!(scene.remove([60]), NOBODY, "not everyone was looked at");
    scene.look(&[60], &[], false);
    assert_eq!(scene.remove_of_all([]), NOBODY);
    assert_eq!(scene.brake, Brake::default(), "nothing is remembered");
    assert_eq!(scene.remove([60]), [60]);
}

#[test]
fn an_approval_lets_through_what_is_held_of_one_role_once() {
    let mut scene = Scene::new(100);
    let both = |users: std::ops::RangeInclusive<u64>| -> Vec<_> {
        let both = users.flat_map(|user| [(ROLE, user), (OTHER, user)]);
        both.map(|(role, user)| revoke(role, user, expired()))
            .collect()
    };
    let mut changes = both(1..=50);
    scene.pass(&mut changes, &[], true);
    assert_eq!(changes, []);
    let released = scene.brake.approve(GUILD, ROLE);
    assert_eq!(released, (1..=50).map(UserId).collect());
    assert_eq!(scene.brake.approve(GUILD, ROLE), BTreeSet::new());
    let mut changes = both(1..=60);
    scene.pass(&mut changes, &[], true);
    let passed: Vec<_> = changes
        .iter()
        .map(|change| (change.role, change.user.0))
        .collect();
    // Ten more of the approved role are a usual number, of the other one they are not.
    let usual: Vec<_> = (1..=60).map(|user| (ROLE, user)).collect();
    assert_eq!(passed, usual);
    assert_eq!(scene.brake.held_back().len(), 1, "the other role");
    // Made, wanted again later: a new question.
    scene.look(&[], &[], true);
    scene.later(WINDOW + 1);
    assert_eq!(scene.remove_of_all(1..=50), NOBODY);
}

#[test]
fn a_stopped_role_is_stopped_after_a_restart_too() {
    let mut scene = Scene::new(100);
    scene.remove(1..=50);
    scene.brake = Brake::holding(scene.brake.stopped());
    scene.later(WINDOW);
    // The members are read in pieces.
    assert_eq!(scene.remove([1, 2]), NOBODY);
    assert_eq!(scene.held().unwrap().since, Timestamp(START));
    assert_eq!(scene.brake.approve(GUILD, ROLE).len(), 2);
}

#[test]
fn what_was_removed_before_a_restart_counts() {
    let mut scene = Scene::new(25);
    assert_eq!(scene.remove(1..=4).len(), 4);
    scene.restart((1..=4).map(expired_revoke).chain([unlinked(11)]), []);
    assert_eq!(scene.remove([5]), NOBODY);
}

#[test]
fn what_a_person_approved_before_a_restart_does_not_count() {
    let mut scene = Scene::new(100);
    assert_eq!(scene.remove(1..=50), NOBODY);
    let approval = Approval {
        at: Timestamp(START),
        of: (GUILD, ROLE),
        removals: scene.brake.approve(GUILD, ROLE).len() as u64,
    };
    assert_eq!(scene.remove(1..=50).len(), 50);
    scene.restart((1..=50).map(expired_revoke), [approval]);
    assert_eq!(scene.remove(51..=55).len(), 5);
    // Of two approvals the newer one counts, in whichever order they are told.
    let older = Approval {
        at: Timestamp(START - 60),
        removals: 1,
        ..approval
    };
    for approvals in [[older, approval], [approval, older]] {
        scene.restart((1..=50).map(expired_revoke), approvals);
        assert_eq!(scene.remove(51..=55).len(), 5);
    }
    // Whoever comes beyond those is counted as ever.
    scene.restart((1..=60).map(expired_revoke), [approval]);
    assert_eq!(scene.remove([61]), NOBODY);
}

#[test]
fn what_somebody_did_and_what_the_chain_says_always_passes() {
    let (module, subscription) = (MODULE, SubscriptionId::from(1));
    let mark = Mark {
        position: Position {
            block: 1,
            log_index: 1,
        },
        transaction: Default::default(),
    };
    let causes = [
        Cause::Unlinked,
        Cause::WalletMoved,
        Cause::Forgotten,
        Cause::PaymentFailed {
            module,
            subscription,
            mark,
            reason: FailureReason(8),
        },
        Cause::Paused {
            module,
            subscription,
            mark,
        },
        Cause::Cancelled {
            module,
            subscription,
            mark,
        },
        Cause::Blocked {
            module,
            subscriber: Wallet(MODULE.0),
            mark,
        },
    ];
    let mut scene = Scene::new(100);
    scene.remove(1..=50);
    let mut changes: Vec<_> = (60..=100)
        .zip(causes.iter().cycle())
        .map(|(user, cause)| revoke(ROLE, user, *cause))
        .collect();
    let before = changes.clone();
    scene.pass(&mut changes, &[], false);
    assert_eq!(changes, before);
    for cause in [
        Cause::Reorganised { fork_block: 9 },
        Cause::NoSubscription,
        Cause::GateRemoved,
        Cause::ManualRole,
        Cause::Drift,
    ] {
        let mut changes = vec![revoke(ROLE, 60, cause)];
        scene.pass(&mut changes, &[], false);
        assert_eq!(changes, []);
    }
}

proptest! {
    #[test]
    fn slicing_a_removal_into_passes_gives_the_same_verdict(
        holders in 1_usize..200, removals in 0_u64..200, share in 0.0..1.0_f64, floor in 0_u32..20,
        sizes in prop::collection::vec(1_usize..50, 1..200), gap in 0_u64..10,
    ) {
        let removals = removals.min(holders as u64);
        let mut scene = Scene::new(holders);
        scene.policy.max_revoke_share = share;
        scene.policy.max_revoke_floor = floor;
        let is_outsized = |count: u64| {
            count > 0 && count >= u64::from(floor) && count as f64 > share * holders as f64
        };
        let users: Vec<_> = (1..=removals).collect();
        let (mut rest, mut passed) = (users.as_slice(), 0);
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let (slice, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            passed += scene.remove(slice.iter().copied()).len() as u64;
            scene.later(gap);
            rest = later;
        }
        prop_assert_eq!(scene.held().is_some(), is_outsized(removals));
        prop_assert!(!is_outsized(passed));
        prop_assert_eq!(scene.held().map_or(0, |held| held.removals as u64), removals - passed);
    }
}
