//! The queue in virtual time.

mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::hierarchy::{GuildRoles, Role};
use super::{End, Next, Origin, Queue};
use crate::domain::{Cause, GuildId, Intent, Outcome, RoleAction, RoleChange, RoleId, UserId};
use RoleAction::{Grant, Revoke};

const GUILD: GuildId = GuildId(1);
const ROLE: RoleId = RoleId(7);

fn change(action: RoleAction, user: u64, role: RoleId) -> Intent {
    Intent {
        change: RoleChange {
            action,
            guild: GUILD,
            user: UserId(user),
            role,
            cause: Cause::Drift,
        },
        block: 1,
        just_now: false,
    }
}

fn grant(user: u64) -> Intent {
    change(Grant, user, ROLE)
}

fn revoke(user: u64) -> Intent {
    change(Revoke, user, ROLE)
}

fn just_now(user: u64) -> Intent {
    Intent {
        just_now: true,
        ..grant(user)
    }
}

fn take(queue: &mut Queue, now: Instant) -> Option<RoleChange> {
    let next = queue.peek(now)?;
    queue.take(next, now).map(|intent| intent.change)
}

/// Sends everything that may leave; in which order.
fn drain(queue: &mut Queue, now: Instant) -> Vec<(RoleAction, u64)> {
    let mut order = Vec::new();
    while let Some(sent) = take(queue, now) {
        order.push((sent.action, sent.user.0));
        queue.finish(End::Done, now, 0.5);
    }
    order
}

fn passing() -> End {
    End::Passing {
        message: "503".into(),
    }
}

fn stuck(scope: Option<RoleId>) -> End {
    End::Stuck {
        scope,
        code: 50013,
        sentence: "Move the role.".into(),
        origin: Origin::Refusal,
    }
}

#[test]
fn grants_go_first_and_then_the_oldest() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(revoke(1), now);
    queue.put(change(Grant, 3, RoleId(9)), now);
    queue.put(revoke(3), now);
    queue.put(grant(2), now);
    let order = drain(&mut queue, now);
    assert_eq!(order, [(Grant, 3), (Grant, 2), (Revoke, 1), (Revoke, 3)]);
    assert_eq!(queue.len(), 0);
}

#[test]
fn who_paid_just_now_goes_before_everyone_and_old_removals_before_grants_in_bulk() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    queue.put(revoke(1), start);
    let later = start + Duration::from_secs(599);
    queue.put(revoke(2), later);
    queue.put(grant(3), later);
    queue.put(just_now(4), later);
    // One that waits in line already may pay.
    queue.put(grant(5), later);
    queue.put(just_now(5), later);
    assert_eq!(queue.wait_time(), Duration::from_secs(5));
    let mut young = Queue::default();
    for intent in [revoke(1), revoke(2), grant(3), just_now(4), just_now(5)] {
        young.put(intent, later);
    }
    let order = [(Grant, 4), (Grant, 5), (Grant, 3), (Revoke, 1), (Revoke, 2)];
    assert_eq!(drain(&mut young, later), order);
    let order = [(Grant, 4), (Grant, 5), (Revoke, 1), (Grant, 3), (Revoke, 2)];
    assert_eq!(drain(&mut queue, start + Duration::from_secs(600)), order);
}

#[test]
fn the_opposite_takes_the_place_of_a_change_that_was_not_sent() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    queue.put(revoke(1), now);
    queue.put(grant(2), now);
    queue.withdraw(UserId(2), ROLE, Grant);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.take(Next::Grant, now), None);
    assert_eq!(drain(&mut queue, now), [(Revoke, 1)]);
}

#[test]
fn a_change_on_its_way_is_not_sent_twice_and_is_told_once() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    let sent = queue.take(Next::Grant, now).unwrap();
    queue.put(grant(1), now);
    queue.put(revoke(1), now);
    queue.put(grant(1), now);
    assert_eq!((queue.len(), take(&mut queue, now)), (1, None));
    let told = queue.finish(End::Done, now, 0.5);
    assert_eq!(told, Some((sent, Some(Outcome::Done))));
    assert_eq!((queue.len(), take(&mut queue, now)), (0, None));
}

#[test]
fn the_opposite_of_a_change_on_its_way_follows_it() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    take(&mut queue, now).unwrap();
    queue.put(revoke(1), now);
    assert_eq!(
        take(&mut queue, now),
        None,
        "in order, so not before the answer"
    );
    let (told, _) = queue.finish(End::Done, now, 0.5).unwrap();
    assert_eq!(told.change.action, Grant);
    assert_eq!(take(&mut queue, now).unwrap().action, Revoke);
    let (told, _) = queue.finish(passing(), now, 0.5).unwrap();
    assert_eq!(told.change.action, Revoke);
    assert_eq!(queue.len(), 1);
}

#[test]
fn that_a_member_is_not_there_is_told_each_time_and_is_no_error_of_the_server() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    for pause in [500, 1000, 2000] {
        let sent = queue.take(Next::Grant, now).unwrap();
        let told = queue.finish(End::NotThere, now, 0.5);
        assert_eq!(told, Some((sent, None)));
        assert!(queue.troubles.sentences().next().is_none());
        now += Duration::from_millis(pause);
        assert_eq!(queue.next_at(), Some(now));
    }
    queue.withdraw(UserId(1), ROLE, Grant);
    assert_eq!((queue.len(), queue.next_at()), (0, None));
}

#[test]
fn that_a_member_is_not_there_for_an_older_change_drops_nothing_of_the_newer_one() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(revoke(1), now);
    take(&mut queue, now).unwrap();
    queue.put(grant(1), now);
    let (told, outcome) = queue.finish(End::NotThere, now, 0.5).unwrap();
    assert_eq!((told.change.action, outcome), (Revoke, None));
    queue.withdraw(UserId(1), ROLE, told.change.action);
    assert_eq!(take(&mut queue, now).unwrap().action, Grant);
}

#[test]
fn a_failing_change_waits_longer_each_time_while_the_others_go_on() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    queue.put(grant(1), start);
    queue.put(revoke(2), start);
    assert_eq!(take(&mut queue, start).unwrap().user, UserId(1));
    assert!(queue.finish(passing(), start, 0.5).is_some());
    assert_eq!(take(&mut queue, start).unwrap().user, UserId(2));
    queue.finish(End::Done, start, 0.5);
    let mut now = start;
    for pause in [500, 1000, 2000, 4000] {
        assert_eq!(take(&mut queue, now), None);
        assert_eq!(queue.next_at(), Some(now + Duration::from_millis(pause)));
        now += Duration::from_millis(pause);
        // The same wish again changes nothing about the schedule.
        queue.put(grant(1), now);
        assert!(take(&mut queue, now).is_some());
        assert_eq!(
            queue.finish(passing(), now, 0.5),
            None,
            "the same failure is told once"
        );
    }
}

#[test]
fn a_rate_limit_is_no_failure() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    queue.put(grant(2), now);
    let first = take(&mut queue, now).unwrap();
    assert_eq!(queue.finish(End::Postponed, now, 0.5), None);
    assert_eq!(take(&mut queue, now), Some(first));
}

#[test]
fn a_stuck_role_is_told_once_and_tried_again_rarely_while_other_roles_go_on() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for user in 1..=3 {
        queue.put(grant(user), start);
    }
    queue.put(change(Revoke, 4, RoleId(9)), start);
    take(&mut queue, start).unwrap();
    assert!(queue.finish(stuck(Some(ROLE)), start, 0.5).is_some());
    assert_eq!(take(&mut queue, start).unwrap().role, RoleId(9));
    queue.finish(End::Done, start, 0.5);
    assert_eq!(
        queue.troubles.sentences().collect::<Vec<_>>(),
        [(Some(ROLE), "Move the role.")]
    );
    let mut now = start;
    let mut tries = 0;
    while now < start + Duration::from_secs(3600) {
        while take(&mut queue, now).is_some() {
            tries += 1;
            assert_eq!(queue.finish(stuck(Some(ROLE)), now, 0.5), None);
        }
        now = queue.next_at().unwrap();
    }
    assert!((8..=12).contains(&tries), "{tries} tries in an hour");
    // It works again: all follow.
    assert!(take(&mut queue, now).is_some());
    queue.finish(End::Done, now, 0.5);
    assert!(queue.troubles.sentences().next().is_none());
    for _ in 0..2 {
        assert!(take(&mut queue, now).is_some());
        queue.finish(End::Done, now, 0.5);
    }
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_stuck_server_holds_everything() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    queue.put(change(Grant, 2, RoleId(9)), now);
    take(&mut queue, now).unwrap();
    queue.finish(stuck(None), now, 0.5);
    assert_eq!(take(&mut queue, now), None);
    assert_eq!(queue.next_at(), Some(now + Duration::from_secs(30)));
}

#[test]
fn errors_that_the_roles_show_go_when_the_roles_show_no_more() {
    let role = |position| Role {
        name: "r".into(),
        color: 0,
        position,
        permissions: 1 << 28,
        given_by: None,
    };
    let mut roles = GuildRoles {
        name: "G".into(),
        owner: UserId(1),
        roles: BTreeMap::from([(RoleId(1), role(0)), (RoleId(5), role(3)), (ROLE, role(4))]),
        held: vec![RoleId(5)],
        owned: false,
    };
    let wanted = BTreeSet::from([ROLE]);
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.troubles.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.troubles.held_until(ROLE).is_some());
    roles.roles.insert(ROLE, role(2));
    queue.troubles.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.troubles.sentences().next().is_none());
    // A refusal that the roles do not explain stays until something was changed there.
    queue
        .troubles
        .note(Some(ROLE), "No.".into(), Origin::Refusal, now);
    queue.troubles.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.troubles.sentences().next().is_some());
    queue.troubles.review(GUILD, &roles, &wanted, true, now);
    assert!(queue.troubles.sentences().next().is_none());
    // And no longer than anyone wants the role.
    queue
        .troubles
        .note(Some(ROLE), "No.".into(), Origin::Refusal, now);
    queue
        .troubles
        .review(GUILD, &roles, &BTreeSet::new(), false, now);
    assert!(queue.troubles.sentences().next().is_none());
}

/// Any sequence of changes and answers ends, when Discord works, with exactly the newest changes made.
#[test]
fn whatever_happens_the_newest_changes_are_made_in_the_end() {
    use proptest::prelude::*;
    #[derive(Clone, Debug)]
    enum Step {
        Put(Intent),
        Take,
        Finish(u8),
        Pass(u64),
    }
    let action = prop_oneof![Just(Grant), Just(Revoke)];
    let put = (1..4_u64, 1..4_u64, action, any::<bool>());
    let put = put.prop_map(|(user, role, action, just_now)| Intent {
        just_now,
        ..change(action, user, RoleId(role))
    });
    let step = prop_oneof![
        put.prop_map(Step::Put),
        Just(Step::Take),
        (0..6_u8).prop_map(Step::Finish),
        (0..400_u64).prop_map(Step::Pass),
    ];
    proptest!(|(steps in proptest::collection::vec(step, 0..80))| {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        let mut wanted: BTreeMap<(UserId, RoleId), RoleAction> = BTreeMap::new();
        let mut held: BTreeMap<(UserId, RoleId), RoleAction> = BTreeMap::new();
        let mut sending: Option<RoleChange> = None;
        let apply = |held: &mut BTreeMap<_, _>, change: &RoleChange| {
            held.insert((change.user, change.role), change.action);
        };
        for step in steps {
            match step {
                Step::Put(intent) => {
                    wanted.insert((intent.change.user, intent.change.role), intent.change.action);
                    queue.put(intent, now);
                }
                Step::Take => {
                    if let Some(taken) = take(&mut queue, now) {
                        prop_assert!(sending.is_none());
                        sending = Some(taken);
                    }
                }
                Step::Finish(how) => {
                    let Some(change) = sending.take() else { continue };
                    let end = match how {
                        0 => { apply(&mut held, &change); End::Done }
                        1 => End::Postponed,
                        2 => passing(),
                        3 => stuck(Some(change.role)),
                        4 => End::NotThere,
                        _ => stuck(None),
                    };
                    queue.finish(end, now, 0.3);
                }
                Step::Pass(seconds) => now += Duration::from_secs(seconds),
            }
        }
        if let Some(change) = sending {
            apply(&mut held, &change);
            queue.finish(End::Done, now, 0.3);
        }
        // From here on Discord works.
        for _ in 0..200 {
            while let Some(change) = take(&mut queue, now) {
                apply(&mut held, &change);
                queue.finish(End::Done, now, 0.3);
            }
            let Some(next) = queue.next_at() else { break };
            prop_assert!(next > now);
            now = next;
        }
        prop_assert_eq!(queue.len(), 0);
        for (key, action) in wanted {
            prop_assert_eq!(held.get(&key), Some(&action));
        }
    });
}

#[test]
fn of_a_role_that_is_gone_only_the_grants_wait() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(grant(1), now);
    queue.put(revoke(2), now);
    let troubles = &mut queue.troubles;
    troubles.note(Some(ROLE), "Gone.".into(), Origin::Gone, now);
    assert_eq!(drain(&mut queue, now), [(Revoke, 2)]);
    // A role that is there and stands too high, and a server without the bot, hold removals, too.
    queue.put(revoke(3), now);
    for scope in [Some(ROLE), None] {
        queue
            .troubles
            .note(scope, "Too high.".into(), Origin::Seen, now);
        assert_eq!(drain(&mut queue, now), [], "{scope:?}");
    }
}
