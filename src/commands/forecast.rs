//! `/amser forecast`, and what `/status` foretells of a member's own subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answer::Answer;
use super::running::{Asked, Commands, Costly, Data};
use crate::domain::{AtRisk, MemberStanding, ModuleAddress, SubscriptionId};
use crate::merchants::Refusal;
use crate::text;

/// How far ahead a member is warned.
const WITHIN: Duration = Duration::from_secs(7 * 86_400);
/// How long `/status` waits for the nodes: it tells the rest without them.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who of the server's subscribers will fail to renew.
pub(super) async fn of_server(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let guild = asked.guild;
    let gates = commands.gates(guild).await?;
    if gates.is_empty() {
        return Ok(Answer::text(text::no_gates()));
    }
    if let Err(too_often) = commands.count(guild, Costly::Forecast) {
        return Ok(too_often);
    }
    let found = commands.services.merchants.forecast(guild).await;
    let found = match found {
        Ok(found) => found,
        Err(Refusal::Internal(error)) => return Err(error),
        Err(refusal) => return Ok(Answer::text(refusal.to_string())),
    };
    let plans = commands.plan_rows(&gates).await;
    let page = format!("{}/forecast", commands.dashboard(guild));
    Ok(Answer::text(text::forecast(&found, &plans, &page)))
}

impl Commands {
    /// Which of a member's renewals will fail, each with one sentence.
    pub(super) async fn your_risks(
        &self,
        standing: &MemberStanding,
    ) -> BTreeMap<(ModuleAddress, SubscriptionId), String> {
        let at_risk = self.at_risk(standing).await;
        if at_risk.is_empty() {
            return BTreeMap::new();
        }
        let guilds: BTreeSet<_> = standing.gates.iter().map(|gate| gate.guild).collect();
        let mut gates = Vec::new();
        for guild in guilds {
            // Without the gates no plan's price can be written; the rest is told all the same.
            gates.extend(self.gates(guild).await.unwrap_or_default());
        }
        let plans = self.plan_rows(&gates).await;
        let sentence = |one: AtRisk| {
            let price = plans.get(&(one.module, one.plan)).map(text::amount);
            let price = price.unwrap_or_else(|| "the price".to_owned());
            (
                (one.module, one.subscription),
                text::your_risk(&one, &price),
            )
        };
        at_risk.into_iter().map(sentence).collect()
    }

    /// Which of a member's renewals will fail. None where nobody can tell in time.
    async fn at_risk(&self, standing: &MemberStanding) -> Vec<AtRisk> {
        let gates = standing.gates.iter();
        let open = gates.flat_map(|gate| {
            let held = gate.subscriptions.iter().filter(|held| held.open);
            held.map(|held| (gate.module, held.subscription))
        });
        let forecast = &self.services.forecast;
        let found = forecast.of_subscriptions(open.collect(), WITHIN);
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(at_risk)) => at_risk,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a member's renewals are not foretold");
                Vec::new()
            }
            Err(_elapsed) => {
                tracing::debug!("a member's renewals are not foretold in time");
                Vec::new()
            }
        }
    }
}
