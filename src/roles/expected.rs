//! What the followed events say of the questions that a second source is asked: of every linked wallet, and every plan of
//! the gates of a server that its member is or may be in.

use super::people::{Holding, People, Presence};
use crate::domain::{ActiveQuestion, Expectations, Known, Timestamp, UserId};
use crate::projection;

/// All questions, or these of them.
pub(super) fn expectations(
    people: &People,
    only: Option<&[ActiveQuestion]>,
    now: Timestamp,
    at_tip: bool,
) -> Expectations {
    let mut expectations = Expectations {
        now,
        at_tip,
        ..Expectations::default()
    };
    match only {
        Some(only) => {
            let asked = only.iter().filter(|question| is_asked(people, question));
            let known = asked.map(|question| (*question, known(people, question, now)));
            expectations.known.extend(known);
        }
        None => {
            for user in people.everyone() {
                for question in questions(people, user) {
                    let known = || known(people, &question, now);
                    expectations.known.entry(question).or_insert_with(known);
                }
            }
        }
    }
    expectations
}

/// The questions about one member.
pub(super) fn questions(
    people: &People,
    user: UserId,
) -> impl Iterator<Item = ActiveQuestion> + '_ {
    let seats = people.person(user).into_iter().flat_map(|one| &one.seats);
    let there = seats.filter(|seat| seat.presence != Presence::Absent);
    let gates = there.flat_map(|seat| &people.rules(seat.guild).gates);
    gates.flat_map(move |gate| {
        let wallets = people.wallets(user);
        let plans = gate.plans.iter();
        plans.flat_map(move |plan| ActiveQuestion::about(gate.module, *plan, wallets))
    })
}

fn is_asked(people: &People, question: &ActiveQuestion) -> bool {
    let owner = people.owner(question.wallet);
    owner.is_some_and(|user| questions(people, user).any(|one| one == *question))
}

/// The newest of the subscriptions that are open decides, else the newest: who cancelled one may have made another.
fn known(people: &People, question: &ActiveQuestion, now: Timestamp) -> Known {
    if !people.is_complete(question.module) {
        // What is not read yet says nothing.
        return Known {
            is_ambiguous: true,
            ..Known::default()
        };
    }
    let holdings = people.holdings();
    let plan = holdings.plan(question.module, question.plan);
    let paid_until = |holding: &Holding| projection::paid_until(holding.gist, plan);
    let is_open = |holding: &Holding| {
        let policy = people.default_policy();
        holdings
            .access(question.wallet, holding, policy)
            .is_open(now)
    };
    let held = holdings.of(question.wallet).iter();
    let asked = held.filter(|one| (one.module, one.plan) == (question.module, question.plan));
    let best = asked.max_by_key(|holding| (is_open(holding), paid_until(holding), holding.id));
    let known = best.map(|holding| Known {
        paid_until: paid_until(holding),
        is_ambiguous: holding.gist.failed
            || holding.gist.paused
            || holding.gist.cancelled
            || (holding.gist.last_paid_at.is_some() && plan.is_none())
            || holdings.is_blocked(question.module, question.wallet),
        is_open: is_open(holding),
    });
    known.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::domain::{
        Gate, GateId, GateMatch, GateOrigin, GuildId, Mark, ModuleAddress, Plan, PlanId, Policy,
        Position, RoleId, Subscription, SubscriptionId, Wallet,
    };

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
    const NOW: Timestamp = Timestamp(10_000);
    const ADA: UserId = UserId(7);

    fn question(wallet: u8, plan: u64) -> ActiveQuestion {
        ActiveQuestion {
            module: MODULE,
            wallet: Wallet(Address::repeat_byte(wallet)),
            plan: PlanId::from(plan),
        }
    }

    /// A server whose gate asks for the plans 1 and 2; a member of it with two wallets, and one who linked none.
    fn people() -> People {
        let mut people = People::new(Policy::default());
        people.set_gates(vec![Gate {
            id: GateId(1),
            guild: GuildId(1),
            module: MODULE,
            plans: [PlanId::from(1), PlanId::from(2)].into(),
            matching: GateMatch::Any,
            roles: [RoleId(1)].into(),
            origin: GateOrigin::Config,
        }]);
        let terms = Plan {
            token: Address::ZERO,
            price: U256::ZERO,
            interval: 3_600,
            grace_period: 600,
            active: true,
        };
        people.set_plans([((MODULE, PlanId::from(1)), Some(terms))]);
        people.set_wallets(ADA, vec![question(1, 1).wallet, question(2, 1).wallet]);
        people.set_complete([MODULE].into());
        people
    }

    fn paid(wallet: u8, plan: u64, at: u64) -> Subscription {
        Subscription {
            subscriber: Some((question(wallet, plan).wallet, PlanId::from(plan))),
            last_paid_at: Some(Timestamp(at)),
            ..Subscription::default()
        }
    }

    fn known_of(people: &People, wallet: u8, plan: u64) -> Known {
        let asked = [question(wallet, plan)];
        expectations(people, Some(&asked), NOW, true).known[&asked[0]]
    }

    #[test]
    fn every_wallet_of_a_member_is_asked_about_for_every_plan_of_the_gates() {
        let mut people = people();
        let asked = |people: &People| -> Vec<_> {
            let all = expectations(people, None, NOW, true).known;
            all.into_keys().collect()
        };
        let all = [
            question(1, 1),
            question(1, 2),
            question(2, 1),
            question(2, 2),
        ];
        assert_eq!(asked(&people), all);
        let more = expectations(&people, Some(&[question(9, 1), question(2, 2)]), NOW, true);
        assert_eq!(more.known.into_keys().collect::<Vec<_>>(), [question(2, 2)]);
        // Of one who is not in the server nothing depends on it.
        people.read(GuildId(1), ADA, None, people.news());
        assert_eq!(asked(&people), []);
    }

    #[test]
    fn of_a_module_that_is_still_read_nothing_is_expected() {
        let mut people = people();
        people.set_complete(BTreeSet::new());
        let known = known_of(&people, 1, 1);
        assert_eq!((known.is_ambiguous, known.is_open), (true, false));
        people.set_complete([MODULE].into());
        assert!(!known_of(&people, 1, 1).is_ambiguous);
    }

    #[test]
    fn the_newest_subscription_decides_and_what_ends_access_by_policy_is_ambiguous() {
        let mut people = people();
        assert_eq!(known_of(&people, 1, 1).paid_until, None);
        let mut ended = paid(1, 1, 9_900);
        let position = Position {
            block: 1,
            log_index: 0,
        };
        ended.cancelled = Some(Mark {
            position,
            transaction: Default::default(),
        });
        people.set_subscription(MODULE, SubscriptionId::from(1), Some(&ended));
        let known = known_of(&people, 1, 1);
        assert_eq!((known.is_ambiguous, known.is_open), (true, false));
        people.set_subscription(MODULE, SubscriptionId::from(2), Some(&paid(1, 1, 9_000)));
        let known = known_of(&people, 1, 1);
        assert_eq!(known.paid_until, Some(Timestamp(13_200)));
        assert_eq!((known.is_ambiguous, known.is_open), (false, true));
        // The terms of the second plan are not known.
        people.set_subscription(MODULE, SubscriptionId::from(3), Some(&paid(2, 2, 9_000)));
        assert!(known_of(&people, 2, 2).is_ambiguous);
    }
}
