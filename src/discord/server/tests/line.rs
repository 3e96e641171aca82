//! The line against a model that looks at every change each time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Grant, ROLE, Revoke, change, grant, passing, revoke, stuck, take};
use crate::discord::backoff;
use crate::discord::server::{End, Next, Origin, Queue};
use crate::domain::{Intent, RoleChange, RoleId};

const JITTER: f64 = 0.3;

#[derive(Clone, Debug)]
struct Waiting {
    intent: Intent,
    since: Instant,
    not_before: Instant,
    failures: u32,
}

impl Waiting {
    fn kind(&self) -> Next {
        match (self.intent.change.action, self.intent.just_now) {
            (Grant, true) => Next::JustNow,
            (Grant, false) => Next::Grant,
            (Revoke, _) => Next::Revoke,
        }
    }

    fn is_of(&self, change: &RoleChange) -> bool {
        (self.intent.change.user, self.intent.change.role) == (change.user, change.role)
    }
}

/// The changes in the order in which they came.
#[derive(Default)]
struct Model(Vec<Waiting>);

impl Model {
    fn put(&mut self, intent: Intent, now: Instant) {
        let new = Waiting {
            intent: intent.clone(),
            since: now,
            not_before: now,
            failures: 0,
        };
        let known = self.0.iter_mut().find(|one| one.is_of(&intent.change));
        if let Some(known) = known {
            let is_same = known.intent.change.action == intent.change.action;
            if is_same && known.kind() <= new.kind() {
                return;
            }
            self.0.retain(|one| !one.is_of(&intent.change));
        }
        self.0.push(new);
    }

    fn withdraw(&mut self, change: &RoleChange) {
        let is_it = |one: &Waiting| one.is_of(change) && one.intent.change.action == change.action;
        self.0.retain(|one| !is_it(one));
    }

    fn first(&self, queue: &Queue, now: Instant) -> Option<RoleChange> {
        let may_leave = |one: &&Waiting| {
            let held_until = queue.troubles.held_until(one.intent.change.role);
            one.not_before <= now && held_until.is_none_or(|until| until <= now)
        };
        let ready = || self.0.iter().filter(may_leave);
        let first = ready().min_by_key(|one| one.kind())?;
        let oldest_removal = ready().find(|one| one.kind() == Next::Revoke);
        let is_old = |one: &&Waiting| one.since + Duration::from_secs(600) <= now;
        let chosen = match first.kind() {
            Next::JustNow => first,
            Next::Grant | Next::Revoke => oldest_removal.filter(is_old).unwrap_or(first),
        };
        Some(chosen.intent.change.clone())
    }

    fn finish(&mut self, sent: &RoleChange, end: &End, now: Instant) {
        let is_wanted = |one: &Waiting| one.is_of(sent) && one.intent.change.action == sent.action;
        let Some(at) = self.0.iter().position(is_wanted) else {
            return;
        };
        match end {
            End::Done => drop(self.0.remove(at)),
            End::NotThere | End::Passing { .. } => {
                let one = &mut self.0[at];
                one.not_before = now + backoff::delay(one.failures, JITTER);
                one.failures += 1;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Intent),
    Withdraw(RoleChange),
    Send(u8),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let action = prop_oneof![Just(Grant), Just(Revoke)];
    let put = (1..6_u64, 1..4_u64, action, any::<bool>());
    let put = put.prop_map(|(user, role, action, just_now)| Intent {
        just_now,
        ..change(action, user, RoleId(role))
    });
    let gone = put.clone();
    let step = prop_oneof![
        6 => put.prop_map(Step::Put),
        1 => gone.prop_map(|intent| Step::Withdraw(intent.change)),
        4 => (0..6_u8).prop_map(Step::Send),
        2 => (0..1_500_u64).prop_map(Step::Pass),
        1 => (0..700_000_u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn none_is_lost_and_each_look_finds_what_a_walk_of_the_whole_line_would(steps in steps()) {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Put(intent) => {
                    queue.put(intent.clone(), now);
                    model.put(intent, now);
                }
                Step::Withdraw(gone) => {
                    queue.withdraw(gone.user, gone.role, gone.action);
                    model.withdraw(&gone);
                }
                Step::Pass(millis) => now += Duration::from_millis(millis),
                Step::Send(how) => {
                    let expected = model.first(&queue, now);
                    let sent = take(&mut queue, now);
                    prop_assert_eq!(&sent, &expected);
                    let Some(sent) = sent else { continue };
                    let end = match how {
                        0 => End::Postponed,
                        1 => passing(),
                        2 => End::NotThere,
                        3 => stuck(Some(sent.role)),
                        4 => stuck(None),
                        _ => End::Done,
                    };
                    model.finish(&sent, &end, now);
                    queue.finish(end, now, JITTER);
                }
            }
            prop_assert_eq!(queue.len(), model.0.len());
            if model.first(&queue, now).is_none() {
                prop_assert_eq!(queue.peek(now), None);
                // The next moment is the first at which there is something to send.
                let moments = model.0.iter().map(|one| {
                    let held_until = queue.troubles.held_until(one.intent.change.role);
                    one.not_before.max(held_until.unwrap_or(now))
                });
                prop_assert_eq!(queue.next_at(), moments.min());
            }
        }
        let roles = model.0.iter().map(|one| one.intent.change.role).collect();
        prop_assert_eq!(queue.roles(), roles);
    }
}

/// A look that walked the line would make this a billion steps.
#[test]
fn a_look_costs_the_same_however_many_changes_are_stuck_or_wait() {
    const MANY: u64 = 30_000;
    let (mut queue, now) = (Queue::default(), Instant::now());
    for user in 0..MANY {
        queue.put(grant(user), now);
        queue.put(change(Grant, user, RoleId(8)), now);
    }
    for _ in 0..MANY {
        assert!(take(&mut queue, now).is_some());
        queue.finish(passing(), now, 0.5);
    }
    queue
        .troubles
        .note(Some(ROLE), "Move it.".into(), Origin::Refusal, now);
    queue
        .troubles
        .note(Some(RoleId(8)), "It, too.".into(), Origin::Refusal, now);
    for user in 0..MANY {
        queue.put(change(Revoke, user, RoleId(9)), now);
        assert_eq!(take(&mut queue, now).map(|sent| sent.role), Some(RoleId(9)));
        queue.finish(End::Done, now, 0.5);
        assert_eq!(take(&mut queue, now), None);
        assert!(queue.next_at().is_some());
    }
    let all = 2 * usize::try_from(MANY).unwrap();
    assert_eq!(queue.len(), all);
    queue.put(revoke(1), now);
    assert_eq!(queue.len(), all, "the opposite takes its place");
}
