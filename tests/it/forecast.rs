//! Who will fail to renew is told before it happens: against what keepers then really find.

mod pages;
mod seed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::Provider as _;
use amser_roles::abi::{Multicall3, PERMIT2};
use amser_roles::discord::{Discord, Settings};
use amser_roles::domain::{
    DiscordStatus, Gate, GateId, GateMatch, GateOrigin, GuildId, MembersIntent, ModuleAddress,
    Question, RenewalsOf, Risk, RoleId, Timestamp,
};
use amser_roles::forecast::Forecast;
use amser_roles::merchants::{Inputs, Merchants};
use amser_roles::sandbox::chain::LocalChain;
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use amser_roles::views::MULTICALL;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};

use self::seed::{DAY, Kind, Seed};
use crate::support::following::{Following, config};
use crate::support::merchants::inputs_without_chain;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::patient;

const WEEK: Duration = Duration::from_secs(7 * DAY);
/// Subscribers of each kind. `AMSER_ROLES_TEST_RENEWALS` makes it more.
const EACH: usize = 4;

/// Makes this the code of an address.
async fn set_code(chain: &LocalChain, at: Address, code: Bytes) {
    let set: () = chain
        .provider()
        .raw_request("anvil_setCode".into(), (at, code))
        .await
        .unwrap();
    set
}

/// What the forecast says, as the kinds of those it names.
/// Waits until the newest block is stored: what is foretold is of that one, and blocks without events are stored now and then.
async fn until_stored(following: &mut Following, chain: &LocalChain) {
    let head = following.until_at_tip(chain, 0).await;
    let store = &following.store;
    let is_stored = || store.cursor().unwrap().is_some_and(|at| at.number >= head);
    crate::support::stage::wait("the newest block is stored", is_stored).await;
}

async fn named(following: &Following, seed: &Seed) -> Vec<(U256, Risk)> {
    let forecast = Forecast::new(following.store.clone(), following.views.clone());
    let modules = [ModuleAddress(seed.module)].into();
    let mut named: Vec<_> = forecast
        .of_modules(&modules, WEEK)
        .await
        .unwrap()
        .into_iter()
        .map(|one| (one.subscription.0, one.risk))
        .collect();
    named.sort_unstable();
    named
}

#[tokio::test]
async fn all_who_will_fail_are_named_before_the_due_date_and_no_one_else() {
    let each = std::env::var("AMSER_ROLES_TEST_RENEWALS").ok();
    let each = each.map_or(EACH, |number| number.parse().unwrap());
    let mut seed = Seed::plant(each).await;
    let proxy = RpcProxy::start(&seed.chain).await;
    let mut following = Following::start(
        config(&seed.chain, &[proxy.http_url()], 0),
        Store::in_memory().unwrap(),
        [seed.module],
    );
    until_stored(&mut following, &seed.chain).await;
    let subscribers = seed.members.len() as u64;
    let mut told = Vec::new();
    for has_multicall in [false, true] {
        if has_multicall {
            // Where it is on public chains.
            let code = Multicall3::DEPLOYED_BYTECODE.clone();
            set_code(&seed.chain, MULTICALL, code).await;
            seed.chain.mine(1).await.unwrap();
            until_stored(&mut following, &seed.chain).await;
        }
        // The follower rests: no block comes.
        let before = proxy.posts();
        told.push(named(&following, &seed).await);
        let requests = proxy.posts() - before;
        // A JSON-RPC batch counts as one call, as one of Multicall3 does. The follower asks for the head now and then.
        let most = 20 * (subscribers / 1_000).max(1) + 4;
        assert!(requests <= most, "{requests} requests, {has_multicall}");
    }
    assert_eq!(told[0], told[1]);
    let expected: Vec<_> = seed.expected();
    assert_eq!(told[0], expected);
    // Then the week passes, and keepers find what was foretold.
    let failed = seed.charge_all().await;
    let foretold: BTreeSet<_> = expected.iter().map(|(id, _)| *id).collect();
    assert_eq!(failed, foretold);
}

#[tokio::test]
async fn one_forecast_serves_all_who_look_within_a_minute() {
    let seed = Seed::plant(2).await;
    let proxy = RpcProxy::start(&seed.chain).await;
    let config = config(&seed.chain, &[proxy.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [seed.module]);
    until_stored(&mut following, &seed.chain).await;
    let module = ModuleAddress(seed.module);
    let plans = following.store.plans_of(module).unwrap();
    let gate = Gate {
        id: GateId(1),
        guild: GuildId(5),
        module,
        plans: plans.into_keys().collect(),
        matching: GateMatch::Any,
        roles: [RoleId(9)].into(),
        origin: GateOrigin::Config,
    };
    let store = &following.store;
    store
        .set_config(&[gate], &BTreeMap::new(), Timestamp(1))
        .unwrap();
    let local = LocalDiscord::start(patient()).await.unwrap();
    let settings = Settings {
        application_id: local.options().application_id.get().try_into().unwrap(),
        api_url: local.base_url().parse().unwrap(),
        members_intent: MembersIntent::Used,
    };
    let token = SecretString::from(local.options().token);
    let discord = Discord::new(&settings, &token, watch::Sender::default()).unwrap();
    let (questions, mut asked) = mpsc::channel(100);
    // Nobody is a member.
    tokio::spawn(async move {
        while let Some(Question::Names { answer, .. }) = asked.recv().await {
            answer.send(BTreeMap::new()).unwrap();
        }
    });
    let merchants = Merchants::new(Inputs {
        views: following.views.clone(),
        ..inputs_without_chain(
            store,
            &discord,
            &following.status,
            &watch::channel(DiscordStatus::default()).1,
            &questions,
            Arc::new(|| Timestamp(1)),
        )
    });
    let look = || merchants.forecast(GuildId(5));
    let before = proxy.posts();
    let (one, other) = tokio::join!(look(), look());
    let rows = one.unwrap().rows.len();
    assert!(rows > 0, "there is something to foretell");
    assert_eq!(other.unwrap().rows.len(), rows);
    let first = proxy.posts() - before;
    for _ in 0..20 {
        assert_eq!(look().await.unwrap().rows.len(), rows);
    }
    // The follower asks for the head now and then.
    let later = proxy.posts() - before - first;
    assert!(later < 20, "{first} requests, then {later}");
}

#[tokio::test]
async fn a_token_that_is_switched_off_is_named_for_everyone_who_is_due() {
    let seed = Seed::plant(1).await;
    let mut following = Following::start(
        config(&seed.chain, &[seed.chain.http_url()], 0),
        Store::in_memory().unwrap(),
        [seed.module],
    );
    let chain = &seed.chain;
    let set = chain.set_token_enabled(chain.processor, chain.token, false);
    set.await.unwrap();
    until_stored(&mut following, chain).await;
    let named = named(&following, &seed).await;
    let healthy = seed.members.iter().find(|one| one.kind == Kind::Healthy);
    let id = healthy.unwrap().subscription;
    assert!(named.contains(&(id, Risk::TokenDisabled)), "{named:?}");
}

#[tokio::test]
async fn without_the_contracts_nobody_is_accused() {
    let seed = Seed::plant(1).await;
    let mut following = Following::start(
        config(&seed.chain, &[seed.chain.http_url()], 0),
        Store::in_memory().unwrap(),
        [seed.module],
    );
    until_stored(&mut following, &seed.chain).await;
    let forecast = Forecast::new(following.store.clone(), following.views.clone());
    let of = || RenewalsOf::Modules([ModuleAddress(seed.module)].into());
    let all = forecast.outlook(of(), WEEK).await.unwrap();
    assert!(all.unread.is_empty() && !all.registry_unread, "{all:?}");
    // Permit2 is gone: of its allowances nothing is known, of everything else what it was.
    set_code(&seed.chain, PERMIT2, Bytes::new()).await;
    seed.chain.mine(1).await.unwrap();
    until_stored(&mut following, &seed.chain).await;
    let without = forecast.outlook(of(), WEEK).await.unwrap();
    assert!(!without.unread.is_empty());
    let is_of_permit2 = |risk: Risk| matches!(risk, Risk::AllowanceEnds(_));
    assert!(without.at_risk.iter().all(|one| !is_of_permit2(one.risk)));
    let balances = |outlook: &amser_roles::forecast::Outlook| {
        let at_risk = outlook.at_risk.iter();
        at_risk
            .filter(|one| one.risk == Risk::BalanceTooLow)
            .count()
    };
    assert_eq!(balances(&without), balances(&all));
}
