//! `GET modules/{module}/plans`: names of plans, how amounts of their tokens are written, and what the API says of their terms.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{AmserApi, LONGEST_NAME, body};
use crate::domain::{ModuleAddress, PlanId};

/// What the API says of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPlan {
    /// Its id on the chain.
    pub plan: PlanId,
    /// Its name, without control characters; at most 80 characters.
    pub name: Option<String>,
    /// Its price as the API writes it: in the token's smallest unit, or in the token.
    pub price: Option<String>,
    /// Seconds between payments, as the API writes them.
    pub interval: Option<String>,
    /// Decimals of its token.
    pub decimals: Option<u8>,
    /// Symbol of its token.
    pub symbol: Option<String>,
}

impl AmserApi {
    /// What the API says of a module's plans, at most ten minutes old; `None` where it does not answer. It is kept also when
    /// nobody waits any more.
    pub async fn plans(&self, module: ModuleAddress) -> Option<Arc<[NamedPlan]>> {
        let api = self.clone();
        let asking = tokio::spawn(async move {
            let read = async {
                let plans = api.fetch(module).await;
                let plans = plans.inspect_err(|error| {
                    tracing::debug!(%module, error = format!("{error:#}"), "amser's API did not name the plans");
                });
                Ok::<_, std::convert::Infallible>(plans.ok().map(Arc::from))
            };
            let Ok(plans) = api.shared.plans.get(module, read).await;
            plans
        });
        asking.await.ok().flatten()
    }

    async fn fetch(&self, module: ModuleAddress) -> anyhow::Result<Vec<NamedPlan>> {
        let chain_id = self.shared.chain_id;
        let path = format!("/v0/modules/{module}/plans?chain_id={chain_id}");
        let response = self
            .get(&path)?
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        ensure!(
            response.status().is_success(),
            "it answered with {}",
            response.status()
        );
        read(&body(response).await?)
    }
}

/// The plans in an answer: a list, or an object that holds one. How the list is wrapped is not documented.
fn read(body: &[u8]) -> anyhow::Result<Vec<NamedPlan>> {
    let answer: Value = serde_json::from_slice(body)?;
    let list = match &answer {
        Value::Array(list) => Some(list),
        answer => ["plans", "data"]
            .iter()
            .find_map(|name| answer.get(*name)?.as_array()),
    };
    let list = list.context("its answer holds no list of plans")?;
    Ok(list.iter().filter_map(plan).collect())
}

/// One plan; `None` for one without an id on the chain.
fn plan(plan: &Value) -> Option<NamedPlan> {
    let text = |name: &str| match plan.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Some(NamedPlan {
        plan: PlanId(text("plan_id_on_chain")?.parse().ok()?),
        name: text("name").and_then(|name| shown(&name)),
        price: text("price"),
        interval: text("billing_interval"),
        decimals: text("token_decimals").and_then(|decimals| decimals.parse().ok()),
        symbol: text("token_symbol"),
    })
}

/// A name as it can be shown.
fn shown(name: &str) -> Option<String> {
    let is_shown = |letter: &char| !letter.is_control();
    let name: String = name.chars().filter(is_shown).take(LONGEST_NAME).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(answer: &Value) -> Vec<(String, Option<String>)> {
        let plans = read(answer.to_string().as_bytes()).unwrap();
        let named = plans
            .into_iter()
            .map(|plan| (plan.plan.to_string(), plan.name));
        named.collect()
    }

    #[test]
    fn plans_are_read_from_a_list_and_from_an_object_that_holds_one() {
        let gold = json!({
            "plan_id_on_chain": "7", "name": " Gold\n", "price": "9.99", "billing_interval": 2_592_000,
            "token_decimals": 6, "token_symbol": "USDC",
        });
        let expected = vec![("7".to_owned(), Some("Gold".to_owned()))];
        for answer in [
            json!([gold]),
            json!({ "plans": [gold] }),
            json!({ "data": [gold] }),
        ] {
            assert_eq!(names(&answer), expected);
        }
        let plans = read(json!([gold]).to_string().as_bytes()).unwrap();
        assert_eq!(plans[0].price.as_deref(), Some("9.99"));
        assert_eq!(plans[0].interval.as_deref(), Some("2592000"));
        assert_eq!(plans[0].decimals, Some(6));
        assert_eq!(plans[0].symbol.as_deref(), Some("USDC"));
    }

    #[test]
    fn what_cannot_be_a_plan_is_left_out_and_the_others_stay() {
        let odd = json!([
            { "name": "no id" },
            { "plan_id_on_chain": "many" },
            { "plan_id_on_chain": -1 },
            7,
            { "plan_id_on_chain": 2, "name": "" },
            { "plan_id_on_chain": "115792089237316195423570985008687907853269984665640564039457584007913129639935", "name": "x".repeat(200) },
        ]);
        let names = names(&odd);
        assert_eq!(names.len(), 2);
        assert_eq!(names[0], ("2".to_owned(), None));
        assert_eq!(names[1].1.as_ref().unwrap().len(), LONGEST_NAME);
        for answer in ["", "{}", "null", "<html>"] {
            assert!(read(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
