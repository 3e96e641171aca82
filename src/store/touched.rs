//! What the commits since the last look have changed, so that a tick touches only that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tokio::sync::Notify;

use super::Store;
use crate::domain::{
    GuildId, Mark, ModuleAddress, Plan, PlanId, Policy, Subscription, SubscriptionId, UserId,
    Wallet,
};

/// Beyond this many entries a reader is better off with everything (and an absent reader costs no memory).
pub(super) const MOST_ENTRIES: usize = 20_000;

/// Changed state since the last [`Store::take_touched`].
#[derive(Debug, Default, PartialEq)]
pub struct Touched {
    /// Too much changed to list it: load everything again. What is listed besides is no more than a part.
    pub everything: bool,
    /// Subscriptions with their new state; `None` when a reorganisation removed them.
    pub subscriptions: BTreeMap<(ModuleAddress, SubscriptionId), Option<Subscription>>,
    /// Plans with their new terms.
    pub plans: BTreeMap<(ModuleAddress, PlanId), Option<Plan>>,
    /// Subscribers with the mark of the block in force.
    pub blocked: BTreeMap<(ModuleAddress, Wallet), Option<Mark>>,
    /// Members whose links changed.
    pub members: BTreeSet<UserId>,
    /// Servers whose gates or settings changed.
    pub servers: BTreeSet<GuildId>,
    /// `[policy]` of a configuration that was read again, told together with its gates and settings.
    pub policy: Option<Policy>,
    /// Whether the modules of merchants changed, which are followed also without a gate.
    pub merchants: bool,
    /// The modules that are complete (read up to the cursor), when one became so or ceased to be. Told together with what
    /// makes them so: whoever believes in a complete module has all of its subscriptions.
    pub complete: Option<BTreeSet<ModuleAddress>>,
}

impl Touched {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The gates or the settings of these servers changed.
    pub(super) fn in_servers(servers: impl IntoIterator<Item = GuildId>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            ..Self::default()
        }
    }

    fn absorb(&mut self, newer: Self) {
        self.everything |= newer.everything;
        self.servers.extend(newer.servers);
        self.merchants |= newer.merchants;
        self.policy = newer.policy.or(self.policy);
        self.complete = newer.complete.or(self.complete.take());
        self.members.extend(newer.members);
        self.subscriptions.extend(newer.subscriptions);
        self.plans.extend(newer.plans);
        self.blocked.extend(newer.blocked);
        let entries =
            self.members.len() + self.subscriptions.len() + self.plans.len() + self.blocked.len();
        if self.everything || entries > MOST_ENTRIES {
            let few = self.members.len() <= MOST_ENTRIES;
            *self = Self {
                everything: true,
                // Those who do not load everything yet learn of these at least.
                members: std::mem::take(&mut self.members)
                    .into_iter()
                    .filter(|_| few)
                    .collect(),
                servers: std::mem::take(&mut self.servers),
                policy: self.policy,
                merchants: self.merchants,
                ..Self::default()
            };
        }
    }
}

#[derive(Default)]
pub(super) struct Inbox {
    content: Mutex<Touched>,
    arrived: Notify,
}

impl Inbox {
    /// Called after a commit, never before: whoever wakes must find the new state.
    pub(super) fn put(&self, touched: Touched) {
        if touched.is_empty() {
            return;
        }
        self.content
            .lock()
            .expect("no holder of this lock can panic")
            .absorb(touched);
        self.arrived.notify_one();
    }
}

impl Store {
    /// Waits until something was committed that roles may depend on. Returns at once if that was so before the call.
    pub async fn changed(&self) {
        self.touched.arrived.notified().await;
    }

    /// Takes what changed since the last call.
    pub fn take_touched(&self) -> Touched {
        std::mem::take(
            &mut *self
                .touched
                .content
                .lock()
                .expect("no holder of this lock can panic"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_servers_are_told_beside_everything() {
        let inbox = Inbox::default();
        let of = |members: std::ops::Range<u64>| Touched {
            members: members.map(UserId).collect(),
            ..Touched::default()
        };
        inbox.put(of(0..1));
        let policy = Some(Policy::default());
        inbox.put(Touched {
            policy,
            ..Touched::default()
        });
        inbox.put(Touched {
            everything: true,
            servers: [GuildId(3)].into(),
            ..Touched::default()
        });
        inbox.put(of(1..2));
        let told = std::mem::take(&mut *inbox.content.lock().unwrap());
        assert!(told.everything);
        assert_eq!(told.servers, [GuildId(3)].into());
        assert_eq!(told.policy, policy);
        assert_eq!(told.members, [UserId(0), UserId(1)].into());
        // A reader that never comes costs no memory.
        inbox.put(of(0..MOST_ENTRIES as u64 + 1));
        let told = std::mem::take(&mut *inbox.content.lock().unwrap());
        assert!(told.everything && told.members.is_empty());
    }
}
