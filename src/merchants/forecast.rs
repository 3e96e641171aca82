//! Who of a server's subscribers will fail to renew, and what that is worth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use tokio::time::Instant;

use super::plans::LONGEST;
use super::{Merchants, Refusal};
use crate::domain::{
    Amount, AtRisk, ForecastRow, GuildId, OnLapse, Question, RenewalsOf, ServerForecast, UserId,
    Wallet,
};
use crate::forecast::{Forecast, ForecastError};

/// How far it looks ahead.
const WITHIN: Duration = Duration::from_secs(7 * 86_400);

impl Merchants {
    /// Who of the subscribers of the plans that give roles in this server will fail to renew within a week. Who has lost the
    /// role for a failed payment already is not foretold any more. What the wallets have is as of the last minute.
    ///
    /// # Errors
    /// [`Refusal::NotRead`] before the chain was read, [`Refusal::NodeUnavailable`] where no node answers.
    pub async fn forecast(&self, guild: GuildId) -> Result<ServerForecast, Refusal> {
        let gates = self.gates(guild).await?;
        let policy = self.settings(guild).await?.policy(&self.default_policy());
        let plans: BTreeSet<_> = gates
            .iter()
            .flat_map(|gate| gate.plans.iter().map(|plan| (gate.module, *plan)))
            .collect();
        let modules: BTreeSet<_> = gates.iter().map(|gate| gate.module).collect();
        let forecast = Forecast::new(self.inputs().store.clone(), self.inputs().views.clone());
        let of = RenewalsOf::Modules(modules.clone());
        let outlook = self.outlooks().0.get(modules, async {
            let outlook = forecast.outlook(of, WITHIN).await?;
            Ok((Arc::new(outlook), self.inputs().outlook_kept))
        });
        let (outlook, _) = outlook.await.map_err(refusal)?;
        let is_over = |one: &AtRisk| one.has_failed && policy.payment_failed == OnLapse::Revoke;
        let at_risk = outlook.at_risk.iter();
        let at_risk: Vec<AtRisk> = at_risk
            .filter(|one| plans.contains(&(one.module, one.plan)) && !is_over(one))
            .cloned()
            .collect();
        let unread = outlook.unread.iter();
        let unread = unread.filter(|(module, plan, _)| plans.contains(&(*module, *plan)));
        let members = self.members_of(guild, &at_risk).await?;
        let mut sums = BTreeMap::<Address, U256>::new();
        for one in &at_risk {
            let sum = sums.entry(one.token).or_default();
            *sum = sum.saturating_add(one.price);
        }
        let tokens = sums.keys().copied().collect();
        let tokens = self.facts_of(tokens, Instant::now() + LONGEST).await;
        let amount = |token: Address, amount: U256| {
            let facts = tokens.get(&token).cloned().unwrap_or_default();
            Amount {
                token,
                amount,
                decimals: facts.decimals,
                symbol: facts.symbol,
            }
        };
        Ok(ServerForecast {
            now: outlook.now,
            unread: unread.count(),
            registry_unread: outlook.registry_unread,
            worth: sums
                .iter()
                .map(|(token, sum)| amount(*token, *sum))
                .collect(),
            rows: at_risk
                .into_iter()
                .map(|at_risk| ForecastRow {
                    member: members.get(&at_risk.wallet).cloned(),
                    price: amount(at_risk.token, at_risk.price),
                    at_risk,
                })
                .collect(),
        })
    }

    /// The members of the server who linked these subscribers' wallets. Of who is no member nothing is said.
    async fn members_of(
        &self,
        guild: GuildId,
        at_risk: &[AtRisk],
    ) -> Result<BTreeMap<Wallet, (UserId, String)>, Refusal> {
        let wallets: BTreeSet<_> = at_risk.iter().map(|one| one.wallet).collect();
        let linked = self.with_store(move |store| {
            let mut linked = Vec::new();
            for wallet in wallets {
                linked.extend(store.link_of(wallet)?.map(|link| (wallet, link.user)));
            }
            Ok(linked)
        });
        let linked = linked.await?;
        let users = linked.iter().map(|(_, user)| *user).collect();
        let names = self.ask(|answer| Question::Names {
            guild,
            users,
            answer,
        });
        let names = names.await?;
        let named = linked.into_iter().filter_map(|(wallet, user)| {
            let name = names.get(&user)?;
            Some((wallet, (user, name.clone())))
        });
        Ok(named.collect())
    }
}

fn refusal(error: ForecastError) -> Refusal {
    match error {
        ForecastError::NotRead => Refusal::NotRead(
            "The payments are still being read from the chain. Try again in a minute.".to_owned(),
        ),
        ForecastError::NoNode(why) => {
            tracing::warn!(why, "no node answered what renewals draw on");
            Refusal::NodeUnavailable
        }
        ForecastError::Store(error) => Refusal::Internal(error),
    }
}
