//! The page that the checkout leads back to: what it says of each transaction, and the way there.

use alloy::network::TransactionBuilder as _;
use alloy::primitives::B256;
use alloy::providers::Provider as _;
use amser_roles::domain::UserId;
use amser_roles::sandbox::chain::wallet;
use amser_roles::web::{LINK_SECONDS, machine_clock, new_link};
use serde_json::Value;

use super::Play;
use crate::support::until;
use crate::verify::visitor::{Browser, answer, location};

/// A member's browser, signed in by their link.
struct Visit {
    browser: Browser,
    link: String,
}

impl Visit {
    async fn of(play: &Play, user: UserId) -> Self {
        let world = &play.world;
        let now = machine_clock()();
        let url = new_link(&world.store, user, world.guild, world.public_url(), now).unwrap();
        let mut browser = Browser::new(world.public_url());
        let link = url.path().to_owned();
        let token = link.rsplit('/').next().unwrap();
        browser.sign_in(user, Some(token)).await;
        Self { browser, link }
    }

    async fn asked(&mut self, transaction: &str) -> (u16, Value) {
        let path = format!("{}/standing?tx_hash={transaction}", self.link);
        answer(self.browser.load(&path).await).await
    }

    /// Asks until this is said of the transaction.
    async fn until(&mut self, transaction: &str, text: &str) -> Value {
        until("it is said", async || {
            let (status, said) = self.asked(transaction).await;
            // The roles could not be looked up in time.
            if status == 503 {
                return Err(said.to_string());
            }
            assert_eq!(status, 200, "{said}");
            let payment = said["payment"]["text"].as_str().unwrap();
            match payment.contains(text) {
                true => Ok(said),
                false => Err(format!("{text:?}? {said}")),
            }
        })
        .await
    }
}

/// Subscribes a member and pays; the payment's transaction.
async fn pay(play: &Play, user: UserId) -> String {
    let id = play.world.subscribe(user).await.unwrap();
    let execution = play.world.chain.pay(play.world.module, id).await.unwrap();
    assert_eq!(execution.reason, 0);
    execution.receipt.transaction_hash.to_string()
}

#[tokio::test]
async fn each_transaction_is_told_for_what_it_is_and_trusted_for_nothing() {
    let play = Play::start().await;
    let (world, [ada, grace]) = (&play.world, [play.world.members[0], play.world.members[1]]);
    world.link(ada).await.unwrap();
    let mut visit = Visit::of(&play, ada).await;
    // None of these is a payment of ada's.
    let nowhere = B256::repeat_byte(7).to_string();
    visit.until(&nowhere, "not in a block yet").await;
    let said = visit.until("0x12", "names no transaction").await;
    assert_eq!(said["payment"]["waits"], false, "{said}");
    let doomed = alloy::rpc::types::TransactionRequest::default()
        .with_from(wallet("nobody").address())
        .with_to(world.module)
        .with_input(vec![1, 2, 3, 4])
        .with_gas_limit(1_000_000)
        .with_gas_price(0);
    let doomed = world
        .chain
        .provider()
        .send_transaction(doomed)
        .await
        .unwrap();
    let doomed = doomed.tx_hash().to_string();
    visit.until(&doomed, "failed on the chain").await;
    let minted = world
        .chain
        .mint(wallet("nobody").address(), 1)
        .await
        .unwrap();
    let minted = minted.transaction_hash.to_string();
    visit
        .until(&minted, "Your transaction was seen: 0 of 2")
        .await;
    world.confirm().await.unwrap();
    visit
        .until(&minted, "pays for no plan of this server")
        .await;
    // A payment of somebody else's, whose wallet is not named in full.
    let foreign = pay(&play, grace).await;
    world.confirm().await.unwrap();
    let said = visit
        .until(&foreign, "is confirmed. That wallet is not linked")
        .await;
    let wallet = world.wallet(grace).address().to_string();
    assert!(!said.to_string().contains(&wallet), "{said}");
    assert_eq!(said["roles"], serde_json::json!([]));
    // And one of hers.
    let own = pay(&play, ada).await;
    let said = visit
        .until(&own, "Your payment was seen: 0 of 2 confirmations")
        .await;
    assert_eq!(
        said["subscribe"],
        serde_json::json!([]),
        "nobody is to pay twice"
    );
    world.chain.mine(1).await.unwrap();
    visit.until(&own, "1 of 2 confirmations").await;
    world.chain.mine(1).await.unwrap();
    visit.until(&own, "Your payment is confirmed").await;
    play.role(ada, true).await;
    until("the role is named", async || {
        let said = visit.asked(&own).await;
        match said.1["roles"][0]["name"] == "Subscriber" {
            true => Ok(()),
            false => Err(format!("{said:?}")),
        }
    })
    .await;
    assert!(!world.discord.has_role(world.guild, grace, world.role));
    play.end().await;
}

#[tokio::test]
async fn the_checkout_leads_back_by_the_link_while_it_works_and_else_by_a_new_sign_in() {
    let play = Play::start().await;
    let (world, ada) = (&play.world, play.world.members[0]);
    let mut visit = Visit::of(&play, ada).await;
    let page = visit
        .browser
        .get(&visit.link.clone())
        .await
        .text()
        .await
        .unwrap();
    let token = visit.link.rsplit('/').next().unwrap().to_owned();
    let back = format!("/paid/{}?link={token}", world.guild);
    let escaped: String = url::form_urlencoded::byte_serialize(
        world.public_url().join(&back).unwrap().as_str().as_bytes(),
    )
    .collect();
    assert!(page.contains(&format!("redirect={escaped}")), "{page}");
    let transaction = pay(&play, ada).await;
    let paid = format!("{back}&subscription_id=1&tx_hash={transaction}");
    let to = location(&visit.browser.get(&paid).await);
    let expected = format!("{}?outcome=1&tx_hash={transaction}", visit.link);
    assert!(to.ends_with(&expected), "{to}");
    visit.until(&transaction, "was seen: 0 of 2").await;
    visit.until(&transaction, "Link that wallet here").await;
    let page = visit.browser.get(&expected).await.text().await.unwrap();
    assert!(
        page.contains("Link that wallet here to get its role."),
        "{page}"
    );
    // Another browser is asked who it is, by name alone, and comes back to a link of its own.
    let mut other = Browser::new(world.public_url());
    let to = location(&other.get(&paid).await);
    let login = location(&other.get(&to).await);
    assert!(
        login.contains("scope=identify&") || login.ends_with("scope=identify"),
        "{login}"
    );
    let home = other.visit_discord(&login, ada).await;
    let to = location(&other.get(&home).await);
    assert_eq!(to, paid);
    let to = location(&other.get(&to).await);
    assert!(to.ends_with(&expected), "the first link still works: {to}");
    let later = machine_clock()().plus(LINK_SECONDS + 3_600 + 1);
    world.store.forget_old(later.plus(3_600)).unwrap();
    let again = format!("/paid/{}?tx_hash={transaction}&link={token}", world.guild);
    let mut third = Browser::new(world.public_url());
    third.sign_in(ada, None).await;
    let to = location(&third.get(&again).await);
    assert!(!to.contains(&token) && to.contains("/verify/"), "{to}");
    let page = third.get(&to).await;
    assert_eq!(page.status(), 200);
    // Nothing is made for who is in no such server, and nobody is led elsewhere.
    let nowhere = third.get("/paid/1?tx_hash=0x1").await;
    assert_eq!(nowhere.status(), 404);
    play.end().await;
}
