//! Where a member stands at each gate: the same rule as the plan's, told in full.

use super::blocking;
use super::cause::cause_of;
use super::desired::{Reason, entitlement, reasons};
use super::people::People;
use crate::discord::Discord;
use crate::domain::{
    DiscordStatus, Gate, GateStanding, MemberStanding, RoleId, RoleStanding, SubscriptionStanding,
    Timestamp, UserId,
};
use crate::projection::Access;
use crate::store::Store;

/// Where a member stands at every gate of every server that they are in, with causes.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn standing(
    store: &Store,
    discord: &Discord,
    status: &DiscordStatus,
    people: &People,
    user: UserId,
    now: Timestamp,
) -> anyhow::Result<MemberStanding> {
    let wallets = people.wallets(user);
    let mut gates = Vec::new();
    let mut all = Vec::new();
    let seats = people
        .person(user)
        .into_iter()
        .flat_map(|person| &person.seats);
    let mut seats: Vec<_> = seats.filter(|seat| seat.is_there()).collect();
    seats.sort_unstable_by_key(|seat| seat.guild);
    for seat in seats {
        let rules = people.rules(seat.guild);
        for gate in &rules.gates {
            let role = |role: &RoleId| RoleStanding {
                role: *role,
                name: discord
                    .role_name(gate.guild, *role)
                    .unwrap_or_else(|| role.to_string()),
                held: seat.held.contains(role),
            };
            let here: Vec<_> = reasons(people, &rules.policy, gate, wallets).collect();
            let subscriptions = here.iter().map(|one| subscription(people, one, now));
            gates.push(GateStanding {
                gate: gate.id,
                guild: gate.guild,
                module: gate.module,
                plans: gate.plans.iter().copied().collect(),
                entitled: entitlement(people, &rules.policy, gate, wallets, now).is_some(),
                roles: gate.roles.iter().map(role).collect(),
                subscriptions: subscriptions.collect(),
                trouble: trouble(people, status, user, gate),
            });
            all.extend(here);
        }
    }
    let gates = blocking(store, move |store| {
        let told = gates.iter_mut().flat_map(|gate| &mut gate.subscriptions);
        for (one, reason) in told.zip(&all) {
            one.cause = cause_of(store, reason, now)?;
        }
        Ok(gates)
    })
    .await?;
    Ok(MemberStanding {
        user,
        wallets: wallets.to_vec(),
        now,
        gates,
    })
}

/// A subscription as far as the picture tells; its cause needs its full state.
fn subscription(people: &People, reason: &Reason, now: Timestamp) -> SubscriptionStanding {
    let Reason {
        wallet,
        holding,
        access,
    } = reason;
    SubscriptionStanding {
        wallet: *wallet,
        subscription: holding.id,
        plan: holding.plan,
        paid_until: people.holdings().paid_until(holding),
        access_until: match access {
            Access::Until(until) => Some(*until),
            Access::NeverPaid | Access::Shut(_) => None,
        },
        open: access.is_open(now),
        cause: None,
    }
}

/// Why a gate cannot work at present for this member.
fn trouble(people: &People, status: &DiscordStatus, user: UserId, gate: &Gate) -> Option<String> {
    if !people.is_complete(gate.module) {
        return Some("the subscriptions are still being read from the chain".to_owned());
    }
    let failing = |role| status.failing.get(&(gate.guild, role));
    let of_role = gate.roles.iter().find_map(|role| failing(Some(*role)));
    let contested = status.servers.get(&gate.guild).and_then(|server| {
        let contested = gate
            .roles
            .iter()
            .filter_map(|role| server.contested.get(role));
        let mut of_member = contested.filter(|one| one.members.contains(&user));
        of_member.next().map(|one| &one.sentence)
    });
    let standing = of_role.or_else(|| failing(None));
    standing.or(contested).cloned()
}
