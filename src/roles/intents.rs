//! The intents table is the outbox: what was decided and not acknowledged is sent, after a restart again, until it is.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::brake::{self, Approval, Brake};
use super::{Roles, blocking, delay};
use crate::clock::machine_time;
use crate::discord::Report;
use crate::domain::{Act, AppliedState, JournalEntry, Outcome, RoleAction, RoleChange, Timestamp};
use crate::watching::{ROLE_CHANGE_FAILURES, ROLE_CHANGES};

impl Roles {
    /// Lets the brake know what was stopped and let through before the start, and notes which grants were left open.
    pub(super) async fn load_brake(&mut self) -> anyhow::Result<()> {
        (self.brake, self.progress.left_open) = blocking(&self.store, |store| {
            let now = machine_time();
            let oldest = Timestamp(now.0.saturating_sub(brake::WINDOW));
            let made = store.made_since(oldest)?.into_iter().rev();
            let mut removals: Vec<_> = made.map(|entry| (entry.at, entry.change)).collect();
            let mut left_open = BTreeSet::new();
            store.for_each_applied(|applied| {
                let of = applied.member_role();
                left_open.extend((applied.state == AppliedState::Granting).then_some(of));
                removals.extend(applied.outstanding_change().map(|change| (now, change)));
            })?;
            let mut approvals = Vec::new();
            for guild in store.servers_with_acts()? {
                let acts = store.acts(guild, usize::MAX)?.into_iter();
                let recent = acts.take_while(|entry| entry.at >= oldest);
                approvals.extend(recent.filter_map(|entry| match entry.act {
                    Act::Approved { role, removals } => Some(Approval {
                        at: entry.at,
                        of: (guild, role),
                        removals,
                    }),
                    _ => None,
                }));
            }
            let mut brake = Brake::holding(store.stopped()?);
            brake.count(removals, approvals);
            Ok((brake, left_open))
        })
        .await?;
        Ok(())
    }

    /// Settles and journals reports, in one commit.
    pub(super) async fn take_reports(&mut self, reports: Vec<Report>) -> anyhow::Result<()> {
        let at = machine_time();
        let mut entries = Vec::new();
        let mut not_there = Vec::new();
        let mut disowned = Vec::new();
        for Report { intent, outcome } in reports {
            let change = &intent.change;
            let of @ (guild, user, role) = change.member_role();
            let action = change.action.name();
            let is_disowned = self.is_disowned(change);
            match &outcome {
                Some(Outcome::Done) => {
                    info!(%guild, %user, %role, action, "role changed");
                    metrics::counter!(ROLE_CHANGES, "action" => action).increment(1);
                    self.people.acknowledge(of, change.action);
                }
                Some(Outcome::Failed { code, message }) => {
                    warn!(%guild, %role, action, code, message, "role change refused");
                    metrics::counter!(ROLE_CHANGE_FAILURES, "action" => action).increment(1);
                }
                None if self.people.not_there(change) => {
                    info!(%guild, %user, %role, action, "the member is not in the server");
                    self.discord.withdraw(of, change.action);
                    not_there.push((of, change.action));
                }
                None => {}
            }
            if is_disowned {
                self.people.set_applied(of, None);
                disowned.push(of);
            }
            entries.extend(outcome.map(|outcome| JournalEntry {
                at,
                block: intent.block,
                change: intent.change,
                outcome,
            }));
        }
        blocking(&self.store, move |store| {
            delay::record(store, &entries);
            store.settle_and_disown(&entries, &disowned)?;
            store.settle_not_there(&not_there)
        })
        .await
    }

    /// Whether this grant was on its way when its server was disconnected and its roles were left, and was not decided again
    /// since: the role is not ours.
    fn is_disowned(&self, change: &RoleChange) -> bool {
        let seat = self.people.seat_of(change.user, change.guild);
        let is_ours = seat.is_some_and(|seat| seat.state(change.role).is_some());
        change.action == RoleAction::Grant && !is_ours
    }
}
