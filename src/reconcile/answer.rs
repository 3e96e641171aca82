//! Answers to what pages, commands and `plan` ask. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::oneshot;

use super::cause::to_changes;
use super::tick::load;
use super::{Reconcile, blocking};
use crate::discord::Discord;
use crate::domain::{
    Approved, GuildId, MemberStanding, PlannedChanges, Policy, Question, RoleAction, RoleChange,
    SyncOutcome, Timestamp, UserId,
};
use crate::planner;
use crate::projection;
use crate::roster::{GuildView, Roster};
use crate::store::Store;

impl Reconcile {
    pub(super) async fn answer(&mut self, question: Question) -> anyhow::Result<()> {
        let confirmed = self.chain.borrow().confirmed;
        let now = confirmed.map_or(Timestamp::default(), |block| block.timestamp);
        match question {
            Question::Standing { user, answer } => {
                // What was linked or paid a moment ago is part of the answer.
                self.tick().await?;
                let standing = standing(&self.store, &self.roster, user, now).await?;
                // Whoever asked may have gone; that is no error.
                let _gone = answer.send(standing);
            }
            Question::Plan { answer } => {
                let plan = match self.known_trouble() {
                    Err(unknown) => Err(unknown),
                    Ok(trouble) => Ok(PlannedChanges {
                        at_block: confirmed.map_or(0, |block| block.number),
                        changes: planned(&self.store, &self.roster, now).await?,
                        trouble,
                    }),
                };
                let _gone = answer.send(plan);
            }
            Question::Sync { guild, answer } => self.sync(guild, answer),
            Question::Approve { answer, .. } => {
                // This loop's brake has no release; the one in `roles` answers this.
                let _gone = answer.send(Approved::NothingHeld);
            }
        }
        Ok(())
    }
}

impl Reconcile {
    /// What stands in the way of changes; or why it cannot be said yet what a full pass would change.
    fn known_trouble(&self) -> Result<BTreeMap<GuildId, BTreeSet<String>>, String> {
        let chain = self.chain.borrow();
        if !self.reached_tip {
            return Err(match &chain.trouble {
                Some(trouble) => format!("the chain cannot be followed at the moment ({trouble})"),
                None => "the chain has not been followed to its tip yet".to_owned(),
            });
        }
        let mut trouble = BTreeMap::<_, BTreeSet<_>>::new();
        for ((guild, _), sentence) in &self.discord_status.borrow().failing {
            trouble.entry(*guild).or_default().insert(sentence.clone());
        }
        let mut unread = self.roster.guilds().filter(|(_, view)| !view.observed);
        match unread.find(|(guild, _)| !trouble.contains_key(guild)) {
            Some((guild, _)) => Err(format!("server {guild} has not been read from Discord yet")),
            None => Ok(trouble),
        }
    }

    /// Reads a server for whoever asked; the answer follows in [`Self::tell_synced`].
    fn sync(&mut self, guild: GuildId, answer: oneshot::Sender<SyncOutcome>) {
        if self.roster.roles_of_interest(guild).is_empty() {
            let _gone = answer.send(SyncOutcome::default());
            return;
        }
        self.syncing.entry(guild).or_default().push(answer);
        self.observe(guild, Duration::ZERO);
    }

    /// Answers those whose server was read, now that what came of it is decided.
    pub(super) fn tell_synced(&mut self) {
        for guild in std::mem::take(&mut self.synced) {
            let changes = || {
                let of_guild = self.outstanding.range((guild, UserId(0))..);
                of_guild
                    .take_while(move |((of, _), _)| *of == guild)
                    .flat_map(|(_, changes)| changes)
            };
            let count = |action| changes().filter(|change| change.action == action).count();
            let held = self.held_back.iter().filter(|((of, _), _)| *of == guild);
            let synced = SyncOutcome {
                members: self.roster.guild(guild).map_or(0, GuildView::present),
                grants: count(RoleAction::Grant),
                revokes: count(RoleAction::Revoke),
                held_back: held.map(|(_, held)| held.removals).sum(),
                at_tip: self.chain.borrow().at_tip,
            };
            for answer in self.syncing.remove(&guild).into_iter().flatten() {
                // Whoever asked may have gone.
                let _gone = answer.send(synced);
            }
        }
    }
}

/// Where a member stands, with causes.
///
/// # Errors
/// When the store cannot be read.
pub async fn standing(
    store: &Store,
    roster: &Roster,
    user: UserId,
    now: Timestamp,
) -> anyhow::Result<MemberStanding> {
    let mut gates = planner::gate_standings(roster, user, now);
    let store = store.clone();
    let mut accesses = Vec::new();
    for gate in &gates {
        for one in &gate.subscriptions {
            let held = roster.holdings(one.wallet).iter();
            let access = held
                .filter(|held| (held.module, held.id) == (gate.module, one.subscription))
                .map(|held| roster.access(one.wallet, held))
                .next();
            accesses.push(access.unwrap_or(projection::Access::NeverPaid));
        }
    }
    let gates = blocking(move || {
        let mut accesses = accesses.into_iter();
        for gate in &mut gates {
            for one in &mut gate.subscriptions {
                let access = accesses.next().unwrap_or(projection::Access::NeverPaid);
                let blocked = store.blocked(gate.module, one.wallet)?;
                let state = store.subscription(gate.module, one.subscription)?;
                one.cause = state.and_then(|state| {
                    projection::cause(gate.module, one.subscription, &state, blocked, access, now)
                });
            }
        }
        Ok(gates)
    })
    .await?;
    Ok(MemberStanding {
        user,
        wallets: roster.wallets(user).to_vec(),
        now,
        gates,
    })
}

/// What a full pass would change, the brake included.
async fn planned(
    store: &Store,
    roster: &Roster,
    now: Timestamp,
) -> anyhow::Result<Vec<RoleChange>> {
    let (decisions, _) = planner::plan(roster, roster.everyone(), now);
    let store = store.clone();
    let mut changes = blocking(move || to_changes(&store, &decisions, now)).await?;
    planner::hold_back(roster, &mut changes, &BTreeSet::new());
    Ok(changes)
}

/// What the next pass would change, without a running service: reads the store and every server with a gate. Of a server
/// that cannot be read, the reason is told instead.
///
/// # Errors
/// When the store cannot be read.
pub async fn plan_once(
    store: &Store,
    discord: &Discord,
    policy: Policy,
) -> anyhow::Result<PlannedChanges> {
    let mut roster = Roster::new(policy);
    let reading = store.clone();
    let (mut roster, cursor) = blocking(move || {
        load(&reading, &mut roster)?;
        Ok((roster, reading.cursor()?))
    })
    .await?;
    let guilds: Vec<_> = roster.guilds().map(|(guild, _)| guild).collect();
    let mut trouble = BTreeMap::new();
    for guild in guilds {
        let interest = roster.roles_of_interest(guild);
        if !interest.is_empty() {
            let seen = match discord.observe(guild, &interest).await {
                Ok(seen) => seen,
                Err(error) => {
                    trouble.insert(guild, BTreeSet::from([format!("{error:#}")]));
                    continue;
                }
            };
            if !seen.problems.is_empty() {
                trouble.insert(guild, seen.problems.into_values().collect());
            }
            roster.observe_guild(guild, interest, seen.present, seen.members);
        }
    }
    let now = cursor.map_or(Timestamp::default(), |block| block.timestamp);
    Ok(PlannedChanges {
        at_block: cursor.map_or(0, |block| block.number),
        changes: planned(store, &roster, now).await?,
        trouble,
    })
}
