//! Asks the contracts before a role is taken for want of something: a node that leaves events out shows the same absence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::task::JoinSet;
use tracing::warn;

use super::Roles;
use super::confirm::{Removal, Verdict};
use super::people::People;
use crate::discord::backoff::doubled;
use crate::domain::{
    ActiveAnswer, ActiveQuestion, Evidence, GuildId, MemberRole, RoleAction, RoleChange, RoleId,
    Timestamp, UserId,
};
use crate::projection::Access;

/// Pause before what no node could say is asked again, and the longest one, after several such rounds.
const AGAIN: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// That nodes do not answer is said this often.
const SAY_AGAIN: Duration = Duration::from_secs(3_600);

/// The questions to the contracts.
#[derive(Default)]
pub(super) struct Confirming {
    pub(super) asking: JoinSet<Answers>,
    awaited: BTreeSet<MemberRole>,
    /// Removals that were confirmed since the member was planned for last.
    pub(super) confirmed: FxHashSet<MemberRole>,
    /// What both sources agreed on when the chain went away.
    pub(super) agreed: FxHashSet<ActiveQuestion>,
    /// Rounds in a row in which something was not answered.
    unanswered: u32,
    /// When that was logged last.
    said_at: Option<Instant>,
}

/// What came of one round of questions.
pub(super) struct Answers {
    removals: Vec<MemberRole>,
    /// `None`: the pause is over after which what was not answered is asked again.
    answers: Option<BTreeMap<ActiveQuestion, ActiveAnswer>>,
}

impl Confirming {
    /// Whether a removal of a role of the member waits for an answer.
    pub(super) fn awaits(&self, guild: GuildId, user: UserId) -> bool {
        let all = (guild, user, RoleId(0))..=(guild, user, RoleId(u64::MAX));
        self.awaited.range(all).next().is_some()
    }

    /// Whether any removal of this role does.
    pub(super) fn awaits_any(&self, guild: GuildId, role: RoleId) -> bool {
        self.awaited_in(guild)
            .any(|(_, _, awaited)| *awaited == role)
    }

    /// How many removals in the server wait because no node could say; `None` while a node is still to answer.
    pub(super) fn unconfirmed(&self, guild: GuildId) -> Option<usize> {
        let here = self.awaited_in(guild).count();
        Some(here).filter(|count| *count == 0 || self.unanswered > 0)
    }

    fn awaited_in(&self, guild: GuildId) -> impl Iterator<Item = &MemberRole> {
        let last = (guild, UserId(u64::MAX), RoleId(u64::MAX));
        self.awaited.range((guild, UserId(0), RoleId(0))..=last)
    }

    /// These removals could not be confirmed: they are asked about again after a pause.
    fn ask_later(&mut self, removals: Vec<MemberRole>, why: &str) {
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            self.said_at = Some(Instant::now());
            warn!(
                removals = removals.len(),
                why, "removals wait: no node could say whether access is over; check rpc_urls"
            );
        }
        let pause = doubled((AGAIN, LONGEST), self.unanswered);
        self.unanswered = self.unanswered.saturating_add(1);
        self.awaited.extend(removals.iter().copied());
        self.asking.spawn(async move {
            tokio::time::sleep(pause).await;
            let answers = None;
            Answers { removals, answers }
        });
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
            let key = change.member_role();
            if change.action == RoleAction::Grant || confirmed.contains(&key) {
                return true;
            }
            let is_absence = matches!(
                change.cause.evidence(),
                Evidence::Absence | Evidence::NeverConfirmed
            );
            let removal = removal(people, key, now);
            let asked = match is_absence || removal.is_by_the_clock() {
                true => removal.questions(),
                false => Vec::new(),
            };
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
            let answers = Some(questions.into_iter().zip(answers).collect());
            Answers { removals, answers }
        });
    }

    /// Takes the contracts' answers: who is confirmed to have no access is planned for again.
    pub(super) fn take_answers(&mut self, Answers { removals, answers }: Answers) {
        let now = self.progress.last_now;
        let mut unanswered = (Vec::new(), String::new());
        for key in removals {
            self.confirming.awaited.remove(&key);
            let Some(answers) = &answers else {
                self.people.touch(key.1);
                continue;
            };
            let verdict =
                removal(&self.people, key, now).verdict(|question| answers.get(question).cloned());
            match verdict {
                Verdict::Confirmed => {
                    self.confirming.confirmed.insert(key);
                    self.people.touch(key.1);
                }
                // Once the blocks were read again the payment is known; or the next pass over everyone asks again.
                Verdict::Disputed(questions) => {
                    for question in questions {
                        self.inputs.views.doubts().raise(question);
                    }
                }
                Verdict::Unknown(why) => {
                    unanswered.0.push(key);
                    unanswered.1 = why;
                }
            }
        }
        match unanswered {
            (removals, why) if !removals.is_empty() => self.confirming.ask_later(removals, &why),
            _ if answers.is_some() => self.confirming.unanswered = 0,
            _ => {}
        }
    }
}

/// One removal: the gates of the role and what the events tell of the member's access.
pub(super) fn removal(
    people: &People,
    (guild, user, role): MemberRole,
    now: Timestamp,
) -> Removal<'_, impl Fn(&ActiveQuestion) -> Access> {
    let rules = people.rules(guild);
    let known = move |question: &ActiveQuestion| {
        let access = people.holdings().deciding(question, &rules.policy, now);
        access.unwrap_or(Access::NeverPaid)
    };
    Removal {
        gates: rules.gates_of(role).collect(),
        wallets: people.wallets(user),
        known,
        now,
    }
}
