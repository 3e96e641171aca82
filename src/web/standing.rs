//! What a member holds after linking: asked of the roles' loop until it has caught up, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::Site;
use crate::domain::{GuildId, MemberStanding, Question, RoleId, UserId, Wallet, checkout};
use crate::store::Store;

/// Between one question and the next.
const PAUSE: Duration = Duration::from_millis(40);

/// A role on Discord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NamedRole {
    guild_id: GuildId,
    role_id: RoleId,
    name: String,
}

/// What the page shows after linking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    /// Roles that Discord shows on the member.
    pub(super) roles: Vec<NamedRole>,
    /// Roles that the member is entitled to and does not hold yet.
    pub(super) pending: Vec<NamedRole>,
    /// Where to subscribe, if nothing in the link's server is open to the member and nothing there is in trouble.
    pub(super) subscribe: Vec<Offer>,
    /// Why roles cannot come at present.
    pub(super) trouble: Vec<String>,
    /// The link's server was not read yet, so that nothing is known of its roles.
    pub(super) unread: bool,
}

/// What the roles' loop answered, and whether the link's server is left out for want of having been read.
pub(super) struct Settled {
    standing: MemberStanding,
    unread: bool,
}

/// A plan that would open a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Offer {
    /// The roles it opens, by name.
    roles: Vec<String>,
    /// The plan's id.
    plan_id: String,
    /// The merchant's checkout.
    url: String,
}

/// Asks until the roles' loop knows the wallet and the server that the visitor came from, and every role that the
/// member is entitled to is held, or until the patience is over; then whatever was answered last. `None` without any
/// answer: the link stands all the same.
pub(super) async fn settled(
    site: &Site,
    user: UserId,
    guild: GuildId,
    wallet: Option<Wallet>,
    patience: Duration,
) -> Option<Settled> {
    let deadline = Instant::now() + patience;
    let gates = site.with_store(Store::gates).await.ok()?;
    let mut last = None;
    while let Some(standing) = ask(site, user, deadline).await {
        let knows = wallet.is_none_or(|wallet| standing.wallets.contains(&wallet));
        let unread = standing.leaves_out(guild, &gates);
        let done = knows && !unread && !is_pending(&standing);
        if knows {
            last = Some(Settled { standing, unread });
        }
        if done || Instant::now() + PAUSE >= deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    last
}

async fn ask(site: &Site, user: UserId, deadline: Instant) -> Option<MemberStanding> {
    let (answer, answered) = oneshot::channel();
    let question = Question::Standing { user, answer };
    let asked = async {
        site.state.questions.send(question).await.ok()?;
        answered.await.ok()
    };
    timeout_at(deadline, asked).await.ok().flatten()
}

fn is_pending(standing: &MemberStanding) -> bool {
    let mut entitled = standing.gates.iter().filter(|gate| gate.entitled);
    // A gate in trouble will not come round while the visitor waits.
    entitled.any(|gate| gate.trouble.is_none() && gate.roles.iter().any(|role| !role.held))
}

/// What to show of a standing to a visitor who came from `guild`.
pub(super) fn shown(settled: &Settled, guild: GuildId, checkout_url: &str) -> Standing {
    let Settled { standing, unread } = settled;
    let mut held = BTreeMap::new();
    let mut pending = BTreeMap::new();
    let mut trouble = BTreeSet::new();
    for gate in &standing.gates {
        for role in &gate.roles {
            let key = (gate.guild != guild, gate.guild, role.role);
            let named = NamedRole {
                guild_id: gate.guild,
                role_id: role.role,
                name: role.name.clone(),
            };
            if role.held {
                held.insert(key, named);
            } else if gate.entitled {
                pending.insert(key, named);
            }
        }
        if gate.guild == guild {
            trouble.extend(gate.trouble.clone());
        }
    }
    let here = || standing.gates.iter().filter(|gate| gate.guild == guild);
    let mut subscribe = BTreeSet::new();
    // In trouble, what was paid for may not be known yet: nobody is to pay twice.
    if here().all(|gate| !gate.entitled && gate.trouble.is_none()) {
        for gate in here() {
            subscribe.extend(gate.plans.iter().map(|plan| Offer {
                roles: gate.roles.iter().map(|role| role.name.clone()).collect(),
                plan_id: plan.to_string(),
                url: checkout(checkout_url, gate.module, plan),
            }));
        }
    }
    Standing {
        roles: held.into_values().collect(),
        pending: pending.into_values().collect(),
        subscribe: subscribe.into_iter().collect(),
        trouble: trouble.into_iter().collect(),
        unread: *unread,
    }
}
