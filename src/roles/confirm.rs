//! What is concluded from absence is confirmed by the contract's own view before a role is taken: a node that leaves events
//! out shows the same absence.

use anyhow::Context as _;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::Roles;
use super::people::People;
use crate::chain::Views;
use crate::domain::{
    ActiveAnswer, ActiveQuestion, Evidence, GateMatch, GuildId, PlanId, RoleAction, RoleChange,
    RoleId, UserId,
};

/// A role of a member in a server.
type Key = (GuildId, UserId, RoleId);

/// What the contracts say of one removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The member has no access.
    Confirmed,
    /// The member has access, whatever was followed: the answer that says so.
    Denied(ActiveQuestion),
    /// The node could not say.
    Unknown,
}

/// The questions to the contracts.
#[derive(Default)]
pub(super) struct Confirming {
    asking: JoinSet<Vec<(Key, Verdict)>>,
    /// Removals whose answer is awaited.
    awaited: FxHashSet<Key>,
    /// Removals that were confirmed since the member was last planned for.
    confirmed: FxHashSet<Key>,
}

impl Confirming {
    /// Whether a removal of a role of the member waits for an answer.
    pub(super) fn awaits(&self, guild: GuildId, user: UserId) -> bool {
        self.awaited
            .iter()
            .any(|(of, whose, _)| (*of, *whose) == (guild, user))
    }

    /// The next round's end; never without one under way.
    pub(super) async fn answered(&mut self) -> anyhow::Result<Vec<(Key, Verdict)>> {
        match self.asking.join_next().await {
            Some(verdicts) => verdicts.context("asking the contracts failed"),
            None => std::future::pending().await,
        }
    }
}

impl Roles {
    /// Takes the removals out of `changes` that the contracts are still to be asked about, and asks.
    pub(super) fn confirm(
        &mut self,
        changes: &mut Vec<RoleChange>,
        users: &FxHashMap<UserId, bool>,
    ) {
        let Confirming {
            awaited, confirmed, ..
        } = &mut self.confirming;
        let mut rounds = Vec::new();
        changes.retain(|change| {
            let key = (change.guild, change.user, change.role);
            if change.action == RoleAction::Grant
                || change.cause.evidence() != Evidence::Absence
                || confirmed.contains(&key)
            {
                return true;
            }
            let questions = Questions::about(&self.people, key);
            if questions.is_empty() {
                return true;
            }
            if awaited.insert(key) {
                rounds.push((key, questions));
            }
            false
        });
        confirmed.retain(|(_, user, _)| !users.contains_key(user));
        if !rounds.is_empty() {
            let views = self.inputs.views.clone();
            self.confirming.asking.spawn(ask(views, rounds));
        }
    }

    /// Takes the contracts' answers: who is confirmed to have no access is planned for again.
    pub(super) fn take_verdicts(&mut self, verdicts: Vec<(Key, Verdict)>) {
        for (key, verdict) in verdicts {
            let (guild, user, role) = key;
            self.confirming.awaited.remove(&key);
            match verdict {
                Verdict::Confirmed => {
                    self.confirming.confirmed.insert(key);
                    self.people.touch(user);
                }
                // Whoever reads the blocks again finds the payment, or the next pass over everyone asks again.
                Verdict::Denied(question) => {
                    warn!(%guild, %role, "the contract says that a member has access whose payment was not seen: nobody \
                        loses the role by it");
                    self.inputs.views.doubt(question);
                }
                // The next pass over everyone asks again.
                Verdict::Unknown => {
                    debug!(%guild, %role, "no node could say whether a member has access")
                }
            }
        }
    }
}

/// What to ask about one removal: for each gate of the role, its plans for each wallet of the member.
struct Questions(Vec<(GateMatch, Vec<Vec<ActiveQuestion>>)>);

impl Questions {
    fn about(people: &People, (guild, user, role): Key) -> Self {
        let gates = people.gates(guild).iter();
        let gates = gates.filter(|gate| gate.roles.contains(&role));
        let wallets = people.wallets(user);
        let of_gates = gates.filter(|_| !wallets.is_empty()).map(|gate| {
            let of_plan = |plan: &PlanId| {
                let of_wallets = wallets.iter().map(|wallet| ActiveQuestion {
                    module: gate.module,
                    wallet: *wallet,
                    plan: *plan,
                });
                of_wallets.collect()
            };
            (gate.matching, gate.plans.iter().map(of_plan).collect())
        });
        Self(of_gates.collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &ActiveQuestion> {
        self.0.iter().flat_map(|(_, plans)| plans.iter().flatten())
    }

    /// Whether the member has access by any of the gates; with the answers in the order of [`Questions::all`].
    fn verdict<'a>(&self, answers: &mut impl Iterator<Item = &'a ActiveAnswer>) -> Verdict {
        let of_gates = self.0.iter().map(|(matching, plans)| {
            let of_plans = plans
                .iter()
                .map(|wallets| of_plan(wallets, answers.by_ref()));
            match matching {
                GateMatch::Any => of_plans.reduce(Verdict::or),
                GateMatch::All => of_plans.reduce(Verdict::and),
            }
        });
        of_gates
            .flatten()
            .reduce(Verdict::or)
            .unwrap_or(Verdict::Confirmed)
    }
}

/// Whether any of the wallets has access by one plan.
fn of_plan<'a>(
    wallets: &[ActiveQuestion],
    answers: &mut impl Iterator<Item = &'a ActiveAnswer>,
) -> Verdict {
    let of_wallets = wallets
        .iter()
        .zip(answers)
        .map(|(question, answer)| match answer {
            ActiveAnswer::Active => Verdict::Denied(*question),
            ActiveAnswer::Inactive | ActiveAnswer::NoView => Verdict::Confirmed,
            ActiveAnswer::Unknown(_) => Verdict::Unknown,
        });
    of_wallets.fold(Verdict::Confirmed, Verdict::or)
}

impl Verdict {
    /// Access by either.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (denied @ Self::Denied(_), _) | (_, denied @ Self::Denied(_)) => denied,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Confirmed, Self::Confirmed) => Self::Confirmed,
        }
    }

    /// Access by both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Confirmed, _) | (_, Self::Confirmed) => Self::Confirmed,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (denied @ Self::Denied(_), Self::Denied(_)) => denied,
        }
    }
}

async fn ask(views: Views, rounds: Vec<(Key, Questions)>) -> Vec<(Key, Verdict)> {
    let questions = rounds.iter().flat_map(|(_, questions)| questions.all());
    let questions: Vec<_> = questions.copied().collect();
    let (_, answers) = views.are_active(&questions).await;
    let mut answers = answers.iter();
    let verdicts = rounds
        .iter()
        .map(|(key, questions)| (*key, questions.verdict(&mut answers)));
    verdicts.collect()
}

#[cfg(test)]
mod tests;
