//! Personal invites for those who paid and are not in the server.

use amser_roles::domain::UserId;
use amser_roles::sandbox::chain::wallet;

use super::browser::mapped;
use super::forms::{page, post, until_page};
use crate::support::shop::{DEADLINE, Shop};

#[tokio::test]
async fn who_paid_and_is_not_in_the_server_is_invited_alone_and_comes_with_the_role() {
    let shop = Shop::open().await;
    let mut browser = mapped(&shop).await;
    let role = shop.roles[1];
    let (ada, eve) = (shop.subscriber("ada").await, shop.subscriber("eve").await);
    shop.until(ada, role, true).await;
    shop.discord.remove_member(shop.guild, ada).unwrap();
    let members = format!("/dashboard/{}/members", shop.guild);
    let filtered = format!("{members}?filter=not_in_server");
    until_page(&mut browser, &filtered, "Make an invite").await;
    let invite = format!("{members}/invite");
    let of = |user: UserId| [("user_id".to_owned(), user.to_string())];
    let mut make = async |user| {
        let fields = of(user);
        let fields = fields
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        post(&mut browser, &invite, &fields)
            .await
            .text()
            .await
            .unwrap()
    };
    let refused = make(eve).await;
    assert!(
        refused.contains("who paid, linked a wallet, and is not in the server"),
        "{refused}"
    );
    let made = make(ada).await;
    let code = made.split_once("https://discord.gg/").unwrap().1;
    let code = code.split('<').next().unwrap();
    assert_eq!(shop.discord.invites(shop.guild), [code]);
    assert!(
        shop.discord.accept_invite(code, eve).is_err(),
        "for one alone"
    );
    shop.discord.accept_invite(code, ada).unwrap();
    assert!(shop.discord.has_role(shop.guild, ada, role), "at once");
    // It is ours: it goes when the payments stop.
    let applied = || {
        let mut found = false;
        shop.store
            .for_each_applied(|one| found |= (one.user, one.role) == (ada, role))
            .unwrap();
        found
    };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !applied() {
        assert!(tokio::time::Instant::now() < deadline, "never adopted");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let journal = page(&mut browser, &format!("/dashboard/{}/journal", shop.guild)).await;
    assert!(
        journal.contains(&format!("made an invite for the member {ada}")),
        "{journal}"
    );
    assert_eq!(shop.discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_an_invite_when_the_payments_have_ended_loses_the_role_again() {
    let shop = Shop::open().await;
    let mut browser = mapped(&shop).await;
    let role = shop.roles[1];
    let ada = shop.stranger("ada").await;
    let members = format!("/dashboard/{}/members", shop.guild);
    let filtered = |state: &str| format!("{members}?filter={state}");
    until_page(&mut browser, &filtered("not_in_server"), "Make an invite").await;
    let invite = format!("{members}/invite");
    let made = post(&mut browser, &invite, &[("user_id", &ada.to_string())]).await;
    assert_eq!(made.status(), 200);
    let address = wallet("ada").address();
    let newest = shop.chain.newest_subscription(shop.module, address);
    let subscription = newest.await.unwrap().unwrap();
    shop.chain
        .let_lapse(shop.module, subscription)
        .await
        .unwrap();
    until_page(&mut browser, &filtered("lapsed"), &ada.to_string()).await;
    let [code] = shop.discord.invites(shop.guild).try_into().unwrap();
    shop.discord.accept_invite(&code, ada).unwrap();
    assert!(
        shop.discord.has_role(shop.guild, ada, role),
        "it came with the invite"
    );
    shop.until(ada, role, false).await;
    assert_eq!(shop.discord.violations(), []);
}
