//! Commands in direct messages with the bot.

use amser_roles::sandbox::discord::NoReply;

use super::{Story, wallet};

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_reads_and_deletes_what_is_stored_in_direct_messages() {
    let mut story = Story::begin().await;
    story.link(story.user, wallet(1));
    story.link(story.user, wallet(2));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    for guild in [story.club, story.pub_] {
        story.local.remove_member(guild, story.user).unwrap();
    }
    let run = async |name: &str| story.run_as(None, story.user, name, &[]).await;
    let listed = run("wallets").await.text();
    assert!(listed.contains(&wallet(1).to_string()), "{listed}");
    let status = run("status").await;
    assert!(!status.text().is_empty());
    let asked = run("unlink").await;
    let label = "0x0101…0101";
    let told = story.press(None, story.user, &asked, label).await;
    assert!(told.text().contains("is unlinked"), "{told:?}");
    assert_eq!(story.store.wallets_of(story.user).unwrap(), [wallet(2)]);
    let export = run("privacy export").await;
    assert_eq!(export.message.files.len(), 1);
    let asked = run("privacy delete").await;
    let told = story
        .press(None, story.user, &asked, "Delete everything")
        .await;
    assert!(told.text().contains("One wallet was unlinked"), "{told:?}");
    assert_eq!(story.store.wallets_of(story.user).unwrap(), []);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_a_server_are_not_offered_in_direct_messages() {
    let story = Story::begin().await;
    for name in ["verify", "why", "amser check"] {
        let refused = story.local.run_command(None, story.user, name, &[]).await;
        assert!(matches!(refused, Err(NoReply::NotOffered(_))), "{name}");
    }
    story.end();
}
