//! Keeps the picture in step with the store: filled at the start, fed with what each commit touched.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{People, ServerRules, rules_of};
use super::{Roles, blocking};
use crate::domain::{GuildId, Policy, ReadingState, ServerStatus};
use crate::store::{Store, Touched};

impl Roles {
    /// Feeds the picture with what the store's commits touched.
    pub(super) async fn feed(&mut self, touched: Touched) -> anyhow::Result<()> {
        if touched.is_empty() {
            return Ok(());
        }
        if let Some(policy) = touched.policy {
            self.set_policy(policy).await?;
        }
        if touched.everything {
            if self.progress.reached_tip {
                return self.reload().await;
            }
            // Nothing is planned before the tip is reached, and until then this happens with each large commit.
            self.progress.reload_at_tip = true;
        }
        self.people.set_plans(touched.plans);
        for ((module, wallet), mark) in touched.blocked {
            self.people.set_blocked(module, wallet, mark.is_some());
        }
        for ((module, id), state) in &touched.subscriptions {
            self.people.set_subscription(*module, *id, state.as_ref());
        }
        let mut grants_changed = false;
        if !touched.members.is_empty() {
            let mut people = std::mem::take(&mut self.people);
            (self.people, grants_changed) = blocking(&self.store, move |store| {
                let mut grants_changed = false;
                for user in touched.members {
                    grants_changed |= people.set_grants(user, &store.grants_of(user)?);
                    people.set_ended_links(user, store.ended_links_of(user)?);
                    people.set_forgotten(user, store.is_forgotten(user)?);
                    people.set_wallets(user, store.wallets_of(user)?);
                    for guild in store.seen_in(user)? {
                        people.set_seen_in(user, guild);
                    }
                }
                Ok((people, grants_changed))
            })
            .await?;
        }
        self.feed_servers(touched.servers).await?;
        if touched.merchants {
            self.show_modules().await?;
        }
        if grants_changed {
            self.show_servers();
        }
        if let Some(complete) = touched.complete {
            self.people.set_complete(complete);
        }
        Ok(())
    }

    /// Fills the picture from the store; what was seen on Discord stays.
    pub(super) async fn reload(&mut self) -> anyhow::Result<()> {
        let mut people = std::mem::take(&mut self.people);
        self.people = blocking(&self.store, move |store| {
            load(store, &mut people)?;
            Ok(people)
        })
        .await?;
        self.inputs.gates_changed.notify_one();
        self.show_modules().await?;
        self.show_servers();
        self.touch_everyone();
        Ok(())
    }

    /// Feeds the picture with what these servers ask for now.
    async fn feed_servers(&mut self, servers: BTreeSet<GuildId>) -> anyhow::Result<()> {
        if servers.is_empty() {
            return Ok(());
        }
        let policy = *self.people.default_policy();
        let (servers, mut rules) = blocking(&self.store, move |store| {
            let rules = stored_rules(store, &policy, Some(&servers))?;
            Ok((servers, rules))
        })
        .await?;
        for guild in servers {
            let rules = rules.remove(&guild);
            let rules = rules.unwrap_or_else(|| ServerRules::under(policy));
            self.people.set_rules(guild, rules);
            self.reading.want_list(&self.people, guild);
            self.show_server(guild);
        }
        self.inputs.gates_changed.notify_one();
        self.show_modules().await
    }

    /// Takes another `[policy]`.
    async fn set_policy(&mut self, policy: Policy) -> anyhow::Result<()> {
        if policy == *self.people.default_policy() {
            return Ok(());
        }
        tracing::info!("the policy changed");
        self.people.set_default_policy(policy);
        let all = blocking(&self.store, move |store| stored_rules(store, &policy, None)).await?;
        self.people.set_all_rules(all);
        for guild in self.people.guilds() {
            self.reading.want_list(&self.people, guild);
        }
        self.touch_everyone();
        Ok(())
    }

    /// Other gates may be of other servers; a manager may give a role that no gate gives.
    fn show_servers(&self) {
        let mut guilds = self.people.guilds();
        guilds.extend(self.inputs.discord_status.borrow().servers.keys());
        for guild in guilds {
            self.show_server(guild);
        }
    }

    /// Lets Discord's side know which roles of a server matter, if any do.
    fn show_server(&self, guild: GuildId) {
        let roles = self.people.roles_of(guild);
        self.discord.watch(guild, &roles);
        if !roles.is_empty() && self.people.seated(guild).next().is_none() {
            let show = |status: &mut ServerStatus| status.reading = ReadingState::Done;
            self.discord.show(guild, show);
        }
    }

    /// Tells the follower which modules to follow: those of gates, and those of merchants, so that their plans and subscribers are
    /// known before a gate is made.
    async fn show_modules(&self) -> anyhow::Result<()> {
        let mut modules = blocking(&self.store, |store| store.merchant_modules()).await?;
        modules.extend(self.people.modules());
        let shown = &self.inputs.modules;
        shown.send_if_modified(|before| std::mem::replace(before, modules.clone()) != modules);
        Ok(())
    }

    pub(super) fn touch_everyone(&mut self) {
        self.progress.full_pass = true;
        self.people.touch_everyone();
    }
}

/// What servers ask for, by the store: all of them, or these.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn stored_rules(
    store: &Store,
    default: &Policy,
    only: Option<&BTreeSet<GuildId>>,
) -> anyhow::Result<BTreeMap<GuildId, ServerRules>> {
    let mut all = rules_of(store.gates()?, &store.all_settings()?, default);
    let is_meant = |guild: &GuildId| only.is_none_or(|only| only.contains(guild));
    add_ended(store, default, &mut all, is_meant)?;
    all.retain(|guild, _| is_meant(guild));
    Ok(all)
}

/// Adds the gates that a manager ended in the servers that are meant, by their journals.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn add_ended(
    store: &Store,
    default: &Policy,
    all: &mut BTreeMap<GuildId, ServerRules>,
    is_meant: impl Fn(&GuildId) -> bool,
) -> anyhow::Result<()> {
    for guild in store.servers_with_acts()?.into_iter().filter(is_meant) {
        let ended = store.ended_gates(guild)?;
        if !ended.is_empty() {
            let rules = all
                .entry(guild)
                .or_insert_with(|| ServerRules::under(*default));
            rules.ended = ended;
        }
    }
    Ok(())
}

/// Fills a picture from the store; what was seen on Discord stays.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn load(store: &Store, people: &mut People) -> anyhow::Result<()> {
    people.clear_stored();
    // First: what is read after it has at least the events that make these modules complete.
    let complete = store.complete_modules()?;
    store.for_each_plan(|module, id, plan| people.set_plans([((module, id), Some(plan))]))?;
    store.for_each_blocked(|module, wallet, _| people.set_blocked(module, wallet, true))?;
    store.for_each_subscription(|module, id, state| {
        people.set_subscription(module, id, Some(&state));
    })?;
    let mut wallets = BTreeMap::<_, Vec<_>>::new();
    store.for_each_link(|user, wallet| wallets.entry(user).or_default().push(wallet))?;
    for (user, wallets) in wallets {
        people.set_wallets(user, wallets);
    }
    let mut ended = BTreeMap::<_, Vec<_>>::new();
    store.for_each_ended_link(|user, wallet, end| {
        ended.entry(user).or_default().push((wallet, end));
    })?;
    for (user, ended) in ended {
        people.set_ended_links(user, ended);
    }
    let mut grants = BTreeMap::<_, Vec<_>>::new();
    store.for_each_grant(|grant| grants.entry(grant.user).or_default().push(grant))?;
    for (user, grants) in grants {
        people.set_grants(user, &grants);
    }
    store.for_each_applied(|applied| {
        people.set_applied(applied.member_role(), Some(applied.state));
    })?;
    store.for_each_forgotten(|user| people.set_forgotten(user, true))?;
    store.for_each_seen_in(|user, guild| people.set_seen_in(user, guild))?;
    let policy = *people.default_policy();
    people.set_all_rules(stored_rules(store, &policy, None)?);
    people.set_complete(complete);
    people.tidy_everyone();
    Ok(())
}
