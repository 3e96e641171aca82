//! A module whose plans are not read yet.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U256;
use amser_roles::amser_api::AmserApi;
use amser_roles::discord::{Discord, Settings};
use amser_roles::domain::{DiscordStatus, MembersIntent, ModuleAddress, Timestamp, Wallet};
use amser_roles::merchants::{Inputs, Merchants, Refusal};
use amser_roles::sandbox::amser_api::LocalApi;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use axum::routing::get;
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, watch};

use super::draft;
use crate::support::following::{Following, config};
use crate::support::merchants::inputs_without_chain;
use crate::support::scene::{TERMS, new_module, patient};
use crate::support::stage::{new_guild, wait};

/// More plans than a module is asked for whose events are not read.
const PLANS: u64 = 25;

#[tokio::test]
async fn a_module_that_is_read_while_its_plans_are_asked_for_is_not_said_to_have_no_such_plan() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, _) = new_module(&chain, "merchant").await;
    let mut last = U256::ZERO;
    for _ in 0..PLANS {
        last = chain.create_plan(module, TERMS).await.unwrap();
    }
    let config = config(&chain, &[chain.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), []);
    following.until_at_tip(&chain, 0).await;
    // amser's API is asked for the names meanwhile, and answers when it is let.
    let (asked, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (told, let_go) = (Arc::clone(&asked), Arc::clone(&answers));
    let plans = get(async move || {
        told.add_permits(1);
        let_go.acquire().await.unwrap().forget();
        Json(json!([]))
    });
    let more = Router::new().route("/v0/modules/{module}/plans", plans);
    let api = LocalApi::start(amser_roles::sandbox::amser_api::of_chain(&chain), more);
    let api = api.await.unwrap();
    let local = LocalDiscord::start(patient()).await.unwrap();
    let (guild, roles) = new_guild(&local, "Shop", &["Gold"]);
    let settings = Settings {
        application_id: local.options().application_id.get().try_into().unwrap(),
        api_url: local.base_url().parse().unwrap(),
        members_intent: MembersIntent::Used,
    };
    let token = SecretString::from(local.options().token);
    let discord = Discord::new(&settings, &token, watch::Sender::default()).unwrap();
    let merchants = Merchants::new(Inputs {
        views: following.views.clone(),
        api: AmserApi::new(&api.base_url().parse().unwrap(), chain.chain_id, None).unwrap(),
        ..inputs_without_chain(
            &following.store,
            &discord,
            &following.status,
            &watch::channel(DiscordStatus::default()).1,
            &mpsc::channel(1).0,
            Arc::new(|| Timestamp(1)),
        )
    });
    let owner = local.owner(guild).unwrap();
    let own = Wallet(wallet("merchant").address());
    let set = merchants.set_wallet(owner, own, Default::default()).await;
    set.unwrap();
    let manager = merchants.manager(guild, owner).await.unwrap();
    let put = || merchants.put_gate(&manager, draft(module, last, &roles), None, false);
    let read_meanwhile = async {
        asked.acquire().await.unwrap().forget();
        let module = ModuleAddress(module);
        following
            .modules
            .send_modify(|modules| _ = modules.insert(module));
        let is_read = || {
            following
                .store
                .complete_modules()
                .unwrap()
                .contains(&module)
        };
        wait("the module is read", is_read).await;
        answers.add_permits(usize::MAX >> 4);
    };
    let (refused, ()) = tokio::join!(put(), read_meanwhile);
    assert!(matches!(refused, Err(Refusal::NotRead(_))), "{refused:?}");
    let made = tokio::time::timeout(Duration::from_secs(40), put()).await;
    made.unwrap().unwrap();
}
