//! `/verify`, `/wallets`, `/unlink` and `/why`.

use amser_roles::domain::{GuildId, UserId};
use serde_json::json;

use super::{Story, wallet};

/// The link in an answer to `/verify`.
fn link(reply: &amser_roles::sandbox::discord::Reply) -> String {
    let button = reply.message.buttons.first().unwrap();
    button.url.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_gives_each_member_and_server_a_link_of_its_own_and_the_newest_alone_works() {
    let story = Story::begin().await;
    let first = story.run("verify", &[]).await;
    let second = story.run("verify", &[]).await;
    let elsewhere = story.run_as(story.pub_, story.user, "verify", &[]).await;
    assert!(first.deferred && first.text().contains("10 minutes"));
    let links = [link(&first), link(&second), link(&elsewhere)];
    for link in &links {
        let token = link.strip_prefix("https://roles.example/verify/").unwrap();
        assert!(token.len() >= 22, "at least 128 bits");
    }
    let open = |guild: GuildId, user: UserId| {
        let requests = story.store.requests_of(user).unwrap();
        let here = requests.iter().filter(|request| request.guild == guild);
        here.map(|request| format!("{:?}", request.state))
            .collect::<Vec<_>>()
    };
    let mut in_club = open(story.club, story.user);
    in_club.sort();
    assert_eq!(in_club, ["Open", "Replaced"]);
    assert_eq!(open(story.pub_, story.user), ["Open"]);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_are_listed_and_unlinked_one_by_one_by_option_or_button() {
    let story = Story::begin().await;
    let reply = story.run("wallets", &[]).await;
    assert!(reply.text().contains("You have linked no wallet"));
    assert!(story.run("unlink", &[]).await.text().contains("no wallet"));
    for n in 1..=3 {
        story.link(story.user, wallet(n));
    }
    let stranger = story.local.add_user("bob");
    story.link(stranger, wallet(9));
    let text = story.run("wallets", &[]).await.text();
    for n in 1..=3 {
        assert!(text.contains(&wallet(n).to_string()), "{text}");
    }
    assert!(!text.contains(&wallet(9).to_string()));

    let option = |value: &str| [("wallet", json!(value))];
    let reply = story.run("unlink", &option("rubbish")).await;
    assert!(reply.text().contains("not a wallet address"));
    let foreign = wallet(9).to_string();
    let reply = story.run("unlink", &option(&foreign)).await;
    assert!(reply.text().contains("not linked to your account"));
    assert_eq!(
        story.store.link_of(wallet(9)).unwrap().unwrap().user,
        stranger
    );

    let lower_case = wallet(1).to_string().to_lowercase();
    let reply = story.run("unlink", &option(&lower_case)).await;
    assert!(reply.text().contains("is unlinked"));
    assert_eq!(
        story.store.wallets_of(story.user).unwrap(),
        [wallet(2), wallet(3)]
    );

    let asked = story.run("unlink", &[]).await;
    let labels: Vec<_> = asked
        .message
        .buttons
        .iter()
        .map(|b| b.label.as_str())
        .collect();
    assert_eq!(labels, ["All wallets", "0x0202…0202", "0x0303…0303"]);
    story
        .press(story.club, story.user, &asked, "0x0202…0202")
        .await;
    assert_eq!(story.store.wallets_of(story.user).unwrap(), [wallet(3)]);
    let again = story
        .press(story.club, story.user, &asked, "0x0202…0202")
        .await;
    assert!(again.text().contains("not linked to your account"));
    story
        .press(story.club, story.user, &asked, "All wallets")
        .await;
    assert_eq!(story.store.wallets_of(story.user).unwrap(), []);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinking_takes_the_role_away_and_why_tells_the_story() {
    let mut story = Story::begin().await;
    let role = [("role", json!(story.paid.to_string()))];
    let before = story.run("why", &role).await.text();
    assert!(before.contains("do not have **Supporter**"), "{before}");
    assert!(before.contains("No wallet is linked"), "{before}");

    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let why: (&str, &[_]) = ("why", &role);
    let you_have = "You have **Supporter**";
    let reply = story
        .until_says(story.club, story.user, why, you_have)
        .await;
    assert!(reply.contains("plan 1 is paid"), "{reply}");
    let transaction = super::event(story.block, 1, super::created(7, wallet(1))).transaction;
    assert!(reply.contains(&transaction.to_string()), "{reply}");

    story.run("unlink", &[("wallet", json!("all"))]).await;
    story.until_role(story.club, story.paid, false).await;
    let reply = story
        .until_says(story.club, story.user, why, "removed:")
        .await;
    assert!(reply.contains("do not have"), "{reply}");
    assert!(reply.contains("given"), "{reply}");

    let other = story.local.add_role(story.club, "Moderator").unwrap();
    let reply = story
        .run("why", &[("role", json!(other.to_string()))])
        .await;
    assert!(reply.text().contains("No subscription gives"));
    story.end();
}
