//! The queue in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::*;
use crate::discord::hierarchy::{GuildRoles, Role};
use crate::domain::{Cause, RoleAction, RoleId};
use RoleAction::{Grant, Revoke};

const GUILD: GuildId = GuildId(1);
const ROLE: RoleId = RoleId(7);

fn change(action: RoleAction, user: u64, role: RoleId) -> RoleChange {
    RoleChange {
        action,
        guild: GUILD,
        user: UserId(user),
        role,
        cause: Cause::Drift,
    }
}

fn grant(user: u64) -> RoleChange {
    change(Grant, user, ROLE)
}

fn set(queue: &mut Queue, changes: Vec<RoleChange>, now: Instant) {
    queue.set(changes[0].user, changes, now);
}

fn take(queue: &mut Queue, now: Instant) -> Option<RoleChange> {
    queue.peek(now).and_then(|action| queue.take(action, now))
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
        seen: false,
    }
}

#[test]
fn grants_go_first_and_then_the_oldest() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![change(Revoke, 1, ROLE)], now);
    set(
        &mut queue,
        vec![change(Grant, 3, RoleId(9)), change(Revoke, 3, ROLE)],
        now,
    );
    set(&mut queue, vec![grant(2)], now);
    let mut order = Vec::new();
    while let Some(sent) = take(&mut queue, now) {
        order.push((sent.action, sent.user.0));
        queue.finish(End::Done, now, 0.5);
    }
    assert_eq!(order, [(Grant, 3), (Grant, 2), (Revoke, 1), (Revoke, 3)]);
    assert_eq!(queue.len(), 0);
}

#[test]
fn the_newest_set_wins_and_a_moot_change_is_never_sent() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    set(&mut queue, vec![change(Revoke, 1, ROLE)], now);
    set(&mut queue, vec![grant(2)], now);
    queue.set(UserId(2), Vec::new(), now);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.take(Grant, now), None);
    assert_eq!(take(&mut queue, now).unwrap().action, Revoke);
}

#[test]
fn a_change_on_its_way_is_not_sent_twice_and_is_told_once() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    let sent = take(&mut queue, now).unwrap();
    set(&mut queue, vec![grant(1)], now);
    queue.set(UserId(1), Vec::new(), now);
    set(
        &mut queue,
        vec![RoleChange {
            cause: Cause::ManualRole,
            ..grant(1)
        }],
        now,
    );
    assert_eq!(queue.len(), 1);
    assert_eq!(take(&mut queue, now), None);
    assert_eq!(queue.finish(End::Done, now, 0.5), Some((sent, Told::Done)));
    assert_eq!((queue.len(), take(&mut queue, now)), (0, None));
}

#[test]
fn a_wish_for_what_was_just_done_waits_for_its_report_to_be_read() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    take(&mut queue, now).unwrap();
    queue.finish(End::Done, now, 0.5);
    set(&mut queue, vec![grant(1)], now);
    assert_eq!(take(&mut queue, now), None);
    // The report was read: nothing is left to do.
    queue.set(UserId(1), Vec::new(), now);
    assert_eq!((queue.len(), queue.next_at()), (0, None));
    // Somebody took the role away again: it is given soon.
    set(&mut queue, vec![grant(1)], now);
    assert!(take(&mut queue, now + Duration::from_secs(1)).is_some());
    queue.finish(End::Done, now, 0.5);
    // The opposite is another matter.
    set(&mut queue, vec![change(Revoke, 1, ROLE)], now);
    assert!(take(&mut queue, now).is_some());
}

#[test]
fn the_opposite_of_a_change_on_its_way_follows_it() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    take(&mut queue, now).unwrap();
    set(&mut queue, vec![change(Revoke, 1, ROLE)], now);
    assert_eq!(
        take(&mut queue, now),
        None,
        "in order, so not before the answer"
    );
    let (told, _) = queue.finish(End::Done, now, 0.5).unwrap();
    assert_eq!(told.action, Grant);
    assert_eq!(take(&mut queue, now).unwrap().action, Revoke);
    assert_eq!(queue.finish(passing(), now, 0.5).unwrap().0.action, Revoke);
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_failing_change_waits_longer_each_time_while_the_others_go_on() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], start);
    set(&mut queue, vec![change(Revoke, 2, ROLE)], start);
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
        set(&mut queue, vec![grant(1)], now);
        assert!(take(&mut queue, now).is_some());
        assert_eq!(
            queue.finish(passing(), now, 0.5),
            None,
            "the same failure is told once"
        );
    }
}

#[test]
fn a_grant_without_an_answer_is_told_of_once_though_it_was_dropped() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let key = (UserId(1), ROLE);
    set(&mut queue, vec![grant(1)], now);
    take(&mut queue, now).unwrap();
    queue.set(UserId(1), Vec::new(), now);
    assert_eq!(queue.take_unanswered(), BTreeSet::new(), "it may come yet");
    queue.finish(passing(), now, 0.5);
    assert!(queue.may_arrive(key.0, key.1, now));
    assert_eq!(queue.take_unanswered(), BTreeSet::from([key]));
    assert!(!queue.may_arrive(key.0, key.1, now));
    assert_eq!(queue.take_unanswered(), BTreeSet::new());
    // Refused or rate-limited ones were not made; of removals, what is seen tells.
    set(&mut queue, vec![grant(1)], now);
    for end in [End::Postponed, stuck(Some(ROLE))] {
        take(&mut queue, now).unwrap();
        queue.finish(end, now, 0.5);
    }
    set(&mut queue, vec![change(Revoke, 2, RoleId(9))], now);
    take(&mut queue, now).unwrap();
    queue.finish(passing(), now, 0.5);
    assert_eq!(queue.take_unanswered(), BTreeSet::new());
}

#[test]
fn a_rate_limit_is_nobodys_failure() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    set(&mut queue, vec![grant(2)], now);
    let first = take(&mut queue, now).unwrap();
    assert_eq!(queue.finish(End::Postponed, now, 0.5), None);
    assert_eq!(take(&mut queue, now), Some(first));
}

#[test]
fn a_stuck_role_is_told_once_and_tried_again_rarely_while_other_roles_go_on() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for user in 1..=3 {
        set(&mut queue, vec![grant(user)], start);
    }
    set(&mut queue, vec![change(Revoke, 4, RoleId(9))], start);
    take(&mut queue, start).unwrap();
    assert!(queue.finish(stuck(Some(ROLE)), start, 0.5).is_some());
    assert_eq!(take(&mut queue, start).unwrap().role, RoleId(9));
    queue.finish(End::Done, start, 0.5);
    assert_eq!(
        queue.standing.sentences().collect::<Vec<_>>(),
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
    assert!(queue.standing.sentences().next().is_none());
    for _ in 0..2 {
        assert!(take(&mut queue, now).is_some());
        queue.finish(End::Done, now, 0.5);
    }
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_stuck_server_holds_everything() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    set(&mut queue, vec![change(Grant, 2, RoleId(9))], now);
    take(&mut queue, now).unwrap();
    queue.finish(stuck(None), now, 0.5);
    assert_eq!(take(&mut queue, now), None);
    assert_eq!(queue.next_at(), Some(now + Duration::from_secs(30)));
}

#[test]
fn who_left_is_tried_again_when_seen() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let away = || End::Away {
        code: 10007,
        message: "Unknown Member".into(),
    };
    set(&mut queue, vec![grant(1)], now);
    take(&mut queue, now).unwrap();
    assert!(queue.finish(away(), now, 0.5).is_some());
    assert!(
        queue.standing.sentences().next().is_none(),
        "one who left is no error of the server"
    );
    assert_eq!(take(&mut queue, now + Duration::from_secs(20)), None);
    queue.member_seen(UserId(2));
    assert_eq!(take(&mut queue, now), None);
    queue.member_seen(UserId(1));
    assert!(take(&mut queue, now).is_some());
    assert_eq!(queue.finish(away(), now, 0.5), None);
}

#[test]
fn errors_that_the_roles_show_go_when_the_roles_show_no_more() {
    let role = |position| Role {
        name: "r".into(),
        position,
        permissions: 1 << 28,
        managed: false,
    };
    let mut roles = GuildRoles {
        name: "G".into(),
        roles: BTreeMap::from([(RoleId(1), role(0)), (RoleId(5), role(3)), (ROLE, role(4))]),
        held: vec![RoleId(5)],
        owned: false,
    };
    let wanted = BTreeSet::from([ROLE]);
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.standing.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.standing.held_until(ROLE).is_some());
    roles.roles.insert(ROLE, role(2));
    queue.standing.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.standing.sentences().next().is_none());
    // A refusal that the roles do not explain stays until something was changed there.
    queue.standing.refused(Some(ROLE), "No.".into(), now);
    queue.standing.review(GUILD, &roles, &wanted, false, now);
    assert!(queue.standing.sentences().next().is_some());
    queue.standing.review(GUILD, &roles, &wanted, true, now);
    assert!(queue.standing.sentences().next().is_none());
    // And no longer than anyone wants the role.
    queue.standing.refused(Some(ROLE), "No.".into(), now);
    queue
        .standing
        .review(GUILD, &roles, &BTreeSet::new(), false, now);
    assert!(queue.standing.sentences().next().is_none());
}

/// Any sequence of sets and answers ends, when Discord works, with exactly the newest sets applied.
#[test]
fn whatever_happens_the_newest_sets_are_applied_in_the_end() {
    use proptest::prelude::*;
    #[derive(Clone, Debug)]
    enum Step {
        Set(u64, Vec<(u64, RoleAction)>),
        Take,
        Finish(u8),
        Pass(u64),
    }
    let action = prop_oneof![Just(Grant), Just(Revoke)];
    let step = prop_oneof![
        (
            1..4_u64,
            proptest::collection::vec((1..4_u64, action), 0..3)
        )
            .prop_map(|(user, set)| Step::Set(user, set)),
        Just(Step::Take),
        (0..6_u8).prop_map(Step::Finish),
        (0..400_u64).prop_map(Step::Pass),
    ];
    proptest!(|(steps in proptest::collection::vec(step, 0..80))| {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        let mut wanted: BTreeMap<(u64, u64), RoleAction> = BTreeMap::new();
        let mut held: BTreeMap<(u64, u64), RoleAction> = BTreeMap::new();
        let mut sending: Option<RoleChange> = None;
        let apply = |held: &mut BTreeMap<_, _>, change: &RoleChange| {
            held.insert((change.user.0, change.role.0), change.action);
        };
        for step in steps {
            match step {
                Step::Set(user, set) => {
                    wanted.retain(|(of, _), _| *of != user);
                    let set: BTreeMap<_, _> = set.into_iter().collect();
                    let changes = set.iter().map(|(role, action)| change(*action, user, RoleId(*role))).collect();
                    wanted.extend(set.iter().map(|(role, action)| ((user, *role), *action)));
                    queue.set(UserId(user), changes, now);
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
                        3 => End::Away { code: 10007, message: String::new() },
                        4 => stuck(Some(change.role)),
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
fn a_dropped_change_that_is_on_its_way_may_still_arrive() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    set(&mut queue, vec![grant(1)], now);
    assert!(!queue.may_arrive(UserId(1), ROLE, now), "not sent yet");
    take(&mut queue, now).unwrap();
    queue.set(UserId(1), Vec::new(), now);
    assert!(queue.may_arrive(UserId(1), ROLE, now));
    assert!(!queue.may_arrive(UserId(1), RoleId(9), now));
    assert!(!queue.may_arrive(UserId(2), ROLE, now));
    let (_, told) = queue.finish(End::Done, now, 0.5).unwrap();
    assert_eq!(told, Told::Done);
    assert!(
        queue.may_arrive(UserId(1), ROLE, now),
        "its report is on its way"
    );
    assert!(!queue.may_arrive(UserId(1), ROLE, now + Duration::from_secs(1)));
}
