//! Asks amser's API. Nothing here is judged by what it says of a wallet.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use alloy::primitives::Address;
use futures_util::{StreamExt as _, stream};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::{AT_ONCE, DEADLINE, answered_within};
use crate::amser_api::{AmserApi, NamedPlan};
use crate::chain::LOCAL_CHAIN;
use crate::config::{Config, Secrets};
use crate::doctor::facts::{ApiAnswer, ApiFacts, KeyEnvironment, KeyFacts};
use crate::domain::{ModuleAddress, PlanId};
use crate::http::client_to;
use crate::loopback::is_loopback;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(8);

pub(super) async fn ask(
    config: &Config,
    secrets: &Secrets,
    gated: &BTreeMap<ModuleAddress, BTreeSet<PlanId>>,
    merchants: &BTreeSet<Address>,
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
    let api = match AmserApi::new(&facts.base, facts.chain_id, secrets.api_key.clone()) {
        Ok(api) => api,
        Err(error) => {
            facts.check = Some(ApiAnswer::Unreachable(format!("{error:#}")));
            return facts;
        }
    };
    let about = gated
        .iter()
        .find_map(|(module, plans)| Some((*module, *plans.first()?)));
    let check = async {
        let (module, plan) = about?;
        let wallet = merchants.first().unwrap_or(&module.0);
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
        let key = key.as_ref().filter(|_| api.has_key())?;
        key_status(&client, &facts.base, facts.chain_id, key, merchants).await
    };
    let (check, status, plans) = tokio::join!(check, used, plans(&api, gated));
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

/// The status of the first merchant whose plans the key opens: it is one merchant's. Of a refusal, where each of them is refused;
/// `None` where that is not known.
async fn key_status(
    client: &reqwest::Client,
    base: &Url,
    chain_id: u64,
    key: &str,
    merchants: &BTreeSet<Address>,
) -> Option<u16> {
    let asking = merchants.iter().copied().map(|merchant| async move {
        let path = format!("/v0/plans/{merchant}?chain_id={chain_id}");
        let asked = client.get(base.join(&path).ok()?).bearer_auth(key).send();
        Some(asked.await.ok()?.status().as_u16())
    });
    let statuses = stream::iter(asking.collect::<Vec<_>>()).buffered(AT_ONCE);
    let mut statuses = pin!(statuses.take_until(sleep(DEADLINE)));
    let mut refusals = Vec::new();
    while let Some(status) = statuses.next().await {
        match status {
            Some(refusal @ (401 | 403)) => refusals.push(refusal),
            Some(status) => return Some(status),
            None => {}
        }
    }
    let is_refused = refusals.len() == merchants.len();
    refusals.pop().filter(|_| is_refused)
}

/// What the API says of the modules' plans.
async fn plans(
    api: &AmserApi,
    gated: &BTreeMap<ModuleAddress, BTreeSet<PlanId>>,
) -> BTreeMap<(ModuleAddress, PlanId), NamedPlan> {
    let asking = gated.keys().copied();
    let asking = asking.map(|module| async move { (module, api.plans(module).await) });
    let (answers, _) = answered_within(asking.collect(), DEADLINE).await;
    let mut plans = BTreeMap::new();
    for (module, told) in answers {
        for plan in told.as_deref().unwrap_or_default() {
            plans.insert((module, plan.plan), plan.clone());
        }
    }
    plans
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
