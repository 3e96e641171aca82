//! States of the merchant's pages that are rare or hard to look at: long names, nothing yet, trouble, refusals. Each is judged by
//! axe-core and must not scroll sideways, in light and dark, at 360 px and at 1440 px (`tests/browser/states.mjs`).

use std::collections::BTreeMap;

use amser_roles::domain::{Gate, GateId, GateMatch, GateOrigin, ModuleAddress, PlanId, Timestamp};
use amser_roles::sandbox::discord::NewRole;
use serde_json::json;
use serenity::model::Permissions;

use super::browser::{mapped, play};
use crate::support::plan_names::PlanNames;
use crate::support::shop::{Opening, Shop};

/// The most characters that Discord takes for a role, and nearly that many.
const LONG_ROLE: &str = "🥇 Gold members of the inner circle who have been with us from the very first evening in the club ✨";
const LONG_PLAN: &str = "Inner circle with concerts, recordings and a seat every month";

#[tokio::test]
async fn long_and_foreign_names_fit_every_page() {
    let (names, api_url) = PlanNames::serve().await;
    let shop = Shop::open_as(Opening {
        server: "东京爵士乐爱好者俱乐部 🎷 Donaudampfschifffahrtsgesellschaftskapitänsfreunde",
        roles: ["银 Silver", LONG_ROLE],
        api_url: &api_url,
        ..Opening::default()
    })
    .await;
    let second = shop.new_plan().await;
    let plans = json!({ "data": [
        { "plan_id_on_chain": shop.plan.to_string(), "name": LONG_PLAN },
        { "plan_id_on_chain": second.to_string(), "name": "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewiss" },
    ] });
    names.set(shop.module, plans);
    let mut last = None;
    for name in [
        "wolfeschlegelsteinhausenbergerdo",
        "🎺🎷🎸🥁🎹🎻 big band",
        "مرحبا بالعالم",
    ] {
        last = Some(shop.subscriber(name).await);
    }
    let _browser = mapped(&shop).await;
    shop.until(last.unwrap(), shop.roles[1], true).await;
    let seen = play(&shop, "names").await;
    assert!(seen["plan"].as_str().unwrap().contains(LONG_PLAN), "{seen}");
}

#[tokio::test]
async fn a_server_without_anything_says_what_comes_next() {
    let shop = Shop::open().await;
    let seen = play(&shop, "bare").await;
    for (page, word) in [
        ("status", "Connect the wallet that owns your plans"),
        ("members", "Nobody here yet"),
        ("renewals", "No plan of this server gives a role yet"),
        ("journal", "Nothing happened yet"),
    ] {
        let text = seen[page].as_str().unwrap();
        assert!(text.contains(word), "{page}: {text}");
    }
}

#[tokio::test]
async fn refusals_say_where_to_go_on() {
    let shop = Shop::open().await;
    let seen = play(&shop, "refusals").await;
    for (page, word) in [
        ("nothing", "Nothing here"),
        ("foreign", "Your servers"),
        ("declined", "Choose a server"),
        ("signature", "Try again"),
    ] {
        let text = seen[page].as_str().unwrap();
        assert!(text.contains(word), "{page}: {text}");
    }
}

#[tokio::test]
async fn what_is_asked_again_and_what_was_made_is_fit_to_be_read() {
    let shop = Shop::open().await;
    let _browser = mapped(&shop).await;
    for number in 0..15 {
        shop.subscriber(&format!("subscriber {number}")).await;
    }
    let gone = shop.subscriber("gone").await;
    shop.until(gone, shop.roles[1], true).await;
    shop.discord.remove_member(shop.guild, gone).unwrap();
    let bot = shop.discord.bot_role(shop.guild).unwrap();
    let may = Permissions::MANAGE_ROLES | Permissions::CREATE_INSTANT_INVITE;
    shop.discord
        .set_role_permissions(shop.guild, bot, may)
        .unwrap();
    let judge = NewRole {
        permissions: Permissions::BAN_MEMBERS,
        ..NewRole::named("Judge")
    };
    shop.discord.add_role_with(shop.guild, judge).unwrap();
    let seen = play(&shop, "orders").await;
    let asks = seen["asks"].as_str().unwrap();
    assert!(asks.contains("Ban Members"), "{asks}");
}

#[tokio::test]
async fn trouble_stands_first_and_says_what_to_do() {
    let shop = Shop::open().await;
    let _browser = shop.merchant().await;
    let other = shop.new_plan().await;
    let gate = |id, plan, role: usize| Gate {
        id: GateId(id),
        guild: shop.guild,
        module: ModuleAddress(shop.module),
        plans: [PlanId(plan)].into(),
        matching: GateMatch::Any,
        roles: [shop.roles[role]].into(),
        origin: GateOrigin::Config,
    };
    let set = |gates: &[Gate]| {
        let set = shop.store.set_config(gates, &BTreeMap::new(), Timestamp(1));
        set.unwrap();
    };
    set(&[gate(1, shop.plan, 1)]);
    let mut last = None;
    for number in 0..7 {
        last = Some(shop.subscriber(&format!("subscriber {number}")).await);
    }
    shop.until(last.unwrap(), shop.roles[1], true).await;
    let bot = shop.discord.bot_role(shop.guild).unwrap();
    let [silver, gold] = [shop.roles[0], shop.roles[1]];
    let order = [gold, bot, silver];
    shop.discord.set_role_order(shop.guild, &order).unwrap();
    // Nobody pays for the other plan, and a role above the bot's cannot be given.
    set(&[gate(1, other, 1), gate(2, shop.plan, 0)]);
    let seen = play(&shop, "trouble").await;
    let status = seen["status"].as_str().unwrap();
    let problem = status.find("What does not work").unwrap();
    let approval = status.find("Removals wait for your approval").unwrap();
    let facts = status.find("Confirmed block").unwrap();
    assert!(problem < approval && approval < facts, "{status}");
}
