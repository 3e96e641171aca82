//! Keeps the picture in step with the store: filled at the start, fed with what each commit touched.

use std::collections::BTreeMap;

use super::people::People;
use super::{Roles, blocking};
use crate::domain::ReadingState;
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
        if touched.gates {
            let store = self.store.clone();
            let gates = blocking(move || store.gates()).await?;
            self.people.set_gates(gates);
            self.gates_changed();
        }
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

    /// Other gates may ask about other modules and other servers.
    fn gates_changed(&mut self) {
        self.show_modules();
        let guilds = self.people.guilds();
        for guild in &guilds {
            self.discord.watch(*guild, &self.people.roles_of(*guild));
            if self.people.seated(*guild).next().is_none() {
                self.discord.show_reading(*guild, ReadingState::Done);
            }
        }
        for guild in self.watched.difference(&guilds) {
            self.discord.watch(*guild, &Default::default());
        }
        self.watched = guilds;
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
    people.set_gates(store.gates()?);
    people.set_complete(complete);
    people.tidy_everyone();
    Ok(())
}
