//! Answers to what pages, commands and `plan` ask.

use std::collections::{BTreeMap, BTreeSet};

use super::brake::{Brake, Pass};
use super::cause::to_changes;
use super::expected::expectations;
use super::feed::{add_ended, load};
use super::people::{People, Presence, rules_of};
use super::plan::{deserved, plan};
use super::preview::Asked;
use super::standing::standing;
use super::{Roles, blocking};
use crate::clock::machine_time;
use crate::discord::Discord;
use crate::domain::{
    Act, ActEntry, Approved, Gate, GuildId, ManualRoles, PlannedChanges, Policy, Question,
    RoleAction, RoleChange, RoleId, ServerSettings, Timestamp, UserId, unread_beginnings,
};
use crate::store::Store;

impl Roles {
    pub(super) async fn answer(&mut self, question: Question) -> anyhow::Result<()> {
        let confirmed = self.inputs.chain.borrow().confirmed;
        let clock = self.clock(confirmed).await?;
        let now = clock.map_or(Timestamp::default(), |block| block.timestamp);
        // What was linked, paid or seen before the question is part of the answer; the clock was read before that.
        for _ in 0..self.inputs.observations.len() {
            if let Ok(observation) = self.inputs.observations.try_recv() {
                self.take_observation(observation);
            }
        }
        self.tick().await?;
        match question {
            Question::Standing { user, answer } => {
                let status = self.inputs.discord_status.borrow().clone();
                let (store, discord, people) = (&self.store, &self.discord, &self.people);
                let standing = standing(store, discord, &status, people, user, now).await?;
                // Whoever asked may have gone; that is no error.
                let _gone = answer.send(standing);
            }
            Question::Plan { answer } => {
                let plan = match self.known_trouble() {
                    Err(unknown) => Err(unknown),
                    Ok(trouble) => {
                        let mut general_trouble = unread_modules(&self.store).await?;
                        let refused = self.inputs.discord_status.borrow().commands_refused.clone();
                        general_trouble.extend(refused);
                        Ok(PlannedChanges {
                            at_block: confirmed.map_or(0, |block| block.number),
                            changes: planned(&self.store, &self.people, &self.brake, now).await?,
                            trouble,
                            general_trouble,
                        })
                    }
                };
                let _gone = answer.send(plan);
            }
            Question::Expectations { only, answer } => {
                let at_tip = self.progress.reached_tip && self.inputs.chain.borrow().at_tip;
                let (people, only) = (&self.people, only.as_deref());
                let now = self.progress.last_now.max(now);
                let _gone = answer.send(expectations(people, only, now, at_tip));
            }
            Question::Sync { guild, answer } => self.sync(guild, answer),
            Question::Approve {
                guild,
                role,
                by,
                shown,
                answer,
            } => {
                let _gone = answer.send(self.approve(guild, role, by, shown).await?);
            }
            // Told when all is read.
            Question::Preview(question) => self.reading.previews.push(Asked {
                question,
                is_seated: false,
            }),
            Question::Members {
                guild,
                query,
                answer,
            } => {
                let _gone = answer.send(self.members(guild, &query, now).await?);
            }
            Question::Names {
                guild,
                users,
                answer,
            } => {
                let named = users.into_iter().filter_map(|user| {
                    let name = self.people.name(guild, user)?;
                    Some((user, name.to_owned()))
                });
                let _gone = answer.send(named.collect());
            }
            Question::Invite {
                guild,
                user,
                answer,
            } => {
                let block = confirmed.map_or(0, |block| block.number);
                let roles = self.give_with_invite(guild, user, now, block).await?;
                let _gone = answer.send(roles);
            }
            Question::Absent { answer } => {
                // In a server that removed the bot, people are where they were last seen.
                let reading = &self.reading;
                let is_read = |guild: &GuildId| {
                    reading.gone.contains(guild)
                        || (reading.is_read(*guild) && !reading.is_unreadable(*guild))
                };
                let all = self.people.guilds().iter().all(is_read);
                let _gone = answer.send(all.then(|| self.people.absent()));
            }
            Question::Disconnect {
                guild,
                by,
                remove_roles,
                answer,
            } => {
                self.disconnect(guild, by, remove_roles).await?;
                let _gone = answer.send(());
            }
        }
        Ok(())
    }

    /// Lets the stopped removals of a role through, once.
    async fn approve(
        &mut self,
        guild: GuildId,
        role: RoleId,
        by: UserId,
        shown: Option<(Timestamp, usize)>,
    ) -> anyhow::Result<Approved> {
        let held_before = self.brake.held_back();
        let held = held_before.get(&(guild, role));
        let held = held.map(|held| (held.since, held.removals));
        if held.is_some() && shown.is_some_and(|shown| held != Some(shown)) {
            return Ok(Approved::Outdated);
        }
        let released = self.brake.approve(guild, role);
        if released.is_empty() {
            return Ok(Approved::NothingHeld);
        }
        let removals = released.len();
        for user in released {
            self.people.touch(user);
        }
        self.show_held_back(&held_before);
        tracing::info!(%guild, %role, %by, removals, "a stopped mass removal was approved");
        let entry = ActEntry {
            at: machine_time(),
            guild,
            by: Some(by),
            act: Act::Approved {
                role,
                removals: removals as u64,
            },
        };
        blocking(&self.store, move |store| store.note_act(&entry)).await?;
        Ok(Approved::Released { removals })
    }

    /// Makes the roles ours that an invite will bring; else nobody would take them from one who accepts it when the subscription
    /// has ended.
    async fn give_with_invite(
        &mut self,
        guild: GuildId,
        user: UserId,
        now: Timestamp,
        block: u64,
    ) -> anyhow::Result<Vec<RoleId>> {
        let seat = self.people.seat_of(user, guild);
        let Some(seat) = seat.filter(|seat| seat.presence == Presence::Absent) else {
            return Ok(Vec::new());
        };
        let gates = self.people.rules(guild).gates.iter();
        let roles: BTreeSet<_> = gates.flat_map(|gate| &gate.roles).copied().collect();
        let deserved = roles
            .into_iter()
            .filter_map(|role| deserved(&self.people, (guild, user, role), now));
        let mut deserved: Vec<_> = deserved.collect();
        let roles = deserved.iter().map(|grant| grant.role).collect();
        deserved.retain(|grant| seat.state(grant.role).is_none());
        let grants = blocking(&self.store, move |store| {
            let grants = to_changes(store, &deserved, now)?;
            store.adopt(&grants, block)?;
            Ok(grants)
        })
        .await?;
        self.people.adopt(&grants);
        Ok(roles)
    }

    /// Removes a server's dashboard gates and settings; here, because the roles that are not ours any more must not be part
    /// of a plan that is being carried out.
    async fn disconnect(
        &mut self,
        guild: GuildId,
        by: UserId,
        remove_roles: bool,
    ) -> anyhow::Result<()> {
        let at = machine_time();
        blocking(&self.store, move |store| {
            store.disconnect(guild, !remove_roles, by, at)
        })
        .await?;
        tracing::info!(%guild, %by, remove_roles, "a server was disconnected");
        if remove_roles {
            return Ok(());
        }
        let seated = self.people.seated(guild);
        let ours = seated
            .flat_map(|(user, seat)| seat.applied.iter().map(move |one| (guild, user, one.role)));
        for left in ours.collect::<Vec<_>>() {
            self.people.set_applied(left, None);
            for action in [RoleAction::Grant, RoleAction::Revoke] {
                self.discord.withdraw(left, action);
            }
        }
        Ok(())
    }

    /// What stands in the way of changes; or why it cannot be said yet what a full pass would change.
    fn known_trouble(&self) -> Result<BTreeMap<GuildId, BTreeSet<String>>, String> {
        let chain = self.inputs.chain.borrow();
        if !self.progress.reached_tip {
            return Err(match &chain.trouble {
                Some(trouble) => format!("the chain cannot be followed at the moment ({trouble})"),
                None => "the chain has not been followed to its tip yet".to_owned(),
            });
        }
        let discord = self.inputs.discord_status.borrow();
        if !discord.connected {
            return Err("the bot is not connected to Discord".to_owned());
        }
        let mut trouble = BTreeMap::new();
        let failing = discord.failing.keys().map(|(guild, _)| guild);
        let guilds: BTreeSet<_> = failing.chain(discord.servers.keys()).collect();
        for guild in guilds {
            let here = discord.troubles_of(*guild);
            if !here.is_empty() {
                trouble.insert(*guild, here.into_values().collect());
            }
        }
        let mut guilds = self.people.guilds().into_iter();
        match guilds.find(|one| !self.reading.is_read(*one) && !trouble.contains_key(one)) {
            Some(guild) => Err(format!("server {guild} has not been read from Discord yet")),
            None => Ok(trouble),
        }
    }
}

/// What a full pass would change, the brake included; and what is under way already.
async fn planned(
    store: &Store,
    people: &People,
    brake: &Brake,
    now: Timestamp,
) -> anyhow::Result<Vec<RoleChange>> {
    let decisions = plan(people, people.everyone().map(|user| (user, false)), now).changes;
    let (mut changes, under_way) = blocking(store, move |store| {
        let mut under_way = Vec::new();
        store.for_each_applied(|applied| under_way.extend(applied.outstanding_change()))?;
        Ok((to_changes(store, &decisions, now)?, under_way))
    })
    .await?;
    let pass = Pass {
        is_looked_at: &|_, _| true,
        is_whole: &|_, _| true,
        holders: &|guild, role| people.holders(guild, role),
        policy: people.default_policy(),
        now: machine_time(),
    };
    brake.clone().hold_back(&mut changes, &pass);
    // The brake let it through when it was decided.
    changes.extend(under_way);
    changes.sort_unstable();
    changes.dedup_by_key(|change| (change.action, change.guild, change.user, change.role));
    Ok(changes)
}

/// Of which modules subscriptions or plans began before what was read, so that no payment for them is a reason for a role.
async fn unread_modules(store: &Store) -> anyhow::Result<BTreeSet<String>> {
    let orphans = blocking(store, |store| store.orphans_by_module()).await?;
    let sentences = orphans.into_iter().map(|(module, orphans)| {
        let (sentence, what_to_do) = unread_beginnings(orphans);
        format!("Of module {module}, {sentence}: {what_to_do}.")
    });
    Ok(sentences.collect())
}

/// What the next pass would change under these gates and settings, without a running service: reads the store, and everyone
/// of interest in every server with a gate. Of a server that cannot be read, the reason is told instead.
///
/// # Errors
/// When the store cannot be read.
pub async fn plan_once(
    store: &Store,
    discord: &Discord,
    policy: Policy,
    gates: Vec<Gate>,
    settings: &BTreeMap<GuildId, ServerSettings>,
) -> anyhow::Result<PlannedChanges> {
    let mut people = People::new(policy);
    let mut rules = rules_of(gates, settings, &policy);
    let (mut people, cursor, brake) = blocking(store, move |store| {
        load(store, &mut people)?;
        add_ended(store, &policy, &mut rules, |_| true)?;
        people.set_all_rules(rules);
        people.end_grants(machine_time());
        let brake = Brake::holding(store.stopped()?);
        Ok((people, store.cursor()?, brake))
    })
    .await?;
    let mut trouble = BTreeMap::new();
    for guild in people.guilds() {
        let roles = people.roles_of(guild);
        let said = |error: anyhow::Error| [format!("{error:#}")].into();
        let obstacles = match discord.obstacles(guild, &roles).await {
            Ok(obstacles) => match read(discord, &mut people, guild).await {
                // What keeps the roles from being read keeps the members from it too, and has its sentence.
                Err(error) if obstacles.is_empty() => said(error),
                _ => obstacles,
            },
            Err(error) => said(error),
        };
        if !obstacles.is_empty() {
            trouble.insert(guild, obstacles);
        }
    }
    let now = cursor.map_or(Timestamp::default(), |block| block.timestamp);
    Ok(PlannedChanges {
        at_block: cursor.map_or(0, |block| block.number),
        changes: planned(store, &people, &brake, now).await?,
        trouble,
        general_trouble: unread_modules(store).await?,
    })
}

/// Reads everyone of interest in a server.
async fn read(discord: &Discord, people: &mut People, guild: GuildId) -> anyhow::Result<()> {
    if people.rules(guild).policy.manual_roles == ManualRoles::Claim {
        let mut after = UserId(0);
        loop {
            let (page, is_full) = discord.page_of_members(guild, after).await?;
            for member in &page {
                people.see_listed(guild, member, people.news());
            }
            match page.last().filter(|_| is_full) {
                Some(last) => after = last.user,
                None => return Ok(()),
            }
        }
    }
    let seated: Vec<_> = people.seated(guild).map(|(user, _)| user).collect();
    let read = discord.members(guild, &seated).await?;
    people.read_all(guild, &read, people.news());
    Ok(())
}
