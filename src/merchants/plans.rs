//! Plans as a merchant chooses them: from the chain, named by amser's API where it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy::primitives::Address;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::wallet::asked;
use super::{Merchants, Refusal};
use crate::amser_api::NamedPlan;
use crate::domain::{ModuleAddress, Plan, PlanId, PlanRow};
use crate::views::{TokenFacts, is_symbol};

/// How long a manager waits; those who are asked have shorter limits of their own.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Ids that are tried on a module whose events are not read yet: plans are numbered from 1 on, and some from 0.
const FIRST_IDS: std::ops::Range<u64> = 0..20;

impl Merchants {
    /// The plans of these modules, by module and id. Those of a module whose events are not read yet are asked of the
    /// module itself. Names, and how prices are written, are missing where nobody answers.
    ///
    /// # Errors
    /// When the store cannot be read; [`Refusal::NodeUnavailable`] where a module had to be asked.
    pub async fn plans(&self, modules: &[ModuleAddress]) -> Result<Vec<PlanRow>, Refusal> {
        let until = Instant::now() + LONGEST;
        let mut plans = Vec::new();
        for (told, refusal) in self.plans_of_each(modules, until).await {
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
            plans.extend(told);
        }
        Ok(self.with_facts(plans, until).await)
    }

    /// The same as far as it is known `within` this time. Others are waited for no longer, so names, how prices are written,
    /// and the plans of a module whose events are not read yet may be missing. Names and tokens that come too late are there the
    /// next time.
    pub async fn plans_within(&self, modules: &[ModuleAddress], within: Duration) -> Vec<PlanRow> {
        let until = Instant::now() + within;
        let each = self.plans_of_each(modules, until).await.into_iter();
        let plans = each.flat_map(|(told, refusal)| {
            if let Some(refusal) = refusal {
                tracing::debug!(%refusal, "plans of a module are missing");
            }
            told
        });
        self.with_facts(plans.collect(), until).await
    }

    async fn plans_of_each(
        &self,
        modules: &[ModuleAddress],
        until: Instant,
    ) -> Vec<(Vec<PlanRow>, Option<Refusal>)> {
        let modules: BTreeSet<_> = modules.iter().copied().collect();
        let each = modules.into_iter();
        join_all(each.map(|module| self.plans_of(module, until))).await
    }

    /// With what the tokens say of themselves.
    async fn with_facts(&self, mut plans: Vec<PlanRow>, until: Instant) -> Vec<PlanRow> {
        let tokens = plans.iter().map(|row| row.token).collect();
        let facts = self.facts_of(tokens, until).await;
        for row in &mut plans {
            let facts = facts.get(&row.token).cloned().unwrap_or_default();
            // The API's word is second to the token's own.
            row.decimals = facts.decimals.or(row.decimals);
            row.symbol = facts.symbol.or(row.symbol.take());
        }
        plans
    }

    /// The plans of one module that are known, and why others may be missing.
    async fn plans_of(
        &self,
        module: ModuleAddress,
        until: Instant,
    ) -> (Vec<PlanRow>, Option<Refusal>) {
        let known = self.with_store(move |store| {
            let is_complete = store.complete_modules()?.contains(&module);
            Ok((store.plans_of(module)?, is_complete))
        });
        // The module and the tokens need their part of the time.
        let now = Instant::now();
        let names_until = now + until.saturating_duration_since(now) / 2;
        let named = timeout_at(names_until, self.inputs().api.plans(module));
        let (known, named) = tokio::join!(known, named);
        let (mut plans, is_complete) = match known {
            Ok(known) => known,
            Err(refusal) => return (Vec::new(), Some(refusal)),
        };
        let named = named.ok().flatten().unwrap_or_default();
        let mut missing = None;
        if !is_complete {
            let ids = FIRST_IDS.map(PlanId::from);
            let ids: BTreeSet<PlanId> = ids.chain(named.iter().map(|plan| plan.plan)).collect();
            let unknown: Vec<_> = ids
                .into_iter()
                .filter(|id| !plans.contains_key(id))
                .collect();
            let asked = asked(self.inputs().views.plans_of(module, &unknown));
            match timeout_at(until, asked).await {
                Ok(Ok(told)) => plans.extend(told),
                Ok(Err(refusal)) => missing = Some(refusal),
                Err(_elapsed) => missing = Some(Refusal::NodeUnavailable),
            }
        }
        let row = |(plan, terms)| row(module, plan, &terms, &named);
        (plans.into_iter().map(row).collect(), missing)
    }

    /// What these tokens say of themselves; those that could not be asked by then are missing. What was asked is kept, whether
    /// or not somebody still waits for it.
    pub(super) async fn facts_of(
        &self,
        tokens: BTreeSet<Address>,
        until: Instant,
    ) -> BTreeMap<Address, TokenFacts> {
        let (mut known, unknown) = self.tokens().0.kept_of(tokens);
        if unknown.is_empty() {
            return known;
        }
        let merchants = self.clone();
        let asking = tokio::spawn(async move {
            let told = asked(merchants.inputs().views.tokens(&unknown))
                .await
                .ok()?;
            let told: Vec<_> = unknown.into_iter().zip(told).collect();
            for (token, facts) in &told {
                merchants.tokens().0.put(*token, facts.clone());
            }
            Some(told)
        });
        if let Ok(Ok(Some(told))) = timeout_at(until, asking).await {
            known.extend(told);
        }
        known
    }
}

/// A plan as the chain and the API tell of it.
fn row(module: ModuleAddress, plan: PlanId, terms: &Plan, named: &[NamedPlan]) -> PlanRow {
    let told = named.iter().find(|named| named.plan == plan);
    let name = told.and_then(|told| told.name.clone());
    PlanRow {
        module,
        plan,
        name: name.unwrap_or_else(|| format!("Plan {plan}")),
        price: terms.price,
        token: terms.token,
        decimals: told.and_then(|told| told.decimals),
        symbol: told
            .and_then(|told| told.symbol.clone())
            .filter(|symbol| is_symbol(symbol)),
        interval: terms.interval,
        active: terms.active,
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;

    use super::*;

    #[test]
    fn a_plan_has_the_terms_of_the_chain_and_the_name_of_the_api() {
        let terms = Plan {
            token: Address::repeat_byte(3),
            price: U256::from(9_990_000),
            interval: 2_592_000,
            grace_period: 86_400,
            active: true,
        };
        let named = NamedPlan {
            plan: PlanId::from(7),
            name: Some("Gold".to_owned()),
            price: Some("1".to_owned()),
            interval: Some("60".to_owned()),
            decimals: Some(6),
            symbol: Some("not a symbol".to_owned()),
        };
        let module = ModuleAddress(Address::repeat_byte(1));
        let gold = row(
            module,
            PlanId::from(7),
            &terms,
            std::slice::from_ref(&named),
        );
        assert_eq!((gold.name.as_str(), gold.price), ("Gold", terms.price));
        assert_eq!((gold.decimals, gold.symbol), (Some(6), None));
        let other = row(module, PlanId::from(8), &terms, &[named]);
        assert_eq!((other.name.as_str(), other.decimals), ("Plan 8", None));
    }
}
