//! PURE. Where a member stands at each gate: the same rule as the plan's, told in full.

use super::{entitlement, holdings_of};
use crate::domain::{GateStanding, RoleStanding, SubscriptionStanding, Timestamp, UserId};
use crate::projection::Access;
use crate::roster::Roster;

/// Every gate of every server that the member is in. Causes are left out: they need each subscription's full state.
pub fn gate_standings(roster: &Roster, user: UserId, now: Timestamp) -> Vec<GateStanding> {
    let wallets = roster.wallets(user);
    let mut standings = Vec::new();
    for (guild, view) in roster.guilds().filter(|(_, view)| view.is_present(user)) {
        for gate in roster.gates(guild) {
            let held = view.held(user);
            let roles = gate.roles.iter().map(|role| RoleStanding {
                role: *role,
                name: view
                    .role_names
                    .get(role)
                    .cloned()
                    .unwrap_or_else(|| role.to_string()),
                held: held.contains(role),
            });
            let subscriptions = holdings_of(roster, gate, wallets).map(|(wallet, holding)| {
                let access = roster.access(wallet, holding);
                let plan = roster.plan(holding.module, holding.plan);
                SubscriptionStanding {
                    wallet,
                    subscription: holding.id,
                    plan: holding.plan,
                    paid_until: plan
                        .zip(holding.gist.last_paid_at)
                        .map(|(plan, paid)| paid.plus(plan.interval)),
                    access_until: match access {
                        Access::Until(until) => Some(until),
                        Access::NeverPaid | Access::Shut(_) => None,
                    },
                    open: access.is_open(now),
                    cause: None,
                }
            });
            let backfill = (!roster.is_complete(gate.module))
                .then(|| "the subscriptions are still being read from the chain".to_owned());
            let of_role = gate
                .roles
                .iter()
                .find_map(|role| view.trouble.get(&Some(*role)));
            let of_guild = view.trouble.get(&None);
            standings.push(GateStanding {
                gate: gate.id,
                guild,
                module: gate.module,
                plans: gate.plans.iter().copied().collect(),
                entitled: entitlement(roster, gate, wallets, now).is_some(),
                roles: roles.collect(),
                subscriptions: subscriptions.collect(),
                trouble: backfill.or_else(|| of_role.or(of_guild).cloned()),
            });
        }
    }
    standings
}
