//! What a member holds after linking: asked of the roles' loop until it has caught up, within bounds.

mod on_sale;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::Site;
use super::paid::return_url_of;
use super::payment::PaymentNews;
use super::session::OwnLink;
use super::terms::terms;
use crate::domain::{
    GateStanding, GateTroubles, GuildId, MemberStanding, ModuleAddress, PlanId, Question, RoleId,
    RoleStanding, UserId, Wallet, checkout, is_for_sale,
};
use crate::merchants::PlanRow;
use crate::store::{LinkRequest, Store};

pub(super) use on_sale::on_sale;

/// Between one question and the next.
const PAUSE: Duration = Duration::from_millis(40);

/// How long names of servers, and names and prices of plans, are waited for.
const NAMES_PATIENCE: Duration = Duration::from_secs(2);

/// A role on Discord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NamedRole {
    guild_id: GuildId,
    role_id: RoleId,
    pub(super) name: String,
}

/// What the page shows after linking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    /// Roles that Discord shows on the member: those of the link's server first.
    roles: Vec<NamedRole>,
    /// Roles that the member is entitled to and does not hold yet.
    pending: Vec<NamedRole>,
    /// The names of the other servers that these roles are in, as far as Discord tells.
    servers: BTreeMap<GuildId, String>,
    /// Where to subscribe, if nothing in the link's server is open to the member and nothing there is in trouble.
    subscribe: Vec<Offer>,
    /// Why roles cannot come at present.
    trouble: Vec<String>,
    /// The link's server was not read yet, so that nothing is known of its roles.
    unread: bool,
    /// The payment that the visitor comes back from the checkout with. While it is on its way, nothing else is told: nobody is
    /// to pay twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentNews>,
}

impl Standing {
    /// The same with the payment that the visitor comes back with.
    pub(super) fn with(self, payment: Option<PaymentNews>) -> Self {
        Self { payment, ..self }
    }
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
    pub(super) roles: Vec<String>,
    /// The plan's id.
    plan_id: String,
    /// The plan's name at amser, else "plan 1".
    pub(super) name: String,
    /// What it costs, if that is known.
    pub(super) terms: Option<String>,
    /// The merchant's checkout.
    pub(super) url: String,
}

/// Where plans are bought.
struct Checkout<'a> {
    /// With `{module}` and `{plan_id}`.
    template: &'a str,
    /// The page to come back to.
    back: Option<&'a Url>,
    /// What is known of the plans.
    plans: &'a [PlanRow],
    /// What the chain says of the gates.
    troubles: &'a GateTroubles,
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

/// What the page shows of an answer of [`settled`]. Names and prices come from elsewhere, so they are waited for
/// [`NAMES_PATIENCE`] long.
pub(super) async fn outcome(site: &Site, link: &OwnLink, settled: &Settled) -> Standing {
    let LinkRequest { user, guild, .. } = link.request;
    let modules = settled.offered(guild);
    let merchants = &site.state.merchants;
    let plans = merchants.plans_within(&modules, NAMES_PATIENCE).await;
    let back = way_back(site, link);
    let checkout = Checkout {
        template: &site.settings().checkout_url,
        back: back.as_ref(),
        plans: &plans,
        troubles: &site.state.gate_troubles.borrow().clone(),
    };
    let mut standing = shown(settled, guild, &checkout);
    let named = standing.roles.iter().chain(&standing.pending);
    let others: BTreeSet<_> = named.map(|role| role.guild_id).collect();
    let names = others.into_iter().filter(|other| *other != guild);
    let names = names.map(async |other| {
        let profile = site.profile(other, user).await.ok()?;
        Some((other, profile.server_name))
    });
    let names = timeout(NAMES_PATIENCE, join_all(names)).await;
    standing.servers = names.unwrap_or_default().into_iter().flatten().collect();
    standing
}

/// Where the checkout leads back to. Without a sign-in whoever has the link reads the member's roles, so it is not given to the
/// checkout.
fn way_back(site: &Site, link: &OwnLink) -> Option<Url> {
    link.session.as_ref()?;
    let public_url = &site.settings().public_url;
    return_url_of(public_url, link.request.guild, &link.token)
}

impl Settled {
    /// The roles that Discord shows on the member, those of `guild` first.
    pub(super) fn roles(&self, guild: GuildId) -> Vec<NamedRole> {
        roles(&self.standing, guild, |_, role| role.held)
    }

    /// The modules whose plans are offered to a visitor who came from `guild`. In trouble, what was paid for may not be known
    /// yet: nobody is to pay twice.
    fn offered(&self, guild: GuildId) -> Vec<ModuleAddress> {
        let here = || {
            self.standing
                .gates
                .iter()
                .filter(|gate| gate.guild == guild)
        };
        match here().all(|gate| !gate.entitled && gate.trouble.is_none()) {
            true => BTreeSet::from_iter(here().map(|gate| gate.module))
                .into_iter()
                .collect(),
            false => Vec::new(),
        }
    }
}

/// The roles for which `which` holds, each once, those of `guild` first.
fn roles(
    standing: &MemberStanding,
    guild: GuildId,
    which: impl Fn(&GateStanding, &RoleStanding) -> bool,
) -> Vec<NamedRole> {
    let mut found = BTreeMap::new();
    for gate in &standing.gates {
        for role in gate.roles.iter().filter(|role| which(gate, role)) {
            let named = NamedRole {
                guild_id: gate.guild,
                role_id: role.role,
                name: role.name.clone(),
            };
            found.insert((gate.guild != guild, gate.guild, role.role), named);
        }
    }
    found.into_values().collect()
}

/// What to show of a standing to a visitor who came from `guild`.
fn shown(settled: &Settled, guild: GuildId, checkout: &Checkout<'_>) -> Standing {
    let standing = &settled.standing;
    let here = || standing.gates.iter().filter(|gate| gate.guild == guild);
    let trouble: BTreeSet<_> = here().filter_map(|gate| gate.trouble.clone()).collect();
    let modules = settled.offered(guild);
    let mut subscribe = BTreeSet::new();
    for gate in here().filter(|gate| modules.contains(&gate.module)) {
        subscribe.extend(
            gate.plans
                .iter()
                .filter_map(|plan| checkout.offer(gate, plan)),
        );
    }
    Standing {
        roles: settled.roles(guild),
        pending: roles(standing, guild, |gate, role| gate.entitled && !role.held),
        servers: BTreeMap::new(),
        subscribe: subscribe.into_iter().collect(),
        trouble: trouble.into_iter().collect(),
        unread: settled.unread,
        payment: None,
    }
}

impl Checkout<'_> {
    /// `None` for a plan that is known to take no subscriptions, or to give nobody the gate's roles.
    fn offer(&self, gate: &GateStanding, plan: &PlanId) -> Option<Offer> {
        let is_it = |row: &&PlanRow| row.module == gate.module && row.plan == *plan;
        let row = self.plans.iter().find(is_it);
        let is_over = row.is_some_and(|row| !row.active);
        if is_over || !is_for_sale(self.troubles, gate.gate, plan) {
            return None;
        }
        Some(Offer {
            roles: gate.roles.iter().map(|role| role.name.clone()).collect(),
            plan_id: plan.to_string(),
            name: row.map_or_else(|| format!("plan {plan}"), |row| row.name.clone()),
            terms: row.map(terms),
            url: checkout(self.template, gate.module, plan, self.back),
        })
    }
}

#[cfg(test)]
mod tests;
