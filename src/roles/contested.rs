//! Leaves alone what somebody else changes back again and again (`flips`), and says who that is, by the audit log where it
//! may be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{info, warn};

use super::flips::{Flips, Hold};
use super::people::People;
use super::{Roles, blocking};
use crate::clock::machine_time;
use crate::discord::AuditLog;
use crate::domain::{
    AppliedState, Cause, Contested, GuildId, JournalEntry, Outcome, RoleAction, RoleChange, RoleId,
    ServerStatus, UserId,
};
use crate::text::{self, Other};

/// How long an answer of the audit log is waited for before nobody is named.
const PATIENCE: Duration = Duration::from_secs(30);
/// An audit log is read at most this often.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// What is contested, and who contests it.
#[derive(Default)]
pub(super) struct Contests {
    flips: Flips,
    pub(super) asking: JoinSet<Seen>,
    /// What the audit logs said last; old ones are dropped.
    logs: BTreeMap<GuildId, (Instant, Said)>,
    /// Who changes a role of a server back.
    others: BTreeMap<(GuildId, RoleId), Other>,
}

/// What an audit log said; `None`: it may not be read, or could not be.
type Said = Result<AuditLog, Other>;

/// Changes that are left from now on, and what the server's audit log said.
pub(super) struct Seen {
    guild: GuildId,
    left: Vec<RoleChange>,
    block: u64,
    said: Said,
}

impl Roles {
    /// Counts what somebody else changed since the last tick.
    pub(super) fn note_flips(&mut self) {
        let now = Instant::now();
        for (key, ours) in self.people.take_flips() {
            self.contested.flips.changed_back(key, ours, now);
        }
    }

    /// Takes out of `changes` what somebody else would only change back.
    pub(super) fn leave_contested(&mut self, changes: &mut Vec<RoleChange>, block: u64) {
        let now = Instant::now();
        let people = &self.people;
        let flips = &mut self.contested.flips;
        let mut left = BTreeMap::<_, Vec<_>>::new();
        changes.retain(|change| {
            let key = change.member_role();
            if !puts_right(people, change) {
                return true;
            }
            match flips.hold(key, change.action, now) {
                Hold::No => return true,
                Hold::Begins => left.entry(change.guild).or_default().push(change.clone()),
                Hold::GoesOn => {}
            }
            false
        });
        for (guild, left) in left {
            self.ask_who(guild, left, block, now);
        }
    }

    fn ask_who(&mut self, guild: GuildId, left: Vec<RoleChange>, block: u64, now: Instant) {
        let logs = &mut self.contested.logs;
        logs.retain(|_, (at, _)| now.duration_since(*at) < READ_AGAIN);
        let known = logs.get(&guild).map(|(_, said)| said.clone());
        let discord = self.discord.clone();
        self.contested.asking.spawn(async move {
            let said = match known {
                Some(known) => known,
                None => match tokio::time::timeout(PATIENCE, discord.role_updates(guild)).await {
                    Ok(Ok(Some(log))) => Ok(log),
                    Ok(Ok(None)) => Err(Other::Hidden),
                    Ok(Err(_)) | Err(_) => Err(Other::Unknown),
                },
            };
            Seen {
                guild,
                left,
                block,
                said,
            }
        });
    }

    /// Says what is left alone, and because of whom.
    pub(super) async fn take_audit_log(&mut self, seen: Seen) -> anyhow::Result<()> {
        let Seen {
            guild,
            left,
            block,
            said,
        } = seen;
        for change in &left {
            let other = said.as_ref().map_or_else(Clone::clone, |log| {
                let who = log.who(change.user, change.role, change.action.opposite());
                who.map_or(Other::Unknown, |name| Other::Named(name.to_owned()))
            });
            self.contested.others.insert((guild, change.role), other);
        }
        let logs = &mut self.contested.logs;
        logs.entry(guild).or_insert_with(|| (Instant::now(), said));
        let contested = self.show_contested(guild);
        for role in left.iter().map(|one| one.role).collect::<BTreeSet<_>>() {
            let sentence = contested.get(&role).map(|one| &one.sentence);
            warn!(%guild, %role, sentence, "somebody else changes a role back again and again");
        }
        let at = machine_time();
        let entries: Vec<_> = left
            .into_iter()
            .filter_map(|change| {
                let message = contested.get(&change.role)?.sentence.clone();
                Some(JournalEntry {
                    at,
                    block,
                    change,
                    outcome: Outcome::Failed { code: 0, message },
                })
            })
            .collect();
        blocking(&self.store, move |store| store.settle(&entries)).await
    }

    /// Lets go of what was left alone for long enough.
    pub(super) fn end_contests(&mut self) {
        if self.contested.flips.forget_old(Instant::now()) {
            self.show_all_contested();
        }
    }

    /// A manager wants the server's roles put right now.
    pub(super) fn lift_contests(&mut self, guild: GuildId) {
        self.contested.flips.lift(guild);
        self.show_all_contested();
    }

    fn show_all_contested(&mut self) {
        let shown = self.contested.others.keys();
        for guild in shown.map(|(guild, _)| *guild).collect::<BTreeSet<_>>() {
            self.show_contested(guild);
        }
    }

    /// Shows what is left alone in a server: one sentence for each role.
    fn show_contested(&mut self, guild: GuildId) -> BTreeMap<RoleId, Contested> {
        let mut left = BTreeMap::<RoleId, (RoleAction, BTreeSet<UserId>)>::new();
        let all = self.contested.flips.left();
        for ((_, user, role), ours) in all.filter(|((of, ..), _)| *of == guild) {
            let members = left.entry(role).or_insert_with(|| (ours, BTreeSet::new()));
            members.1.insert(user);
        }
        let others = &mut self.contested.others;
        others.retain(|(of, role), _| *of != guild || left.contains_key(role));
        let server = self.discord.guild_name(guild);
        let sentence = |(role, (ours, members)): (RoleId, (RoleAction, BTreeSet<UserId>))| {
            let name = self.discord.role_name(guild, role);
            let name = name.unwrap_or_else(|| role.to_string());
            let other = others.get(&(guild, role)).unwrap_or(&Other::Unknown);
            let sentence = text::contested(&server, &name, ours, members.len(), other);
            (role, Contested { members, sentence })
        };
        let contested: BTreeMap<_, _> = left.into_iter().map(sentence).collect();
        if contested.is_empty() {
            info!(%guild, "no role is left alone there any more");
        }
        let show = |status: &mut ServerStatus| status.contested = contested.clone();
        self.discord.show(guild, show);
        contested
    }
}

/// Whether a change puts right what somebody else did to a role of ours.
fn puts_right(people: &People, change: &RoleChange) -> bool {
    let seat = people.seat_of(change.user, change.guild);
    let state = seat.and_then(|seat| seat.state(change.role));
    match change.action {
        RoleAction::Grant => state == Some(AppliedState::Granted),
        RoleAction::Revoke => change.cause == Cause::ManualRole,
    }
}
