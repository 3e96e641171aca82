//! The commands on Discord.

use amser_roles::sandbox::discord::{Fault, Route, Times};
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
        "Why this role?",
        "amser",
        "plans",
        "privacy",
        "status",
        "unlink",
        "verify",
        "wallets",
        "why",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    let direct = |command: &serde_json::Value| command["contexts"] == json!([0, 1]);
    let registered = story.local.commands(None);
    let direct: Vec<_> = registered.iter().filter(|one| direct(one)).collect();
    assert_eq!(direct.len(), 4, "for who has left: {direct:?}");

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

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_is_a_standing_error_until_it_succeeds() {
    let mut story = Story::begin().await;
    let refused = Fault::Refused {
        status: 403,
        code: 20012,
        message: "You are not authorized to perform this action on this application",
    };
    let listing = Some(Route::GetGlobalCommands);
    story.local.inject(listing, refused, Times::Next(1));
    story.restart().await;
    let mut status = story.bot.status.clone();
    let said = status.wait_for(|status| status.commands_refused.is_some());
    let said = tokio::time::timeout(DEADLINE, said).await.unwrap().unwrap();
    let sentence = said.commands_refused.clone().unwrap();
    drop(said);
    assert!(sentence.contains("discord.application_id"), "{sentence}");
    let repaired = status.wait_for(|status| status.commands_refused.is_none());
    tokio::time::timeout(DEADLINE, repaired)
        .await
        .unwrap()
        .unwrap();
    story.end();
}
