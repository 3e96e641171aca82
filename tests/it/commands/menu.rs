//! A right click on a member, and `/plans`.

use amser_roles::sandbox::discord::NoReply;

use super::{Story, private, wallet};

const MENU: &str = "Why this role?";

#[tokio::test(flavor = "multi_thread")]
async fn a_right_click_tells_managers_of_a_member_and_members_of_themselves() {
    let mut story = Story::begin().await;
    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let owner = story.local.owner(story.club).unwrap();
    let ask = async |by, about| {
        let menu = story.local.run_user_command(story.club, by, MENU, about);
        private(menu.await.unwrap()).text()
    };
    let role = [("role", serde_json::json!(story.paid.to_string()))];
    let why: (&str, &[_]) = ("why", &role);
    story
        .until_says(story.club, story.user, why, "You have **Supporter**")
        .await;
    let told = ask(story.user, story.user).await;
    assert!(told.contains("You have **Supporter**."), "{told}");
    assert!(told.contains("plan 1 is paid"), "{told}");
    let told = ask(owner, story.user).await;
    let of_member = format!("<@{}> has **Supporter**.", story.user);
    assert!(told.contains(&of_member), "{told}");
    let told = ask(story.user, owner).await;
    assert!(told.contains("about yourself"), "{told}");
    assert!(!told.contains("Supporter"), "{told}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_menu_of_a_server_where_the_bot_is_not_has_no_such_command() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    story.local.kick_bot(story.club).unwrap();
    let menu = story.local.run_user_command(story.club, owner, MENU, owner);
    assert!(matches!(menu.await, Err(NoReply::NotOffered(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_read_what_roles_cost_and_where_to_subscribe_unless_they_cannot_be_given() {
    let story = Story::begin().await;
    let told = story.run("plans", &[]).await.text();
    let start = format!("<@&{}>:\n• **Plan 1**, 5 ", story.paid);
    assert!(told.starts_with(&start), "{told}");
    assert!(told.contains(": <https://pay.example/0xaAaA"), "{told}");
    let other = story.role(story.pub_).to_string();
    assert!(!told.contains(&other), "another server's: {told}");

    let bot_role = story.local.bot_role(story.club).unwrap();
    let order = [bot_role, story.paid];
    story.local.set_role_order(story.club, &order).unwrap();
    let asked = ("plans", [].as_slice());
    let told = story
        .until_says(story.club, story.user, asked, "Wait with subscribing")
        .await;
    assert!(!told.contains("https://"), "{told}");
    story.end();
}
