//! Which renewals look unlikely, and which members are warned of theirs: three days before, and when a charge failed while the
//! server keeps the role until the end of the grace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::deliver::{Job, Lane, What, nonce};
use super::{Inputs, Names};
use crate::domain::{
    AppliedState, AtRisk, Gate, GuildId, Message, ModuleAddress, OnLapse, Policy, RoleId,
    ServerSettings, Timestamp, UserId,
};
use crate::store::Store;
use crate::text;

/// How far ahead it is looked, for the weekly digest.
const AHEAD: Duration = Duration::from_secs(7 * 86_400);
/// How far ahead a member is warned, in seconds.
const WARNED_AHEAD: u64 = 3 * 86_400;

/// A member to be warned, in the name of one server whose role they would lose.
#[derive(Clone, Debug)]
pub(super) struct Warning {
    pub(super) user: UserId,
    /// The server whose role depends on it, and the roles.
    guild: GuildId,
    roles: BTreeSet<RoleId>,
    at_risk: AtRisk,
}

/// What is foretold.
#[derive(Clone, Debug, Default)]
pub(super) struct Foretold {
    pub(super) warnings: Vec<Warning>,
    /// How many renewals of the next week look unlikely, by server.
    pub(super) at_risk: BTreeMap<GuildId, usize>,
}

/// Asks the chain about the renewals of the servers that tell anybody.
pub(super) async fn foretell(inputs: &Inputs) -> anyhow::Result<Foretold> {
    let store = inputs.store.clone();
    let read = move || anyhow::Ok((store.all_settings()?, store.gates()?));
    let (settings, mut gates) = tokio::task::spawn_blocking(read).await??;
    gates.retain(|gate| {
        let of = settings.get(&gate.guild);
        of.is_some_and(|of| of.log_channel.is_some() || of.member_notices == Some(true))
    });
    let modules: BTreeSet<ModuleAddress> = gates.iter().map(|gate| gate.module).collect();
    if modules.is_empty() {
        return Ok(Foretold::default());
    }
    let at_risk = inputs.forecast.of_modules(&modules, AHEAD).await?;
    let confirmed = inputs.chain.borrow().confirmed;
    let now = confirmed.map_or(Timestamp::default(), |block| block.timestamp);
    let (store, policy) = (inputs.store.clone(), *inputs.policy.borrow());
    let judged = move || judge(&store, &settings, &gates, &policy, at_risk, now);
    tokio::task::spawn_blocking(judged).await?
}

/// Whom these renewals concern.
fn judge(
    store: &Store,
    settings: &BTreeMap<GuildId, ServerSettings>,
    gates: &[Gate],
    policy: &Policy,
    at_risk: Vec<AtRisk>,
    now: Timestamp,
) -> anyhow::Result<Foretold> {
    let mut foretold = Foretold::default();
    for at_risk in at_risk {
        let of_plan =
            |gate: &&Gate| gate.module == at_risk.module && gate.plans.contains(&at_risk.plan);
        let mut roles: BTreeMap<GuildId, BTreeSet<RoleId>> = BTreeMap::new();
        for gate in gates.iter().filter(of_plan) {
            roles.entry(gate.guild).or_default().extend(&gate.roles);
        }
        for guild in roles.keys() {
            *foretold.at_risk.entry(*guild).or_default() += 1;
        }
        if at_risk.due_at > now.plus(WARNED_AHEAD) {
            continue;
        }
        let Some(link) = store.link_of(at_risk.wallet)? else {
            continue;
        };
        let user = link.user;
        for (guild, roles) in roles {
            let of = settings.get(&guild).copied().unwrap_or_default();
            // Where a failed payment takes the role, the member is told of that.
            let keeps = of.policy(policy).payment_failed == OnLapse::KeepUntilExpiry;
            if of.member_notices != Some(true) || (at_risk.has_failed && !keeps) {
                continue;
            }
            let mut held = BTreeSet::new();
            for role in roles {
                let applied = store.applied(guild, user, role)?;
                if applied.is_some_and(|applied| applied.state == AppliedState::Granted) {
                    held.insert(role);
                }
            }
            if !held.is_empty() {
                foretold.warnings.push(Warning {
                    user,
                    guild,
                    roles: held,
                    at_risk,
                });
                break;
            }
        }
    }
    Ok(foretold)
}

impl Warning {
    /// The message, unless the member was told of this charge.
    pub(super) fn job(&self, store: &Store, names: &Names) -> anyhow::Result<Option<Job>> {
        let (user, at_risk) = (self.user, &self.at_risk);
        let due = (at_risk.due_at, at_risk.has_failed);
        let warned = store.warned(user, at_risk.module, at_risk.subscription)?;
        if warned.is_some_and(|warned| warned >= due) {
            return Ok(None);
        }
        let named: Vec<_> = self
            .roles
            .iter()
            .map(|role| names(self.guild, *role))
            .collect();
        let guild = named.first().map(|(guild, _)| guild.clone());
        let roles: Vec<_> = named.into_iter().filter_map(|(_, role)| role).collect();
        let subscription = at_risk.subscription.0.to_be_bytes::<32>();
        Ok(Some(Job {
            lane: Lane::Member(user),
            to: Some(user),
            message: Message {
                content: text::renewal_notice(at_risk, &roles, &guild.unwrap_or_default()),
                nonce: nonce(&[
                    b"renewal",
                    &user.0.to_be_bytes(),
                    at_risk.module.0.as_slice(),
                    &subscription,
                    &due.0.0.to_be_bytes(),
                    &[u8::from(due.1)],
                ]),
                button: Some(super::stop_button()),
            },
            what: What::Renewal {
                user,
                module: at_risk.module,
                subscription: at_risk.subscription,
                due,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::domain::{
        Cause, GateId, GateMatch, GateOrigin, Link, PlanId, Risk, RoleAction, RoleChange,
        SubscriptionId, Wallet,
    };

    const GUILD: GuildId = GuildId(1);
    const USER: UserId = UserId(5);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn at_risk(due_in: u64, has_failed: bool) -> AtRisk {
        AtRisk {
            module: ModuleAddress(Address::repeat_byte(1)),
            plan: PlanId::from(1),
            subscription: SubscriptionId::from(7),
            wallet: Wallet(Address::repeat_byte(5)),
            due_at: NOW.plus(due_in),
            access_until: NOW.plus(due_in + 500),
            price: U256::from(5),
            token: Address::ZERO,
            risk: Risk::BalanceTooLow,
            has_failed,
        }
    }

    fn linked() -> Store {
        let store = Store::in_memory().unwrap();
        let link = Link {
            user: USER,
            wallet: Wallet(Address::repeat_byte(5)),
            linked_at: Timestamp(1),
            proof: None,
        };
        store.link(&link, 5).unwrap();
        let given = RoleChange {
            action: RoleAction::Grant,
            guild: GUILD,
            user: USER,
            role: RoleId(9),
            cause: Cause::NoSubscription,
        };
        store.adopt(&[given], 1).unwrap();
        store
    }

    fn judged(store: &Store, settings: ServerSettings, at_risk: AtRisk) -> Foretold {
        let gate = Gate {
            id: GateId(1),
            guild: GUILD,
            module: at_risk.module,
            plans: [at_risk.plan].into(),
            matching: GateMatch::Any,
            roles: [RoleId(9)].into(),
            origin: GateOrigin::Dashboard,
        };
        let settings = [(GUILD, settings)].into();
        let policy = Policy::default();
        judge(store, &settings, &[gate], &policy, vec![at_risk], NOW).unwrap()
    }

    fn notices() -> ServerSettings {
        ServerSettings {
            member_notices: Some(true),
            ..ServerSettings::default()
        }
    }

    #[test]
    fn a_member_is_warned_three_days_before_where_the_server_wants_it() {
        let store = linked();
        let warned = |settings, due_in| {
            let foretold = judged(&store, settings, at_risk(due_in, false));
            assert_eq!(foretold.at_risk, [(GUILD, 1)].into());
            foretold.warnings.len()
        };
        assert_eq!(warned(notices(), WARNED_AHEAD), 1);
        assert_eq!(warned(notices(), WARNED_AHEAD + 1), 0);
        assert_eq!(warned(ServerSettings::default(), 10), 0);
        store.unlink(USER, Wallet(Address::repeat_byte(5))).unwrap();
        assert_eq!(warned(notices(), 10), 0);
    }

    #[test]
    fn a_failed_charge_is_told_where_the_role_is_kept() {
        let store = linked();
        let keeps = ServerSettings {
            payment_failed: Some(OnLapse::KeepUntilExpiry),
            ..notices()
        };
        assert_eq!(
            judged(&store, notices(), at_risk(0, true)).warnings.len(),
            0
        );
        assert_eq!(judged(&store, keeps, at_risk(0, true)).warnings.len(), 1);
    }

    #[test]
    fn nobody_is_warned_twice_of_one_charge() {
        let store = linked();
        let names: Names = std::sync::Arc::new(|_, _| ("Café".to_owned(), Some("Gold".to_owned())));
        let job = |due_in, has_failed| {
            let warning = Warning {
                user: USER,
                guild: GUILD,
                roles: [RoleId(9)].into(),
                at_risk: at_risk(due_in, has_failed),
            };
            warning.job(&store, &names).unwrap()
        };
        let first = job(10, false).unwrap();
        assert_eq!(first.message.nonce, job(10, false).unwrap().message.nonce);
        assert!(first.message.content.contains("**Gold** in **Café**"));
        let said = |due_in: u64, has_failed| {
            let of = at_risk(due_in, has_failed);
            store
                .set_warned(USER, of.module, of.subscription, (of.due_at, has_failed))
                .unwrap();
        };
        said(10, false);
        assert!(job(10, false).is_none());
        assert!(job(10, true).is_some(), "that it failed is news");
        said(10, true);
        assert!(job(10, true).is_none() && job(10, false).is_none());
        assert!(job(11, false).is_some(), "the next charge is another one");
    }
}
