//! Asks amser's API. Nothing here is judged by what it says of a wallet.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use alloy::primitives::Address;
use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::DEADLINE;
use crate::chain::LOCAL_CHAIN;
use crate::config::{Config, Secrets};
use crate::doctor::facts::{ApiAnswer, ApiFacts, ApiPlan, KeyEnvironment, KeyFacts};
use crate::domain::{ModuleAddress, PlanId};
use crate::http::client_to;
use crate::loopback::is_loopback;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Modules whose plans are asked for at the same time.
const AT_ONCE: usize = 4;

pub(super) async fn ask(
    config: &Config,
    secrets: &Secrets,
    gated: &BTreeMap<ModuleAddress, BTreeSet<PlanId>>,
    merchant: Option<Address>,
) -> ApiFacts {
    let base = config.amser.api_url.clone();
    let mut facts = ApiFacts {
        chain_id: config.chain.chain_id,
        pointer: config.amser.active_pointer.clone(),
        check: None,
        other_name: None,
        key: None,
        plans: BTreeMap::new(),
        base,
    };
    let key = secrets.api_key.as_ref();
    let key = key.map(|key| key.expose_secret().trim().to_owned());
    facts.key = key.as_ref().map(|key| KeyFacts {
        environment: environment(key),
        is_sent: is_loopback(&facts.base) || facts.base.scheme() == "https",
        status: None,
    });
    // amser has no API for chains of this machine, unless one of this machine is configured, too.
    if facts.chain_id == LOCAL_CHAIN && !is_loopback(&facts.base) {
        return facts;
    }
    let Ok(client) = client(&facts.base) else {
        return facts;
    };
    let about = gated
        .iter()
        .find_map(|(module, plans)| Some((*module, *plans.first()?)));
    let check = async {
        let (module, plan) = about?;
        let wallet = merchant.unwrap_or(module.0);
        let fill = |template: &str| {
            template
                .replace("{address}", &wallet.to_string())
                .replace("{module}", &module.to_string())
                .replace("{plan_id}", &plan.to_string())
                .replace("{chain_id}", &facts.chain_id.to_string())
        };
        let template = &config.amser.auth_check;
        let answer = access(&client, &facts.base, &fill(template), &facts.pointer).await;
        let other = match (&answer, other_name(template)) {
            (ApiAnswer::Boolean | ApiAnswer::Unreachable(_), _) | (_, None) => None,
            (_, Some((name, template))) => {
                let path = fill(&template);
                let answer = access(&client, &facts.base, &path, &facts.pointer).await;
                Some((name, answer))
            }
        };
        Some((answer, other))
    };
    let used = async {
        let key = key
            .as_ref()
            .filter(|_| facts.key.as_ref().is_some_and(|key| key.is_sent))?;
        let url = with_chain(
            &facts.base,
            &format!("/v0/plans/{}", merchant?),
            facts.chain_id,
        )?;
        let asked = client.get(url).bearer_auth(key).send().await;
        Some(asked.ok()?.status().as_u16())
    };
    let plans = async {
        let mut all = BTreeMap::new();
        let (client, base, chain_id) = (&client, &facts.base, facts.chain_id);
        let asking = gated.keys().copied().map(|module| async move {
            let plans = plans(client, base, chain_id, module).await;
            (module, plans.unwrap_or_default())
        });
        let asking = stream::iter(asking.collect::<Vec<_>>()).buffered(AT_ONCE);
        let mut answers = pin!(asking.take_until(sleep(DEADLINE)));
        while let Some((module, plans)) = answers.next().await {
            let plans = plans.into_iter();
            all.extend(plans.map(|(plan, terms)| ((module, plan), terms)));
        }
        all
    };
    let (check, status, plans) = tokio::join!(check, used, plans);
    if let Some((answer, other)) = check {
        (facts.check, facts.other_name) = (Some(answer), other);
    }
    if let Some(key) = &mut facts.key {
        key.status = status;
    }
    facts.plans = plans;
    facts
}

fn client(base: &Url) -> reqwest::Result<reqwest::Client> {
    client_to(base)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// A path of the API that is about one chain.
fn with_chain(base: &Url, path: &str, chain_id: u64) -> Option<Url> {
    let mut url = base.join(path).ok()?;
    url.query_pairs_mut()
        .append_pair("chain_id", &chain_id.to_string());
    Some(url)
}

/// What a key's prefix says of the chains that it sees.
fn environment(key: &str) -> KeyEnvironment {
    if key.starts_with("amsr_live_") {
        KeyEnvironment::Live
    } else if key.starts_with("amsr_test_") {
        KeyEnvironment::Test
    } else {
        KeyEnvironment::Unknown
    }
}

/// The template with the wallet's parameter under the other of its two names, and that name.
fn other_name(template: &str) -> Option<(&'static str, String)> {
    for separator in ['?', '&'] {
        for (name, other) in [("address", "user_address"), ("user_address", "address")] {
            let parameter = format!("{separator}{name}={{address}}");
            if template.contains(&parameter) {
                let renamed = format!("{separator}{other}={{address}}");
                return Some((other, template.replace(&parameter, &renamed)));
            }
        }
    }
    None
}

async fn access(client: &reqwest::Client, base: &Url, path: &str, pointer: &str) -> ApiAnswer {
    let asked = async {
        let answer = client.get(base.join(path)?).send().await?;
        let status = answer.status();
        if !status.is_success() {
            return Ok(ApiAnswer::Status(status.as_u16()));
        }
        let body: Option<Value> = serde_json::from_slice(&answer.bytes().await?).ok();
        let active = body.as_ref().and_then(|body| body.pointer(pointer));
        anyhow::Ok(match active.is_some_and(Value::is_boolean) {
            true => ApiAnswer::Boolean,
            false => ApiAnswer::OtherShape,
        })
    };
    let asked = asked.await;
    asked.unwrap_or_else(|error| ApiAnswer::Unreachable(error.root_cause().to_string()))
}

/// The plans of a module, as the API has them.
async fn plans(
    client: &reqwest::Client,
    base: &Url,
    chain_id: u64,
    module: ModuleAddress,
) -> anyhow::Result<Vec<(PlanId, ApiPlan)>> {
    let url = with_chain(base, &format!("/v0/modules/{module}/plans"), chain_id);
    let url = url.context("the path does not fit the address")?;
    let answer = client.get(url).send().await?.error_for_status()?;
    let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let list = match &body {
        Value::Array(list) => Some(list),
        body => ["plans", "data"]
            .iter()
            .find_map(|name| body.get(*name)?.as_array()),
    };
    let list = list.context("there is no list of plans")?;
    Ok(list.iter().filter_map(plan).collect())
}

fn plan(plan: &Value) -> Option<(PlanId, ApiPlan)> {
    let text = |name: &str| match plan.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let id = PlanId(text("plan_id_on_chain")?.parse().ok()?);
    let terms = ApiPlan {
        price: text("price"),
        decimals: text("token_decimals").and_then(|decimals| decimals.parse().ok()),
        interval: text("billing_interval"),
    };
    Some((id, terms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wallets_parameter_is_renamed_and_no_other() {
        let ours = "/v0/auth/check?address={address}&module_address={module}&plan_id={plan_id}";
        let theirs =
            "/v0/auth/check?user_address={address}&module_address={module}&plan_id={plan_id}";
        assert_eq!(other_name(ours), Some(("user_address", theirs.to_owned())));
        assert_eq!(other_name(theirs), Some(("address", ours.to_owned())));
        assert_eq!(other_name("/check?wallet={address}"), None);
        let last = "/check?module_address={module}&address={address}";
        assert!(
            other_name(last).is_some_and(|(_, path)| path.ends_with("&user_address={address}"))
        );
    }

    #[test]
    fn a_keys_prefix_names_its_environment() {
        assert_eq!(environment("amsr_live_1"), KeyEnvironment::Live);
        assert_eq!(environment("amsr_test_1"), KeyEnvironment::Test);
        assert_eq!(environment("sk_live_1"), KeyEnvironment::Unknown);
    }
}
