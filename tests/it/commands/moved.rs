//! The former owner of a wallet is told.

use amser_roles::domain::Timestamp;

use super::{Story, wallet};

#[tokio::test(flavor = "multi_thread")]
async fn the_former_owner_is_told_by_direct_message_unless_those_are_closed() {
    let story = Story::begin().await;
    let told = story
        .bot
        .discord
        .tell_moved(story.user, wallet(1), Timestamp(7))
        .await;
    assert!(told.unwrap());
    let messages = story.local.direct_messages(story.user);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].content.contains(&wallet(1).to_string()));
    assert!(
        messages[0]
            .content
            .contains("linked to another Discord account <t:7:R>")
    );

    story.local.set_closed_to_messages(story.user, true);
    let told = story
        .bot
        .discord
        .tell_moved(story.user, wallet(2), Timestamp(7))
        .await;
    assert!(
        !told.unwrap(),
        "closed direct messages are nobody's failure"
    );
    let stranger = story.local.add_user("left every server");
    let told = story
        .bot
        .discord
        .tell_moved(stranger, wallet(2), Timestamp(7))
        .await;
    assert!(!told.unwrap());
    story.end();
}
