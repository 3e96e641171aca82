//! The pages without script: what a browser sends, and where it ends.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use amser_roles::domain::{Gate, GateId, GateMatch, GateOrigin, ModuleAddress, PlanId, Timestamp};
use amser_roles::sandbox::discord::NewRole;
use reqwest::Method;
use serenity::model::Permissions;

use crate::support::shop::{DEADLINE, Shop};
use crate::verify::visitor::{Browser, location, sign};

/// A page's text; every page is drawn whole and with forms that may post to us alone.
pub(super) async fn page(browser: &mut Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    let status = answer.status();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    assert!(policy.contains("form-action 'self'"), "{path}: {policy}");
    assert!(
        !text.contains("style=\"") && !text.contains("<style"),
        "{path}"
    );
    text
}

/// Posts a form as a browser does.
pub(super) async fn post(
    browser: &mut Browser,
    path: &str,
    fields: &[(&str, &str)],
) -> reqwest::Response {
    let origin = browser.base.origin().ascii_serialization();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = browser
        .request_with(Method::POST, path)
        .header("accept", "text/html")
        .header("origin", origin)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    browser.send(request).await
}

#[tokio::test]
async fn a_stranger_is_told_in_one_sentence_what_this_is_and_where_to_begin() {
    let shop = Shop::open().await;
    let mut browser = Browser::new(&shop.url);
    let text = page(&mut browser, "/dashboard").await;
    assert!(
        text.contains("href=\"/connect\"") && text.contains("Add to your Discord server"),
        "{text}"
    );
    assert!(!text.contains("Café Club"));
}

#[tokio::test]
async fn a_form_that_cannot_be_read_is_refused_on_a_page_of_ours() {
    let shop = Shop::open().await;
    let mut browser = shop.connected().await;
    let server = format!("/dashboard/{}", shop.guild);
    for (path, fields) in [
        ("disconnect", [("sure", "yes")]),
        ("gates/role", [("name", "Gold")]),
        ("approve", [("role_id", "x")]),
        ("members/invite", [("user_id", "")]),
    ] {
        let path = format!("{server}/{path}");
        let answer = post(&mut browser, &path, &fields).await;
        assert_eq!(answer.status(), 400, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("<h1>"), "{path}: {text}");
        assert!(text.contains("could not be read"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_merchant_maps_a_plan_by_forms_alone() {
    let shop = Shop::open().await;
    let mut browser = shop.connected().await;
    let home = format!("/dashboard/{}", shop.guild);
    let text = page(&mut browser, &home).await;
    assert!(
        text.contains("Connect the wallet that owns your plans"),
        "{text}"
    );
    // The wallet, by a signature that is pasted.
    let key = &shop.merchant_key;
    let address = key.address().to_string();
    let next = format!("/dashboard/{}/gates", shop.guild);
    let shown = post(
        &mut browser,
        "/dashboard/wallet/challenge",
        &[("address", &address), ("next", &next)],
    )
    .await;
    let shown = shown.text().await.unwrap();
    let message = shown
        .split_once("readonly>")
        .unwrap()
        .1
        .split_once("</textarea>")
        .unwrap()
        .0;
    let message = message.replace("&#39;", "'").replace("&amp;", "&");
    let signature = format!("0x{}", hex::encode(sign(key, &message)));
    let sent = message.replace('\n', "\r\n");
    let fields = [
        ("message", sent.as_str()),
        ("signature", &signature),
        ("next", &next),
    ];
    let done = post(&mut browser, "/dashboard/wallet/signature", &fields).await;
    assert_eq!(done.status(), 303);
    let text = page(&mut browser, &location(&done)).await;
    assert!(
        text.contains("Your wallet is connected.") && text.contains("Create the role"),
        "{text}"
    );
    // The plan, by a role that is made for it.
    let (module, plan) = (shop.module.to_string(), shop.plan.to_string());
    let fields = [("name", "Gold Club"), ("module", &module), ("plan", &plan)];
    let made = post(&mut browser, &format!("{next}/role"), &fields).await;
    assert_eq!(made.status(), 303);
    let preview = location(&made);
    let text = page(&mut browser, &preview).await;
    assert!(
        text.contains("Gold Club") && text.contains("Save"),
        "{text}"
    );
    let role = preview.split_once("role=").unwrap().1.to_owned();
    let fields = [
        ("module", module.as_str()),
        ("plan", &plan),
        ("role", &role),
    ];
    let saved = post(&mut browser, &format!("{next}/save"), &fields).await;
    assert_eq!(saved.status(), 303);
    let text = page(&mut browser, &location(&saved)).await;
    assert!(
        text.contains("In force") && text.contains("Gold Club"),
        "{text}"
    );
    let gate = shop.store.gates().unwrap()[0].id;
    let tested = post(&mut browser, &format!("{next}/{gate}/test"), &[]).await;
    let text = tested.text().await.unwrap();
    assert!(text.contains("It works."), "{text}");
    // What happened is told on every page.
    let ada = shop.subscriber("ada").await;
    shop.until(ada, role.parse().unwrap(), true).await;
    let server = format!("/dashboard/{}", shop.guild);
    for (path, part) in [
        (server.clone(), "Everything works."),
        (format!("{server}/members"), "ada"),
        (format!("{server}/journal"), "made the role Gold Club"),
        (
            format!("{server}/settings"),
            "What happens when a member cancels?",
        ),
        ("/dashboard".to_owned(), "Works"),
    ] {
        let text = page(&mut browser, &path).await;
        assert!(text.contains(part), "{path}: {text}");
    }
    let removed = post(&mut browser, &format!("{next}/{gate}/delete"), &[]).await;
    assert!(location(&removed).ends_with("?done=deleted"));
    let text = page(&mut browser, &next).await;
    assert!(text.contains("Undo the last change"), "{text}");
    shop.until(ada, role.parse().unwrap(), false).await;
    let undone = post(&mut browser, &format!("{server}/undo"), &[]).await;
    assert!(location(&undone).ends_with("?done=undone"));
    let text = page(&mut browser, &next).await;
    assert!(!text.contains("Undo the last change"), "once: {text}");
    shop.until(ada, role.parse().unwrap(), true).await;
}

#[tokio::test]
async fn what_the_operator_set_is_shown_where_a_server_set_nothing() {
    let shop = Shop::open_with("[policy]\nmanual_roles = \"claim\"\n").await;
    let holder = shop.discord.add_user("holder");
    shop.discord.add_member(shop.guild, holder).unwrap();
    let give = shop.discord.give_role(shop.guild, holder, shop.roles[1]);
    give.unwrap();
    let mut browser = shop.merchant().await;
    let gates = format!("/dashboard/{}/gates", shop.guild);
    let (module, plan, role) = (shop.module, shop.plan, shop.roles[1]);
    let preview = format!("{gates}/preview?module={module}&plan={plan}&role={role}");
    let text = until_page(&mut browser, &preview, "1 member hold").await;
    assert!(text.contains("value=\"claim\" checked"), "{text}");
    let settings = format!("/dashboard/{}/settings", shop.guild);
    let text = page(&mut browser, &settings).await;
    assert!(text.contains("has set it: “Claim”"), "{text}");
}

#[tokio::test]
async fn a_role_that_carries_a_lot_is_asked_for_twice() {
    let shop = Shop::open().await;
    let judge = NewRole {
        permissions: Permissions::BAN_MEMBERS,
        ..NewRole::named("Judge")
    };
    let judge = shop.discord.add_role_with(shop.guild, judge).unwrap();
    let mut browser = shop.merchant().await;
    let gates = format!("/dashboard/{}/gates", shop.guild);
    let (module, plan, role) = (
        shop.module.to_string(),
        shop.plan.to_string(),
        judge.to_string(),
    );
    let text = page(&mut browser, &format!("{gates}/map?module={module}")).await;
    assert!(text.contains("Carries Ban Members"), "{text}");
    let mut fields = vec![
        ("module", module.as_str()),
        ("plan", &plan),
        ("role", &role),
    ];
    let asked = post(&mut browser, &format!("{gates}/save"), &fields).await;
    assert_eq!(asked.status(), 409);
    let text = asked.text().await.unwrap();
    assert!(
        text.contains("This role is powerful") && text.contains("Ban Members"),
        "{text}"
    );
    assert!(shop.store.gates().unwrap().is_empty());
    fields.push(("confirm", "1"));
    let saved = post(&mut browser, &format!("{gates}/save"), &fields).await;
    assert!(location(&saved).contains("?done=saved"));
}

#[tokio::test]
async fn what_is_refused_is_told_on_a_page_with_a_way_back() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let gates = format!("/dashboard/{}/gates", shop.guild);
    let none = Address::repeat_byte(0x11).to_string();
    let answer = browser.get(&format!("{gates}/map?module={none}")).await;
    assert_eq!(answer.status(), 422);
    let answer = post(&mut browser, &format!("{gates}/save"), &[("module", &none)]).await;
    assert_eq!(answer.status(), 422);
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("This was not done") && text.contains(&gates),
        "{text}"
    );
    let server = format!("/dashboard/{}", shop.guild);
    let fields = [("expiry_leeway", "soon"), ("cancelled", "revoke")];
    let answer = post(&mut browser, &format!("{server}/settings"), &fields).await;
    assert_eq!(answer.status(), 422);
    let fields = [("cancelled", "keep_until_expiry")];
    let answer = post(&mut browser, &format!("{server}/settings"), &fields).await;
    assert!(location(&answer).ends_with("?done=settings"));
    let text = page(&mut browser, &location(&answer)).await;
    assert!(
        text.contains("value=\"keep_until_expiry\" checked"),
        "{text}"
    );
    // Without the tick nothing is disconnected.
    let answer = post(
        &mut browser,
        &format!("{server}/disconnect"),
        &[("remove_roles", "no"), ("sure", "")],
    )
    .await;
    assert!(location(&answer).ends_with("/settings"));
    let fields = [("remove_roles", "no"), ("sure", "yes")];
    let answer = post(&mut browser, &format!("{server}/disconnect"), &fields).await;
    assert!(location(&answer).ends_with("?done=disconnected"));
}

/// Loads a page until it says this.
pub(super) async fn until_page(browser: &mut Browser, path: &str, part: &str) -> String {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let text = page(browser, path).await;
        if text.contains(part) {
            return text;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "never {part:?}: {text}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn stopped_removals_are_shown_with_their_number_and_let_through_by_the_button() {
    const CROWD: usize = 7;
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
    let now = Timestamp(1);
    shop.store
        .set_config(&[gate], &BTreeMap::new(), now)
        .unwrap();
    let mut people = Vec::new();
    for number in 0..CROWD {
        people.push(shop.subscriber(&format!("subscriber {number}")).await);
    }
    for user in &people {
        shop.until(*user, role, true).await;
    }
    let mut browser = shop.signed_in(shop.merchant).await;
    // The operator's file leaves the gate out: nothing on the chain says so.
    shop.store.set_config(&[], &BTreeMap::new(), now).unwrap();
    let server = format!("/dashboard/{}", shop.guild);
    let text = until_page(&mut browser, &server, "Removals wait for your approval").await;
    assert!(text.contains("7 of 7 members"), "{text}");
    assert!(text.contains("Take Gold from 7 members"), "{text}");
    for user in &people {
        assert!(shop.discord.has_role(shop.guild, *user, role));
    }
    let hidden = |name: &str| {
        let of_name = format!("name=\"{name}\" value=\"");
        let (_, rest) = text.split_once(&of_name).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let (role_id, since, removals) = (role.to_string(), hidden("since"), hidden("removals"));
    // Fewer were shown than are stopped now.
    for (removals, is_done) in [("6", false), (&removals, true)] {
        let fields = [
            ("role_id", role_id.as_str()),
            ("since", &since),
            ("removals", removals),
        ];
        let done = post(&mut browser, &format!("{server}/approve"), &fields).await;
        if is_done {
            assert!(location(&done).ends_with("?done=approved"), "{done:?}");
        } else {
            assert_eq!(done.status(), 409);
        }
    }
    for user in &people {
        shop.until(*user, role, false).await;
    }
    let journal = page(&mut browser, &format!("{server}/journal")).await;
    assert!(
        journal.contains("approved taking Gold from 7 members"),
        "{journal}"
    );
    let text = page(&mut browser, &server).await;
    assert!(!text.contains("wait for your approval"), "{text}");
}
