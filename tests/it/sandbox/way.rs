//! The guided way of a member, step by step, as the page says it.
use super::Play;

/// The title of the step that is next.
fn next(page: &str) -> String {
    let step = page
        .split("aria-current=\"step\"")
        .nth(1)
        .unwrap_or_default();
    let title = step.split("class=\"step\">").nth(1).unwrap_or_default();
    title.split('<').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_members_way_leads_from_the_wallet_to_the_lapse() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let now = async |title: &str| {
        let page = play
            .shows(
                "/member",
                &format!("class=\"step\">{title}</p><div class=\"why\""),
            )
            .await;
        assert_eq!(next(&page), title);
    };
    now("Link your wallet").await;
    play.done("link_wallet", ada).await;
    now("Subscribe and pay").await;
    play.done("subscribe", ada).await;
    play.done("pay", ada).await;
    play.role(ada, true).await;
    now("Ask why you have it").await;
    let body = serde_json::json!({
        "guild_id": play.world.guild, "user_id": ada, "line": "/why role:\"Subscriber\"" });
    assert_eq!(play.post("/sandbox/commands", &body).await.0, 200);
    now("See a payment fail").await;
    play.done("pass_until_due", ada).await;
    play.done("fail_payment", ada).await;
    play.role(ada, false).await;
    now("Pay again").await;
    play.done("pay", ada).await;
    play.role(ada, true).await;
    now("Let it lapse").await;
    play.done("pass_until_lapsed", ada).await;
    play.role(ada, false).await;
    play.shows("/member", "That was all of it").await;
    play.end().await;
}
