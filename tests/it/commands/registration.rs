//! The commands on Discord.

use amser_roles::sandbox::discord::Route;
use serde_json::json;

use super::{DEADLINE, Story};

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_registered_once_and_again_only_when_they_differ() {
    let mut story = Story::begin().await;
    assert_eq!(story.local.count(Route::SetGlobalCommands), 1);
    let names: std::collections::BTreeSet<_> = story
        .local
        .commands(None)
        .iter()
        .map(|command| command["name"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "amser", "privacy", "status", "unlink", "verify", "wallets", "why",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    for command in story.local.commands(None) {
        assert_eq!(command["contexts"], json!([0]), "in servers alone");
    }

    story.restart().await;
    story
        .local
        .wait_until("it looked again", DEADLINE, |local| {
            local.count(Route::GetGlobalCommands) == 2
        })
        .await
        .unwrap();
    story.run("wallets", &[]).await;
    assert_eq!(story.local.count(Route::SetGlobalCommands), 1);
    story.end();
}
