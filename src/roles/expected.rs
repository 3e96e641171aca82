//! What the followed events say of the questions that a second source is asked: of every linked wallet, and every plan of
//! the gates of a server that its member is or may be in.

use super::people::{Holding, People};
use crate::domain::{ActiveQuestion, Expectations, Known, Timestamp};
use crate::projection;

/// All questions, or these of them.
pub fn expectations(
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
fn questions(
    people: &People,
    user: crate::domain::UserId,
) -> impl Iterator<Item = ActiveQuestion> + '_ {
    let seats = people.person(user).into_iter().flat_map(|one| &one.seats);
    let gates = seats.flat_map(|seat| people.gates(seat.guild));
    gates.flat_map(move |gate| {
        gate.plans.iter().flat_map(move |plan| {
            people
                .wallets(user)
                .iter()
                .map(move |wallet| ActiveQuestion {
                    module: gate.module,
                    wallet: *wallet,
                    plan: *plan,
                })
        })
    })
}

fn is_asked(people: &People, question: &ActiveQuestion) -> bool {
    let owner = people.owner(question.wallet);
    owner.is_some_and(|user| questions(people, user).any(|one| one == *question))
}

/// The newest of the subscriptions that are open decides, else the newest: who cancelled one may have made another.
fn known(people: &People, question: &ActiveQuestion, now: Timestamp) -> Known {
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
    best.map_or(
        Known {
            paid_until: None,
            is_ambiguous: false,
            is_open: false,
        },
        |holding| Known {
            paid_until: paid_until(holding),
            is_ambiguous: holding.gist.failed
                || holding.gist.paused
                || holding.gist.cancelled
                || holdings.is_blocked(question.module, question.wallet),
            is_open: is_open(holding),
        },
    )
}
