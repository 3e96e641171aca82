//! Discord says no: recognised, shown once with what to do, not hammered, healed after the repair.

use amser_roles::sandbox::discord::{Fault, Times};
use serenity::model::Permissions;

use super::*;

const ADD: Option<Route> = Some(Route::AddMemberRole);

/// Long enough for a hammering worker to show itself.
const QUIET: Duration = Duration::from_millis(1500);

impl Story {
    /// Waits for the standing error of a scope.
    async fn failing(&mut self, role: Option<RoleId>) -> String {
        let key = (self.guild, role);
        self.status(|status| status.failing.contains_key(&key))
            .await
            .failing[&key]
            .clone()
    }

    async fn healed(&mut self) {
        self.status(|status| status.failing.is_empty()).await;
    }

    /// Nothing but role requests counts; reading roles is how a repair is found.
    async fn assert_quiet(&self, role_requests: u64) {
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.role_requests(), role_requests);
        let reads = self.local.count(Route::GetGuild);
        assert!(reads < 10, "{reads} reads of the server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_above_the_bots_is_shown_without_any_request_and_heals_when_moved() {
    let mut story = Story::begin(3).await;
    let bot_role = story.local.bot_role(story.guild).unwrap();
    story
        .local
        .set_role_order(story.guild, &[bot_role, story.paid])
        .unwrap();
    story.ready().await;
    for user in &story.users {
        story.set(RoleAction::Grant, *user);
    }
    let sentence = story.failing(Some(story.paid)).await;
    assert!(sentence.contains("move the bot's role above"), "{sentence}");
    story.assert_quiet(0).await;
    story
        .local
        .set_role_order(story.guild, &[story.paid, bot_role])
        .unwrap();
    story.healed().await;
    story.settled().await;
    assert_eq!((story.holders().len(), story.role_requests()), (3, 3));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_stops_the_server_and_heals_when_granted() {
    let mut story = Story::begin(2).await;
    story.ready().await;
    let bot_role = story.local.bot_role(story.guild).unwrap();
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    story
        .local
        .set_role_permissions(story.guild, bot_role, Permissions::VIEW_CHANNEL)
        .unwrap();
    story
        .observed(|observation| matches!(observation, Observation::RolesChanged(_)))
        .await;
    story.set(RoleAction::Grant, story.users[1]);
    let sentence = story.failing(None).await;
    assert!(sentence.contains("Manage Roles"), "{sentence}");
    let requests = story.role_requests();
    assert!(requests <= 2, "at most the one that found out");
    story.assert_quiet(requests).await;
    story
        .local
        .set_role_permissions(story.guild, bot_role, Permissions::MANAGE_ROLES)
        .unwrap();
    story.healed().await;
    story.settled().await;
    assert_eq!(story.holders().len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_the_roles_do_not_explain_are_told_once_and_tried_again_after_a_repair() {
    for (fault, expected, whole_server) in [
        (Fault::MISSING_PERMISSIONS, 50013, false),
        (Fault::UNKNOWN_ROLE, 10011, false),
        (Fault::MISSING_ACCESS, 50001, true),
        (Fault::UNKNOWN_GUILD, 10004, true),
    ] {
        let mut story = Story::begin(3).await;
        story.ready().await;
        story.local.inject(ADD, fault, Times::UntilCleared);
        for user in &story.users {
            story.set(RoleAction::Grant, *user);
        }
        assert_eq!(code(&story.report().await), Some(expected));
        story.failing((!whole_server).then_some(story.paid)).await;
        story.assert_quiet(1).await;
        assert_eq!(story.told(), [], "{expected} is told once");
        assert_eq!(story.discord.pending(), 3);
        story.local.clear_faults(None);
        story
            .local
            .rename_role(story.guild, story.paid, "Renamed")
            .unwrap();
        story.healed().await;
        story.settled().await;
        assert_eq!(
            (story.holders().len(), story.role_requests()),
            (3, 4),
            "{expected}"
        );
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_not_taken_for_gone_on_discords_word_while_the_server_has_it() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    let remove = Some(Route::RemoveMemberRole);
    story
        .local
        .inject(remove, Fault::UNKNOWN_ROLE, Times::Next(1));
    story.set(RoleAction::Revoke, story.users[0]);
    story.failing(Some(story.paid)).await;
    assert_eq!(story.holders().len(), 1);
    story
        .local
        .rename_role(story.guild, story.paid, "Renamed")
        .unwrap();
    story.healed().await;
    story.settled().await;
    assert_eq!(story.holders().len(), 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_role_is_shown_and_its_changes_wait_while_other_roles_go_on() {
    let mut story = Story::begin(2).await;
    story.ready().await;
    let [first, second] = story.users[..] else {
        panic!("two members")
    };
    story.local.delete_role(story.guild, story.paid).unwrap();
    story
        .observed(|observation| matches!(observation, Observation::RoleDeleted { .. }))
        .await;
    story.set(RoleAction::Grant, first);
    let sentence = story.failing(Some(story.paid)).await;
    assert!(sentence.contains("does not exist"), "{sentence}");
    story.local.clear_log();
    let other = story.local.add_role(story.guild, "Other").unwrap();
    story.send(RoleAction::Grant, story.guild, second, other);
    let guild = story.guild;
    let given = story
        .local
        .wait_until("the other role is given", DEADLINE, |local| {
            local.has_role(guild, second, other)
        });
    given.await.unwrap();
    story.assert_quiet(1).await;
    // The gate takes another role: the old one is to be taken, which nobody can hold.
    story.set(RoleAction::Revoke, first);
    story.send(RoleAction::Grant, story.guild, first, other);
    story.settled().await;
    story.discord.watch(story.guild, &[other].into());
    story.healed().await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_removed_is_shown_and_goes_on_after_the_invitation() {
    let mut story = Story::begin(2).await;
    story.ready().await;
    story.local.kick_bot(story.guild).unwrap();
    story
        .observed(|observation| matches!(observation, Observation::GuildGone(_)))
        .await;
    story.set(RoleAction::Grant, story.users[0]);
    let sentence = story.failing(None).await;
    assert!(sentence.contains("invite it again"), "{sentence}");
    story.assert_quiet(0).await;
    story
        .local
        .invite_bot(story.guild, Permissions::MANAGE_ROLES)
        .unwrap();
    story.ready().await;
    // The new role of the bot stands lowest; the merchant moves it.
    story.failing(Some(story.paid)).await;
    let bot_role = story.local.bot_role(story.guild).unwrap();
    story
        .local
        .set_role_order(story.guild, &[story.paid, bot_role])
        .unwrap();
    story.healed().await;
    story.settled().await;
    assert_eq!(story.holders().len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_is_not_there_is_asked_for_until_the_change_is_withdrawn() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    let user = story.local.add_user("late");
    story.set(RoleAction::Grant, user);
    for _ in 0..2 {
        assert_eq!(story.report().await.outcome, None);
    }
    story
        .discord
        .withdraw((story.guild, user, story.paid), RoleAction::Grant);
    story.settled().await;
    story.local.clear_log();
    story.assert_quiet(0).await;
    assert_eq!(story.told(), []);
    assert_eq!(story.status.borrow().failing, BTreeMap::new());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_role_and_everyone_are_never_asked_for() {
    let mut story = Story::begin(2).await;
    story.ready().await;
    let [first, second] = story.users[..] else {
        panic!("two members")
    };
    story
        .local
        .set_role_managed(story.guild, story.paid, true)
        .unwrap();
    story
        .observed(|observation| matches!(observation, Observation::RolesChanged(_)))
        .await;
    let everyone = RoleId(story.guild.0);
    let seen = story
        .discord
        .obstacles(story.guild, &[story.paid, everyone].into())
        .await
        .unwrap();
    let says = |what| seen.iter().any(|sentence| sentence.contains(what));
    assert!(
        says("by the integration it belongs to") && says("@everyone"),
        "{seen:?}"
    );
    story.set(RoleAction::Grant, first);
    story.send(RoleAction::Grant, story.guild, second, everyone);
    story.failing(Some(story.paid)).await;
    story.failing(Some(everyone)).await;
    story.assert_quiet(0).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_stops_working_silences_all_servers() {
    let mut story = Story::begin(3).await;
    story.ready().await;
    let refused = Fault::Refused {
        status: 401,
        code: 0,
        message: "401: Unauthorized",
    };
    story.local.inject(None, refused, Times::UntilCleared);
    for user in &story.users {
        story.set(RoleAction::Grant, *user);
    }
    let sentence = story.failing(None).await;
    assert!(sentence.contains("AMSER_ROLES_DISCORD_TOKEN"), "{sentence}");
    tokio::time::sleep(QUIET).await;
    assert!(
        story.local.invalid_requests() <= 2,
        "{}",
        story.local.invalid_requests()
    );
    story.end().await;
}
