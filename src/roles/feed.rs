//! Keeps the picture in step with the store: filled at the start, fed with what each commit touched.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{People, ServerRules};
use super::{Roles, blocking};
use crate::domain::{Gate, GuildId, Policy, ReadingState, ServerSettings};
use crate::store::{Store, Touched};

impl Roles {
    /// Feeds the picture with what the store's commits touched.
    pub(super) async fn feed(&mut self, touched: Touched) -> anyhow::Result<()> {
        if touched.is_empty() {
            return Ok(());
        }
        if touched.everything {
            if self.progress.reached_tip {
                return self.reload().await;
            }
            // Nothing is planned before the tip is reached, and until then this happens with each large commit.
            self.progress.reload_at_tip = true;
        }
        for ((module, id), plan) in touched.plans {
            self.people.set_plan(module, id, plan);
        }
        for ((module, wallet), mark) in touched.blocked {
            self.people.set_blocked(module, wallet, mark.is_some());
        }
        for ((module, id), state) in &touched.subscriptions {
            self.people.set_subscription(*module, *id, state.as_ref());
        }
        for user in touched.members {
            let store = self.store.clone();
            let (ended, forgotten, wallets, seen_in) = blocking(move || {
                let (ended, forgotten) = (store.ended_links_of(user)?, store.is_forgotten(user)?);
                Ok((
                    ended,
                    forgotten,
                    store.wallets_of(user)?,
                    store.seen_in(user)?,
                ))
            })
            .await?;
            self.people.set_ended_links(user, ended);
            self.people.set_forgotten(user, forgotten);
            self.people.set_wallets(user, wallets);
            for guild in seen_in {
                self.people.set_seen_in(user, guild);
            }
        }
        self.feed_servers(touched.servers).await?;
        if touched.merchants {
            let store = self.store.clone();
            self.merchant_modules = blocking(move || store.merchant_modules()).await?;
            self.show_modules();
        }
        if let Some(complete) = touched.complete {
            self.people.set_complete(complete);
        }
        Ok(())
    }

    /// Fills the picture from the store; what was seen on Discord stays.
    pub(super) async fn reload(&mut self) -> anyhow::Result<()> {
        let mut people = std::mem::take(&mut self.people);
        let store = self.store.clone();
        (self.people, self.merchant_modules) = blocking(move || {
            load(&store, &mut people)?;
            Ok((people, store.merchant_modules()?))
        })
        .await?;
        self.gates_changed();
        self.touch_everyone();
        Ok(())
    }

    /// Feeds the picture with what these servers ask for now.
    async fn feed_servers(&mut self, servers: BTreeSet<GuildId>) -> anyhow::Result<()> {
        if servers.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let policy = *self.people.default_policy();
        let (servers, mut rules) = blocking(move || {
            let rules = stored_rules(&store, &policy, Some(&servers))?;
            Ok((servers, rules))
        })
        .await?;
        for guild in servers {
            let rules = rules.remove(&guild).unwrap_or_else(|| ServerRules {
                policy,
                ..ServerRules::default()
            });
            self.people.set_rules(guild, rules);
            self.reading.want_list(&self.people, guild);
            self.show_server(guild);
        }
        self.show_modules();
        Ok(())
    }

    /// Takes another `[policy]`.
    pub(super) async fn set_policy(&mut self, policy: Policy) -> anyhow::Result<()> {
        if policy == *self.people.default_policy() {
            return Ok(());
        }
        tracing::info!("the policy changed");
        self.people.set_default_policy(policy);
        let store = self.store.clone();
        let all = blocking(move || stored_rules(&store, &policy, None)).await?;
        self.people.set_all_rules(all);
        for guild in self.people.guilds() {
            self.reading.want_list(&self.people, guild);
        }
        self.touch_everyone();
        Ok(())
    }

    /// Other gates may ask about other modules and other servers.
    fn gates_changed(&mut self) {
        self.show_modules();
        let guilds = self.people.guilds();
        for guild in self.watched.union(&guilds).copied().collect::<Vec<_>>() {
            self.show_server(guild);
        }
    }

    /// Lets Discord's side know which roles of a server matter, if any do.
    fn show_server(&mut self, guild: GuildId) {
        if !self.people.is_of_interest(guild) {
            self.watched.remove(&guild);
            self.discord.watch(guild, &Default::default());
            return;
        }
        self.watched.insert(guild);
        self.discord.watch(guild, &self.people.roles_of(guild));
        if self.people.seated(guild).next().is_none() {
            self.discord.show_reading(guild, ReadingState::Done);
        }
    }

    /// Tells the follower which modules to follow.
    fn show_modules(&self) {
        let mut modules = self.people.modules();
        modules.extend(&self.merchant_modules);
        self.inputs
            .modules
            .send_if_modified(|before| std::mem::replace(before, modules.clone()) != modules);
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
    let settings = store.all_settings()?;
    let mut all = rules(store.gates()?, &settings, default);
    all.retain(|guild, _| only.is_none_or(|only| only.contains(guild)));
    for guild in store.servers_with_acts()? {
        if only.is_none_or(|only| only.contains(&guild)) {
            let ended = store.ended_gates(guild)?;
            if !ended.is_empty() {
                let own = settings.get(&guild).copied().unwrap_or_default();
                let rules = all.entry(guild).or_insert_with(|| ServerRules {
                    policy: own.policy(default),
                    ..ServerRules::default()
                });
                rules.ended = ended;
            }
        }
    }
    Ok(all)
}

/// What servers with these gates and settings ask for.
pub(super) fn rules(
    gates: Vec<Gate>,
    settings: &BTreeMap<GuildId, ServerSettings>,
    default: &Policy,
) -> BTreeMap<GuildId, ServerRules> {
    let mut all = BTreeMap::<_, ServerRules>::new();
    let new = |policy| ServerRules {
        policy,
        ..ServerRules::default()
    };
    for (guild, own) in settings {
        all.insert(*guild, new(own.policy(default)));
    }
    for gate in gates {
        let rules = all.entry(gate.guild).or_insert_with(|| new(*default));
        rules.gates.push(gate);
    }
    all
}

/// Fills a picture from the store; what was seen on Discord stays.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn load(store: &Store, people: &mut People) -> anyhow::Result<()> {
    people.clear_stored();
    // First: what is read after it has at least the events that make these modules complete.
    let complete = store.complete_modules()?;
    store.for_each_plan(|module, id, plan| people.set_plan(module, id, Some(plan)))?;
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
    store.for_each_applied(|applied| {
        people.set_applied(
            applied.guild,
            applied.user,
            applied.role,
            Some(applied.state),
        );
    })?;
    store.for_each_forgotten(|user| people.set_forgotten(user, true))?;
    store.for_each_seen_in(|user, guild| people.set_seen_in(user, guild))?;
    let policy = *people.default_policy();
    people.set_all_rules(stored_rules(store, &policy, None)?);
    people.set_complete(complete);
    people.tidy_everyone();
    Ok(())
}
