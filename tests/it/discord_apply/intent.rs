//! Without the privileged members intent: refused at the start, withdrawn while running, or never asked for.

use serenity::model::gateway::GatewayIntents;

use super::*;

/// Whether members can be read by id, and the gateway tells of roles but not of members.
async fn goes_on_without_member_events(story: &mut Story) {
    let (guild, user) = (story.guild, story.users[0]);
    let seen = story.discord.members(guild, &[user]).await.unwrap();
    assert!(seen[0].1.is_some());
    assert!(story.local.member_requests() > 0);
    story.local.give_role(guild, user, story.paid).unwrap();
    story.local.rename_role(guild, story.paid, "New").unwrap();
    let next = story
        .observed(|observation| {
            matches!(
                observation,
                Observation::MemberSeen { .. } | Observation::RolesChanged(_)
            )
        })
        .await;
    assert_eq!(next, Observation::RolesChanged(guild));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_intent_is_done_without() {
    let options = Options {
        privileged_intents: GatewayIntents::empty(),
        ..Options::default()
    };
    let mut story = Story::begin_with(options, 1).await;
    let status = story.status(|status| status.connected).await;
    assert_eq!(status.members_intent, MembersIntent::Refused);
    story.ready().await;
    goes_on_without_member_events(&mut story).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_is_withdrawn_while_running_is_done_without() {
    let mut story = Story::begin(1).await;
    let status = story.status(|status| status.connected).await;
    assert_eq!(status.members_intent, MembersIntent::Used);
    story.ready().await;
    story.local.withdraw_members_intent();
    let refused = |status: &DiscordStatus| status.members_intent == MembersIntent::Refused;
    story.status(refused).await;
    story
        .observed(|observation| *observation == Observation::Connected)
        .await;
    story.ready().await;
    goes_on_without_member_events(&mut story).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_member_list_means_that_the_intent_was_withdrawn() {
    use amser_roles::sandbox::discord::{Fault, Times};
    let mut story = Story::begin(1).await;
    story.ready().await;
    let list = Some(Route::ListMembers);
    story
        .local
        .inject(list, Fault::MISSING_ACCESS, Times::UntilCleared);
    let page = story.discord.page_of_members(story.guild, UserId(0)).await;
    assert!(page.is_err());
    let refused = |status: &DiscordStatus| status.members_intent == MembersIntent::Refused;
    story.status(refused).await;
    story
        .observed(|observation| *observation == Observation::Connected)
        .await;
    story.ready().await;
    goes_on_without_member_events(&mut story).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_removed_the_bot_says_nothing_of_the_intent() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.kick_bot(story.guild).unwrap();
    let page = story.discord.page_of_members(story.guild, UserId(0)).await;
    let error = format!("{:#}", page.unwrap_err());
    assert!(error.contains("cannot read the members"), "{error}");
    let status = story.status(|_| true).await;
    assert_eq!(status.members_intent, MembersIntent::Used);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_is_never_wanted_is_never_asked_for() {
    let local = LocalDiscord::start(Options::default()).await.unwrap();
    let never = Settings {
        members_intent: MembersIntent::Never,
        ..settings(&local)
    };
    let mut story = Story::begin_as(local, never, 1).await;
    let status = story.status(|status| status.connected).await;
    assert_eq!(status.members_intent, MembersIntent::Never);
    story.ready().await;
    goes_on_without_member_events(&mut story).await;
    assert_eq!(story.local.identified(), 1);
    story.end().await;
}
