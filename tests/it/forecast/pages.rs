//! What managers and members are told of renewals that will fail: in the JSON, on the page, and by commands.

use amser_roles::domain::{GuildId, ModuleAddress, RoleAction, UserId};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::LocalDiscord;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{DEADLINE, Shop, ask, read};
use crate::support::stage::{new_guild, wait};
use crate::verify::visitor::Browser;

/// The merchant's browser, after the plan was mapped to Gold and its module was read.
async fn mapped(shop: &Shop) -> Browser {
    let mut browser = shop.merchant().await;
    let draft = shop.draft(&shop.roles[1..]);
    let path = shop.path("/gates");
    let (status, said) = ask(&mut browser, Method::POST, &path, Some(&draft)).await;
    assert_eq!(status, 201, "{said}");
    let module = ModuleAddress(shop.module);
    let is_read = || shop.store.complete_modules().unwrap().contains(&module);
    wait("the module is read", is_read).await;
    browser
}

/// A subscriber who has the role.
async fn subscriber(shop: &Shop, name: &str) -> UserId {
    let user = shop.subscriber(name).await;
    shop.until(user, shop.roles[1], true).await;
    user
}

/// Takes a wallet's money away, and waits until the block in which that happened counts.
async fn impoverish(shop: &Shop, name: &str) {
    shop.chain.burn_all(wallet(name).address()).await.unwrap();
    let head = shop.chain.head().await.unwrap().number;
    let is_read = || {
        let cursor = shop.store.cursor().unwrap();
        cursor.is_some_and(|cursor| cursor.number >= head)
    };
    wait("the block is read", is_read).await;
}

/// What a command answers.
async fn run(
    shop: &Shop,
    guild: GuildId,
    user: UserId,
    name: &str,
    options: &[(&str, Value)],
) -> String {
    let registered = |discord: &LocalDiscord| !discord.commands(None).is_empty();
    let registered = shop
        .discord
        .wait_until("the commands are there", DEADLINE, registered);
    registered.await.unwrap();
    let reply = shop.discord.run_command(guild, user, name, options).await;
    reply.unwrap().message.text()
}

#[tokio::test]
async fn managers_read_whose_renewal_will_fail_why_and_what_it_is_worth() {
    let shop = Shop::open().await;
    let mut browser = mapped(&shop).await;
    let nothing = read(&mut browser, &shop.path("/forecast")).await;
    assert_eq!(
        (&nothing["at_risk"], &nothing["unread"]),
        (&json!([]), &json!(0))
    );
    let ada = subscriber(&shop, "ada").await;
    let bob = subscriber(&shop, "bob").await;
    // Subscribes too, and has linked the wallet to nobody.
    shop.pay(wallet("carol").address()).await;
    impoverish(&shop, "bob").await;
    impoverish(&shop, "carol").await;

    let told = read(&mut browser, &shop.path("/forecast")).await;
    let rows = told["at_risk"].as_array().unwrap();
    let users: Vec<_> = rows.iter().map(|row| &row["user_id"]).collect();
    assert_eq!(users, [&json!(bob), &Value::Null], "{told}");
    let row = &rows[0];
    assert_eq!(row["name"], "bob");
    assert_eq!(
        (&row["reason"], &row["plan_id"]),
        (&json!("balance_too_low"), &json!(shop.plan.to_string()))
    );
    assert_eq!(row["message"], "the wallet's balance is too low");
    assert_eq!(row["price"]["amount"], "5");
    let worth = &told["worth"][0];
    assert_eq!(
        (&worth["amount"], &worth["symbol"]),
        (&json!("10"), &json!("TUSD"))
    );
    assert_eq!(told["note"], Value::Null);

    let page = browser
        .get(&format!("/dashboard/{}/forecast", shop.guild))
        .await;
    let page = page.text().await.unwrap();
    assert!(
        page.contains("2 renewals of the next 7 days will fail"),
        "{page}"
    );
    assert!(page.contains("0.00001 TUSD"), "{page}");
    assert!(page.contains("bob") && !page.contains(">ada<"), "{page}");

    let said = run(&shop, shop.guild, shop.merchant, "amser forecast", &[]).await;
    assert!(
        said.contains("**2 renewals of the next 7 days will fail**, worth 0.00001 TUSD:"),
        "{said}"
    );
    assert!(
        said.contains(&format!("<@{bob}>")) && !said.contains(&format!("<@{ada}>")),
        "{said}"
    );
    assert!(said.contains("no member of this server"), "{said}");
    assert!(said.contains("the wallet's balance is too low"), "{said}");
    assert!(
        said.contains(&format!("/dashboard/{}/forecast", shop.guild)),
        "{said}"
    );
    // A server that sells nothing hears nothing of those who subscribe elsewhere.
    let (other, _) = new_guild(&shop.discord, "Other", &[]);
    let owner = shop.discord.owner(other).unwrap();
    let said = run(&shop, other, owner, "amser forecast", &[]).await;
    assert!(!said.contains("renewal"), "{said}");

    // Who lost the role for a failed payment is told about as such; where the role stays until the end, it is still foretold.
    let chain = &shop.chain;
    let id = chain.newest_subscription(shop.module, wallet("bob").address());
    let id = id.await.unwrap().unwrap();
    chain.wait_until_due(shop.module, id).await.unwrap();
    assert_ne!(chain.execute(shop.module, id).await.unwrap().reason, 0);
    shop.until(bob, shop.roles[1], false).await;
    let names = |told: &Value| {
        let rows = told["at_risk"].as_array().unwrap().clone();
        rows.into_iter().any(|row| row["name"] == "bob")
    };
    let told = read(&mut browser, &shop.path("/forecast")).await;
    assert!(!names(&told), "{told}");
    let keep = json!({ "payment_failed": "keep_until_expiry" });
    let path = shop.path("/settings");
    let (status, said) = ask(&mut browser, Method::PUT, &path, Some(&keep)).await;
    assert_eq!(status, 200, "{said}");
    let told = read(&mut browser, &shop.path("/forecast")).await;
    assert!(names(&told), "{told}");
}

#[tokio::test]
async fn a_member_reads_what_to_do_before_the_payment_fails_and_why_the_role_is_there() {
    let shop = Shop::open().await;
    let _browser = mapped(&shop).await;
    let bob = subscriber(&shop, "bob").await;
    let said = run(&shop, shop.guild, bob, "status", &[]).await;
    assert!(!said.contains("will fail"), "{said}");
    impoverish(&shop, "bob").await;
    let said = run(&shop, shop.guild, bob, "status", &[]).await;
    assert!(said.contains("will fail: 0x"), "{said}");
    assert!(
        said.contains("has less than 0.000005 TUSD. Add to it, or your access ends"),
        "{said}"
    );

    let role = [("role", json!(shop.roles[1].to_string()))];
    let given = || {
        let journal = shop.store.journal_of(bob, 10).unwrap();
        journal
            .iter()
            .any(|entry| entry.change.action == RoleAction::Grant)
    };
    wait("the grant is journalled", given).await;
    let said = run(&shop, shop.guild, bob, "why", &role).await;
    for part in [
        "How it was decided:",
        "• Wallet 0x",
        "• Last payment in block ",
        "• Events up to block ",
        ": access",
        "• Contract at block ",
        "• Rule: plan 1 gives the role",
        "• Policy: ",
        "• Discord gave it ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.chars().count() < 2_000, "one message: {said}");
}
