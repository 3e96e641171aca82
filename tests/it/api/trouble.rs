//! A gate that cannot work, by what the chain says of it, is told wherever a manager looks.

use std::collections::BTreeMap;
use std::time::Duration;

use amser_roles::domain::{Gate, GateId, GateMatch, GateOrigin, ModuleAddress, PlanId, Timestamp};
use amser_roles::web::{machine_clock, new_link};
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::shop::{DEADLINE, Shop, ask, read};
use crate::support::slash::until_answered;
use crate::verify::visitor::{Browser, code};

#[tokio::test]
async fn a_gate_on_a_plan_that_is_not_there_is_told_everywhere_in_the_same_words_and_sold_nowhere()
{
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let gate = |plan: u64| Gate {
        id: GateId(1),
        guild: shop.guild,
        module: ModuleAddress(shop.module),
        plans: [PlanId::from(plan)].into(),
        matching: GateMatch::Any,
        roles: [shop.roles[1]].into(),
        origin: GateOrigin::Config,
    };
    let set = |plan| {
        let gates = [gate(plan)];
        let set = shop
            .store
            .set_config(&gates, &BTreeMap::new(), Timestamp(1));
        set.unwrap();
    };
    set(7);
    let place = (shop.guild, shop.merchant);
    let check = ("amser check", [].as_slice());
    let has_it = |told: &str| told.contains("has no plan 7");
    let told = until_answered(&shop.discord, place, check, has_it).await;
    assert!(!told.contains("Nothing prevents"), "{told}");
    let line = told.lines().find(|line| has_it(line)).unwrap();
    let sentence = line.trim_start_matches("• ").replace('\\', "");
    let server = read(&mut browser, &shop.path("")).await;
    let failing = &server["status"]["failing"][0];
    assert_eq!(failing["message"], sentence, "{server}");
    assert_eq!(failing["role_id"], shop.roles[1].to_string());
    let home = format!("/dashboard/{}", shop.guild);
    let page = browser.get(&home).await.text().await.unwrap();
    assert!(page.contains("has no plan 7"), "{page}");
    assert!(
        !page.contains("Give the bot its permissions again"),
        "no permission is missing: {page}"
    );
    let list = browser.get("/dashboard").await.text().await.unwrap();
    assert!(
        list.contains("1 problem") && !list.contains("Works"),
        "{list}"
    );
    // It stands beside its gate, and nobody is sent to pay for it.
    let gates = ("amser gates", [].as_slice());
    let told = until_answered(&shop.discord, place, gates, has_it).await;
    assert!(told.contains("plan 7 of module"), "{told}");
    let offers = |page: &str| page.contains("I have not subscribed yet");
    let link = || {
        let now = machine_clock()();
        new_link(&shop.store, shop.merchant, shop.guild, &shop.url, now).unwrap()
    };
    let page = browser.get(link().path()).await.text().await.unwrap();
    assert!(
        page.contains("Choose your wallet") && !offers(&page),
        "{page}"
    );
    let plans = ("plans", [].as_slice());
    let is_held_back = |told: &str| told.contains("Wait with subscribing");
    let told = until_answered(&shop.discord, place, plans, is_held_back).await;
    assert!(!told.contains("/subscribe/"), "{told}");
    set(1);
    let is_mended = |told: &str| told.contains("Nothing prevents");
    until_answered(&shop.discord, place, check, is_mended).await;
    let server = read(&mut browser, &shop.path("")).await;
    assert_eq!(server["status"]["failing"].as_array().unwrap().len(), 0);
    let page = browser.get(link().path()).await.text().await.unwrap();
    assert!(offers(&page), "{page}");
}

#[tokio::test]
async fn stopped_removals_are_seen_and_let_through_once_by_script() {
    let shop = Shop::open().await;
    let role = shop.roles[1];
    let gate = Gate {
        id: GateId(1),
        guild: shop.guild,
        module: ModuleAddress(shop.module),
        plans: [PlanId(shop.plan)].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
        origin: GateOrigin::Config,
    };
    let set = |gates: &[Gate]| {
        let set = shop.store.set_config(gates, &BTreeMap::new(), Timestamp(1));
        set.unwrap();
    };
    set(&[gate]);
    let mut people = Vec::new();
    for number in 0..7 {
        people.push(shop.subscriber(&format!("subscriber {number}")).await);
    }
    for user in &people {
        shop.until(*user, role, true).await;
    }
    // The operator's file leaves the gate out: nothing on the chain says so.
    set(&[]);
    let mut browser = shop.signed_in(shop.merchant).await;
    let held_back = async |browser: &mut Browser| {
        let server = read(browser, &shop.path("")).await;
        server["status"]["held_back"].clone()
    };
    let deadline = Instant::now() + DEADLINE;
    let held = loop {
        let held = held_back(&mut browser).await;
        if held[0]["removals"] == 7 {
            break held;
        }
        assert!(Instant::now() < deadline, "{held}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(held[0]["role_id"], role.to_string(), "{held}");
    let body = json!({ "role_id": role });
    let path = shop.path("/approve");
    let approved = ask(&mut browser, Method::POST, &path, Some(&body)).await;
    assert_eq!(approved, (200, json!({ "removals": 7 })));
    for user in &people {
        shop.until(*user, role, false).await;
    }
    let again = ask(&mut browser, Method::POST, &path, Some(&body)).await;
    assert_eq!((again.0, code(&again).as_str()), (409, "nothing_held"));
    assert_eq!(held_back(&mut browser).await, json!([]));
}
