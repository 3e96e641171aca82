//! What became of role changes: journal, roster, and a second look at the member.

use std::time::Instant;

use tracing::{info, warn};

use super::tick::decision_key;
use super::{Reconcile, blocking};
use crate::clock::machine_time;
use crate::discord::Report;
use crate::domain::{JournalEntry, Outcome, RoleAction};

/// Reports that are journaled in one commit.
const MOST_AT_ONCE: usize = 1_000;

impl Reconcile {
    /// Journals a report and all others that are waiting, in one commit.
    pub(super) async fn take_reports(&mut self, first: Report) -> anyhow::Result<()> {
        let mut reports = vec![first];
        while reports.len() < MOST_AT_ONCE
            && let Ok(next) = self.reports.try_recv()
        {
            reports.push(next);
        }
        let at = machine_time();
        let entries: Vec<_> = reports
            .into_iter()
            .map(|report| JournalEntry {
                at,
                block: self.block_of(&report),
                change: report.change,
                outcome: report.outcome,
            })
            .collect();
        let store = self.store.clone();
        let entries = blocking(move || {
            store.settle(&entries)?;
            Ok(entries)
        })
        .await?;
        entries.iter().for_each(|entry| self.take_entry(entry));
        Ok(())
    }

    /// The newest confirmed block when the change was decided.
    fn block_of(&mut self, report: &Report) -> u64 {
        let key = decision_key(&report.change);
        let block = match report.outcome {
            Outcome::Done => self.decided_at.remove(&key),
            Outcome::Failed { .. } => self.decided_at.get(&key).copied(),
        };
        // Every change in the outbox has an entry; should one not, the present is the best that can be told.
        let newest = || self.chain.borrow().confirmed.map(|block| block.number);
        block.or_else(newest).unwrap_or_default()
    }

    fn take_entry(&mut self, entry: &JournalEntry) {
        let change = &entry.change;
        let member = (change.guild, change.user);
        let action = match change.action {
            RoleAction::Grant => "grant",
            RoleAction::Revoke => "revoke",
        };
        match &entry.outcome {
            Outcome::Done => {
                info!(guild = %change.guild, user = %change.user, role = %change.role, action,
                    cause = ?change.cause, "role changed");
                metrics::counter!("amser_roles_role_changes_total", "action" => action)
                    .increment(1);
                self.roster
                    .acknowledge(change.guild, change.user, change.role, change.action);
                self.fresh.insert(member, Instant::now());
                if let Some(outstanding) = self.outstanding.get_mut(&member) {
                    outstanding
                        .retain(|other| (other.action, other.role) != (change.action, change.role));
                    if outstanding.is_empty() {
                        self.outstanding.remove(&member);
                    }
                }
                self.roster.touch(change.user);
            }
            Outcome::Failed { code, message } => {
                warn!(guild = %change.guild, role = %change.role, action, code, message, "role change refused");
                metrics::counter!("amser_roles_role_change_failures_total", "action" => action)
                    .increment(1);
            }
        }
    }
}
