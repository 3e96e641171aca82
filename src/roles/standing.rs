//! Where a member stands at each gate: the same rule as the plan's, told in full.

use super::blocking;
use super::cause::cause_of;
use super::desired::{entitlement, holdings_of};
use super::people::{Holding, People};
use crate::discord::Discord;
use crate::domain::{
    DiscordStatus, Gate, GateStanding, MemberStanding, RoleId, RoleStanding, SubscriptionStanding,
    Timestamp, UserId, Wallet,
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
    let mut accesses = Vec::new();
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
            let mut subscriptions = Vec::new();
            for (wallet, holding) in holdings_of(people, gate, wallets) {
                let access = people.holdings().access(wallet, holding, &rules.policy);
                accesses.push(access);
                subscriptions.push(subscription(people, wallet, holding, access, now));
            }
            gates.push(GateStanding {
                gate: gate.id,
                guild: gate.guild,
                module: gate.module,
                plans: gate.plans.iter().copied().collect(),
                entitled: entitlement(people, &rules.policy, gate, wallets, now).is_some(),
                roles: gate.roles.iter().map(role).collect(),
                subscriptions,
                trouble: trouble(people, status, user, gate),
            });
        }
    }
    let gates = blocking(store, move |store| {
        let mut accesses = accesses.into_iter();
        for gate in &mut gates {
            let module = gate.module;
            for (one, access) in gate.subscriptions.iter_mut().zip(&mut accesses) {
                one.cause = cause_of(store, one.wallet, module, one.subscription, access, now)?;
            }
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
fn subscription(
    people: &People,
    wallet: Wallet,
    holding: &Holding,
    access: Access,
    now: Timestamp,
) -> SubscriptionStanding {
    SubscriptionStanding {
        wallet,
        subscription: holding.id,
        plan: holding.plan,
        paid_until: people.holdings().paid_until(holding),
        access_until: match access {
            Access::Until(until) => Some(until),
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
