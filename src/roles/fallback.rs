//! While the chain cannot be followed, amser's API is listened to as well: since when, which source counts, and what may be
//! removed.
//!
//! | the chain | roles are given by | and taken |
//! |---|---|---|
//! | followed to its tip | its events | by them, once the contracts agree |
//! | away for a moment | its events | not |
//! | away for long (fallback) | its events, or the API's word | where both sources had agreed before that access is over |
//! | away since the start, or being read again (fallback) | the API's word | not |
//!
//! What an event ended by the server's policy is not opened by the API. The end of fallback is an ordinary pass over everyone: what the
//! API alone gave is confirmed by the chain then, or goes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tracing::{info, warn};

use super::asking::removal;
use super::confirm::Verdict;
use super::expected::questions;
use super::people::Sources;
use super::plan::{Decision, deserved};
use super::{Roles, blocking};
use crate::clock::machine_time;
use crate::domain::{
    Act, ActEntry, ActiveAnswer, ActiveQuestion, AppliedState, Cause, ChainStatus, Checked,
    DriftMode, DriftStatus, RoleAction, Timestamp, UserId,
};
use crate::poller::ApiAnswers;

/// The chain is away for so long before the API is listened to. Another node is tried within seconds, and the API itself is some
/// seconds behind the chain, so an earlier fallback would gain little; who pays meanwhile waits no longer than this.
pub const AFTER: Duration = Duration::from_secs(120);

/// The second source.
#[derive(Debug)]
pub struct Fallback {
    /// What the API said last.
    pub answers: ApiAnswers,
    /// Where the mode is shown.
    pub status: watch::Sender<DriftStatus>,
    /// How long the chain is away before the API is listened to: [`AFTER`].
    pub after: Duration,
    /// The chain's id: on the local one a newest block that is old is no sign.
    pub chain_id: u64,
}

impl Fallback {
    /// An API that says nothing.
    pub fn unheard(chain_id: u64) -> Self {
        Self {
            answers: ApiAnswers::default(),
            status: watch::Sender::new(DriftStatus::default()),
            after: AFTER,
            chain_id,
        }
    }
}

/// What may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removals {
    /// What the plan says.
    AsPlanned,
    /// What both sources had agreed on before the chain went away.
    Agreed,
    /// Nothing.
    None,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time: Timestamp,
    pub(super) instant: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            time: machine_time(),
            instant: Instant::now(),
        }
    }
}

/// Since when the chain has not been followed (machine clock), if it is not: the follower is not at the tip, or no block came for
/// longer than this chain ever takes. Never later than it was: an answer of the API that came afterwards is not taken for one from
/// before because both are told in whole seconds.
pub(super) fn away_since(chain: &ChainStatus, chain_id: u64, now: Moment) -> Option<Timestamp> {
    let ago = |since: Instant| {
        let ago = now.instant.saturating_duration_since(since);
        ago.as_secs() + u64::from(ago.subsec_nanos() > 0)
    };
    let behind = chain.behind_since.map(ago);
    let stalled = chain
        .stands_still_at(chain_id)
        .filter(|at| *at <= now.time)
        .and_then(|_| chain.age_of_newest(now.time));
    let seconds = behind.max(stalled)?;
    Some(Timestamp(now.time.0.saturating_sub(seconds)))
}

pub(super) fn mode(
    chain: &ChainStatus,
    chain_id: u64,
    after: Duration,
    now: Moment,
    before: DriftMode,
) -> DriftMode {
    let Some(since) = away_since(chain, chain_id, now) else {
        // A start knows nothing of the chain yet, and goes on where the last run was.
        return if chain.at_tip {
            DriftMode::Chain
        } else {
            before
        };
    };
    // To the millisecond, which the machine's seconds are not.
    let is_long = |since: Instant| now.instant.saturating_duration_since(since) >= after;
    match before {
        // A follower that goes from one trouble to the next was not back in between.
        DriftMode::Fallback { .. } => before,
        DriftMode::Chain if chain.behind_since.is_none_or(is_long) => DriftMode::Fallback { since },
        DriftMode::Chain => before,
    }
}

/// Which sources a grant may stand on, and what may be removed; `None`: nothing is planned, because what is stored is the past
/// that is being read. `at_tip`: everything up to the newest confirmed block is stored; `reached_tip`: it was since the start.
pub(super) fn sources(
    chain: &ChainStatus,
    at_tip: bool,
    reached_tip: bool,
    mode: DriftMode,
) -> Option<(Sources, Removals)> {
    let is_fallback = mode != DriftMode::Chain;
    let with_api = if is_fallback {
        Sources::Both
    } else {
        Sources::Events
    };
    if reached_tip && at_tip {
        Some((with_api, Removals::AsPlanned))
    } else if reached_tip && chain.trouble.is_some() {
        // While the node is away, what is stored is the newest there is: members who link a paid wallet get their role.
        let removals = if is_fallback {
            Removals::Agreed
        } else {
            Removals::None
        };
        Some((with_api, removals))
    } else {
        is_fallback.then_some((Sources::Api, Removals::None))
    }
}

impl Roles {
    /// Goes on where the last run was.
    pub(super) async fn load_mode(&mut self) -> anyhow::Result<()> {
        if let Some(since) = blocking(&self.store, |store| store.fallback_since()).await? {
            let status = &self.inputs.fallback.status;
            status.send_modify(|status| status.mode = DriftMode::Fallback { since });
        }
        Ok(())
    }

    /// Which source decides.
    pub(super) fn mode(&self) -> DriftMode {
        self.inputs.fallback.status.borrow().mode
    }

    /// Takes the mode that follows from the follower's state, and the sources that count by it.
    pub(super) async fn choose_sources(
        &mut self,
        chain: &ChainStatus,
        at_tip: bool,
    ) -> anyhow::Result<Option<Removals>> {
        let Fallback {
            after, chain_id, ..
        } = self.inputs.fallback;
        let before = self.mode();
        let mode = mode(chain, chain_id, after, Moment::now(), before);
        if mode != before {
            self.change_mode(mode).await?;
        }
        let reached_tip = self.progress.reached_tip;
        let Some((sources, removals)) = sources(chain, at_tip, reached_tip, mode) else {
            return Ok(None);
        };
        if sources != self.people.sources() {
            self.people.set_sources(sources);
            self.touch_everyone();
        }
        Ok(Some(removals))
    }

    async fn change_mode(&mut self, mode: DriftMode) -> anyhow::Result<()> {
        let status = &self.inputs.fallback.status;
        status.send_modify(|status| status.mode = mode);
        let (since, act) = match mode {
            DriftMode::Fallback { since } => {
                warn!(%since, "the chain cannot be followed: answers of amser's API may give roles until it can");
                (Some(since), Act::FallbackBegan)
            }
            DriftMode::Chain => {
                info!("the chain is followed again and decides alone");
                self.progress.has_vouched = true;
                (None, Act::FallbackEnded)
            }
        };
        let at = machine_time();
        let gated = self.people.guilds().into_iter();
        let entries: Vec<_> = gated
            .filter(|guild| !self.people.rules(*guild).gates.is_empty())
            .map(|guild| ActEntry {
                at,
                guild,
                by: None,
                act: act.clone(),
            })
            .collect();
        blocking(&self.store, move |store| {
            store.set_fallback(since, &entries)
        })
        .await
    }

    /// Takes what the API says of these people; and of those of whom that is something else now, who are planned for too.
    pub(super) fn hear_api(&mut self, users: &mut FxHashMap<UserId, bool>) {
        let answers = &self.inputs.fallback.answers;
        let heard = answers.take_heard();
        let DriftMode::Fallback { since } = self.mode() else {
            return;
        };
        // What it said before, the chain has answered.
        let says = |question: &ActiveQuestion| {
            let newest = answers.newest(question);
            newest.is_some_and(|said| said.api_active && said.at >= since)
        };
        for question in heard {
            if says(&question) != self.people.is_vouched(&question)
                && let Some(user) = self.people.owner(question.wallet)
            {
                users.entry(user).or_default();
            }
        }
        for user in users.keys() {
            for question in questions(&self.people, *user).collect::<Vec<_>>() {
                self.people.set_vouched(question, says(&question));
            }
        }
    }

    /// Takes the removals out of `changes` that are not made while the chain is away; they are looked at again with each tick. Where
    /// `removals` allows it, those stay on which both sources had agreed before: on all that a removal is concluded from, and the API
    /// did not say otherwise since.
    pub(super) fn keep_agreed(
        &mut self,
        changes: &mut Vec<Decision>,
        removals: Removals,
        now: Timestamp,
    ) {
        let Fallback {
            answers, chain_id, ..
        } = &self.inputs.fallback;
        let since = away_since(&self.inputs.chain.borrow(), *chain_id, Moment::now());
        let mut left = Vec::new();
        changes.retain(|change| {
            if change.action == RoleAction::Grant {
                return true;
            }
            let removal = removal(&self.people, change.member_role(), now);
            let questions = removal.questions();
            for question in &questions {
                // Only what was checked before the chain went away counts.
                let is_over = |said: Checked| {
                    !said.api_active && !said.chain_active && since.is_some_and(|at| said.at < at)
                };
                if answers.newest(question).is_some_and(is_over) {
                    self.confirming.agreed.insert(*question);
                }
            }
            let answer = |question: &ActiveQuestion| {
                let is_active = answers.newest(question).is_some_and(|said| said.api_active);
                Some(
                    match self.confirming.agreed.contains(question) && !is_active {
                        true => ActiveAnswer::Inactive,
                        false => ActiveAnswer::Unknown("not agreed on".to_owned()),
                    },
                )
            };
            let is_kept = removals == Removals::Agreed
                && !questions.is_empty()
                && removal.verdict(answer) == Verdict::Confirmed;
            if !is_kept {
                left.push(change.user);
            }
            is_kept
        });
        for user in left {
            self.people.touch(user);
        }
    }

    /// Gives roles that the API alone had given the receipt of the chain, which confirms them now.
    pub(super) async fn confirm_vouched(
        &mut self,
        now: Timestamp,
        block: u64,
    ) -> anyhow::Result<()> {
        let (given, many) = blocking(&self.store, |store| {
            let mut given = BTreeSet::new();
            let mut many = 0;
            store.for_each_applied(|one| {
                if matches!(one.cause, Cause::ApiSays { .. }) {
                    many += 1;
                    // What is still to be acknowledged is looked at again.
                    if one.state == AppliedState::Granted {
                        given.insert(one.member_role());
                    }
                }
            })?;
            Ok((given, many))
        })
        .await?;
        let confirmed = given.into_iter();
        let confirmed = confirmed.filter_map(|of| deserved(&self.people, of, now));
        let confirmed: Vec<_> = confirmed.collect();
        self.progress.has_vouched = confirmed.len() < many;
        blocking(&self.store, move |store| {
            let grants = super::to_changes(store, &confirmed, now)?;
            store.adopt(&grants, block)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
