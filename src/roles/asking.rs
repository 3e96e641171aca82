//! Asks the contracts before a role is taken for want of something: a node that leaves events out shows the same absence.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::JoinSet;
use tracing::debug;

use super::Roles;
use super::confirm::{Removal, Verdict};
use super::people::People;
use crate::domain::{
    ActiveAnswer, ActiveQuestion, Evidence, GuildId, RoleAction, RoleChange, RoleId, Timestamp,
    UserId,
};
use crate::projection::Access;

/// A role of a member in a server.
type Key = (GuildId, UserId, RoleId);

/// The questions to the contracts.
#[derive(Default)]
pub(super) struct Confirming {
    pub(super) asking: JoinSet<Answers>,
    /// Removals whose answers are awaited.
    awaited: FxHashSet<Key>,
    /// Removals that were confirmed since the member was planned for last.
    confirmed: FxHashSet<Key>,
}

/// What came of one round of questions.
pub(super) struct Answers {
    removals: Vec<Key>,
    answers: BTreeMap<ActiveQuestion, ActiveAnswer>,
}

impl Confirming {
    /// Whether a removal of a role of the member waits for an answer.
    pub(super) fn awaits(&self, guild: GuildId, user: UserId) -> bool {
        let mut awaited = self.awaited.iter();
        awaited.any(|(of, whose, _)| (*of, *whose) == (guild, user))
    }

    /// Whether any removal in the server does.
    pub(super) fn awaits_in(&self, guild: GuildId) -> bool {
        self.awaited.iter().any(|(of, ..)| *of == guild)
    }
}

impl Roles {
    /// Takes the removals out of `changes` that the contracts are still to be asked about, and asks.
    pub(super) fn confirm(
        &mut self,
        changes: &mut Vec<RoleChange>,
        users: &FxHashMap<UserId, bool>,
        now: Timestamp,
    ) {
        let people = &self.people;
        let Confirming {
            awaited, confirmed, ..
        } = &mut self.confirming;
        let (mut removals, mut questions) = (Vec::new(), Vec::new());
        changes.retain(|change| {
            let key = (change.guild, change.user, change.role);
            if change.action == RoleAction::Grant
                || change.cause.evidence() != Evidence::Absence
                || confirmed.contains(&key)
            {
                return true;
            }
            let asked = removal(people, key, now).questions();
            if asked.is_empty() {
                return true;
            }
            if awaited.insert(key) {
                removals.push(key);
                questions.extend(asked);
            }
            false
        });
        confirmed.retain(|(_, user, _)| !users.contains_key(user));
        if removals.is_empty() {
            return;
        }
        questions.sort_unstable();
        questions.dedup();
        let views = self.inputs.views.clone();
        self.confirming.asking.spawn(async move {
            let (_, answers) = views.are_active(&questions).await;
            let answers = questions.into_iter().zip(answers).collect();
            Answers { removals, answers }
        });
    }

    /// Takes the contracts' answers: who is confirmed to have no access is planned for again.
    pub(super) fn take_answers(&mut self, Answers { removals, answers }: Answers) {
        let now = self.progress.last_now;
        for key in removals {
            self.confirming.awaited.remove(&key);
            let (guild, user, role) = key;
            let verdict =
                removal(&self.people, key, now).verdict(|question| answers.get(question).cloned());
            match verdict {
                Verdict::Confirmed => {
                    self.confirming.confirmed.insert(key);
                    self.people.touch(user);
                }
                // Once the blocks were read again the payment is known; or the next pass over everyone asks again.
                Verdict::Disputed(questions) => {
                    for question in questions {
                        self.inputs.views.doubt(question);
                    }
                }
                Verdict::Unknown(why) => debug!(%guild, %role, why, "a removal is not confirmed"),
            }
        }
    }
}

/// One removal: the gates of the role and what the events tell of the member's access.
fn removal(
    people: &People,
    (guild, user, role): Key,
    now: Timestamp,
) -> Removal<'_, impl Fn(&ActiveQuestion) -> Access> {
    let gates = people.gates(guild).iter();
    let known = move |question: &ActiveQuestion| {
        let held = people.holdings().of(question.wallet).iter();
        let asked = held.filter(|one| (one.module, one.plan) == (question.module, question.plan));
        let accesses = asked.map(|one| people.access(question.wallet, one));
        accesses
            .max_by_key(|access| (access.is_open(now), *access))
            .unwrap_or(Access::NeverPaid)
    };
    Removal {
        gates: gates.filter(|gate| gate.roles.contains(&role)).collect(),
        wallets: people.wallets(user),
        known,
        now,
    }
}
