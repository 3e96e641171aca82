//! What can be subscribed to in the link's server, for a visitor who has linked nothing yet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Checkout, Offer, Site, way_back};
use crate::domain::{Gate, GateStanding, GuildId, RoleStanding};
use crate::web::error::WebError;
use crate::web::session::OwnLink;

/// How long the page waits for names and prices. Without them a plan has its number.
const NAMES_PATIENCE: Duration = Duration::from_millis(500);

/// The offers of the server. None while roles cannot be given there: nobody is to pay for what does not come.
pub(in crate::web) async fn on_sale(site: &Site, link: &OwnLink) -> Result<Vec<Offer>, WebError> {
    let guild = link.request.guild;
    let mut gates = site.with_store(|store| store.gates()).await?;
    gates.retain(|gate| gate.guild == guild);
    if gates.is_empty() || is_in_trouble(site, guild, &gates) {
        return Ok(Vec::new());
    }
    let modules: BTreeSet<_> = gates.iter().map(|gate| gate.module).collect();
    let modules: Vec<_> = modules.into_iter().collect();
    let merchants = &site.state.merchants;
    let plans = merchants.plans_within(&modules, NAMES_PATIENCE).await;
    let back = way_back(site, link);
    let checkout = Checkout {
        template: &site.settings().checkout_url,
        back: back.as_ref(),
        plans: &plans,
        troubles: &site.state.gate_troubles.borrow().clone(),
    };
    let mut offers = BTreeSet::new();
    for gate in &gates {
        let standing = of_stranger(site, gate);
        offers.extend(
            gate.plans
                .iter()
                .filter_map(|plan| checkout.offer(&standing, plan)),
        );
    }
    Ok(offers.into_iter().collect())
}

fn is_in_trouble(site: &Site, guild: GuildId, gates: &[Gate]) -> bool {
    let failing = &site.state.discord.borrow().failing;
    let unread = &site.state.chain.borrow().unread_modules;
    failing.keys().any(|(of, _)| *of == guild)
        || gates.iter().any(|gate| unread.contains_key(&gate.module))
}

/// Where somebody stands who has no wallet.
fn of_stranger(site: &Site, gate: &Gate) -> GateStanding {
    let role = |role: &_| RoleStanding {
        role: *role,
        name: site
            .state
            .merchants
            .role_name(gate.guild, *role)
            .unwrap_or_else(|| "a role".to_owned()),
        held: false,
    };
    GateStanding::without_wallet(gate, gate.roles.iter().map(role).collect(), None)
}
