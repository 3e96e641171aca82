//! `/amser …`, and the permanent button.

use std::time::Instant;

use amser_roles::domain::{Timestamp, UserId};
use amser_roles::sandbox::discord::{Button, Fault, LocalDiscord, NoReply, Route, Times};
use serde_json::json;

use super::{DEADLINE, Story, private, wallet};

#[tokio::test(flavor = "multi_thread")]
async fn the_permanent_button_answers_like_verify_for_every_member_also_after_a_restart() {
    let mut story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let posted = story
        .run_as(story.club, owner, "amser verify-message", &[])
        .await;
    assert!(posted.text().starts_with("Posted."), "{posted:?}");
    let channel = story.local.channel(story.club).unwrap();
    let shown: Vec<_> = story
        .local
        .messages(channel)
        .into_iter()
        .filter(|message| !message.ephemeral)
        .collect();
    assert_eq!(shown.len(), 1, "nothing else stands in the channel");
    let Button {
        custom_id, label, ..
    } = shown[0].buttons[0].clone();
    assert_eq!(label, "Verify");
    let id = custom_id.unwrap();

    let press = async |story: &Story| {
        let pressed = story
            .local
            .click_button(story.club, story.user, shown[0].id, &id);
        private(pressed.await.unwrap())
    };
    let first = press(&story).await;
    let typed = story.run("verify", &[]).await;
    assert_eq!(first.message.content, typed.message.content);
    assert!(first.message.buttons[0].url.is_some());

    story.restart().await;
    let again = press(&story).await;
    assert!(again.message.buttons[0].url.is_some());
    assert_ne!(again.message.buttons, first.message.buttons);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permanent_message_is_posted_once_though_the_answer_is_lost() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let (posting, lost) = (Route::CreateMessage, Fault::Lost(504));
    story.local.inject(Some(posting), lost, Times::Next(1));
    let posted = story
        .run_as(story.club, owner, "amser verify-message", &[])
        .await;
    assert!(posted.text().starts_with("Posted."), "{posted:?}");
    assert_eq!(story.local.count(posting), 2, "the fault was met");
    let channel = story.local.channel(story.club).unwrap();
    let mut shown = story.local.messages(channel);
    shown.retain(|message| !message.ephemeral);
    assert_eq!(shown.len(), 1);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_the_bot_may_not_write_in_is_told_with_what_to_do() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let channel = story.local.channel(story.club).unwrap();
    story.local.set_bot_may_write(channel, false);
    let reply = story
        .run_as(story.club, owner, "amser verify-message", &[])
        .await;
    let told = reply.text();
    assert!(told.contains("allow my role \"Send Messages\""), "{told}");
    let posting = story.local.count(Route::CreateMessage);
    assert_eq!(posting, 0, "a refused request would count against the bot");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_takes_no_message_is_told_with_what_to_do() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let answers = [
        (50083, "Thread is archived", "Reopen it"),
        (
            50024,
            "Cannot execute action on this channel type",
            "in a text channel",
        ),
    ];
    for (code, message, told) in answers {
        let refused = Fault::Refused {
            status: 400,
            code,
            message,
        };
        let posting = Some(Route::CreateMessage);
        story.local.inject(posting, refused, Times::Next(1));
        let reply = story
            .run_as(story.club, owner, "amser verify-message", &[])
            .await;
        assert!(reply.text().contains(told), "{reply:?}");
    }
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_posts_without_pause_is_told_to_slow_down_and_others_are_not() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let post = async |guild, owner| {
        let reply = story.run_as(guild, owner, "amser verify-message", &[]);
        reply.await.text()
    };
    let begun = Instant::now();
    let mut posted = 0;
    let told = loop {
        let told = post(story.club, owner).await;
        if !told.starts_with("Posted.") {
            break told;
        }
        posted += 1;
        // Six at once, and one more for each ten seconds that this takes.
        let most = 6 + begun.elapsed().as_secs() / 10;
        assert!(posted <= most, "{posted} of at most {most}");
    };
    assert!(posted >= 6, "only {posted}");
    assert!(told.starts_with("Slow down: try again in"), "{told}");
    let elsewhere = story.local.owner(story.pub_).unwrap();
    assert!(post(story.pub_, elsewhere).await.starts_with("Posted."));
    let reply = story.run_as(story.club, owner, "amser sync", &[]).await;
    assert!(!reply.text().starts_with("Slow down"), "{reply:?}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_reads_the_servers_gates_and_what_is_wrong_with_each() {
    let story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let reply = story.run_as(story.club, owner, "amser gates", &[]).await;
    let rule = format!("<@&{}>: plan 1 of module `0xaAaA", story.paid);
    let told = reply.text();
    assert!(told.contains(&rule), "{told}");
    let other = story.role(story.pub_).to_string();
    assert!(!told.contains(&other), "another server's: {told}");
    let bot_role = story.local.bot_role(story.club).unwrap();
    let order = [bot_role, story.paid];
    story.local.set_role_order(story.club, &order).unwrap();
    let asked = ("amser gates", [].as_slice());
    let told = story.until_says(story.club, owner, asked, "does not stand below");
    told.await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_not_offered_managers_commands_and_are_refused_if_a_server_offers_them() {
    let story = Story::begin().await;
    let denied = story
        .local
        .run_command(story.club, story.user, "amser check", &[])
        .await;
    assert!(matches!(denied, Err(NoReply::NotOffered(_))), "{denied:?}");

    // A server may override who is offered a command; here everyone is.
    let mut commands = story.local.commands(None);
    for command in &mut commands {
        let amser = command.as_object_mut().unwrap();
        amser["default_member_permissions"] = json!(null);
        for own in ["id", "application_id", "version"] {
            amser.remove(own);
        }
    }
    let options = story.local.options();
    let url = format!(
        "{}/api/v10/applications/{}/commands",
        story.local.base_url(),
        options.application_id
    );
    let client = crate::support::http::builder().build().unwrap();
    let put = client
        .put(url)
        .header("Authorization", format!("Bot {}", options.token))
        .json(&commands)
        .send()
        .await
        .unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let member = [("member", json!(story.user.to_string()))];
    let both = [member[0].clone(), ("role", json!(story.paid.to_string()))];
    let mut given = both.to_vec();
    given.push(("days", json!(7)));
    given.push(("reason", json!("thanks")));
    let asked: [(&str, &[_]); 9] = [
        ("amser setup", &[]),
        ("amser grant", &given),
        ("amser gates", &[]),
        ("amser approve", &both[1..]),
        ("amser check", &[]),
        ("amser sync", &[]),
        ("amser verify-message", &[]),
        ("amser whois", &member),
        ("amser why", &both),
    ];
    for (name, options) in asked {
        let reply = story.run(name, options).await;
        assert!(reply.text().contains("Manage Server"), "{name}: {reply:?}");
    }
    let channel = story.local.channel(story.club).unwrap();
    let shown = story.local.messages(channel);
    assert!(
        shown.iter().all(|message| message.ephemeral),
        "nothing was posted"
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_read_what_is_wrong_who_a_member_is_and_why_a_role_is_there() {
    let mut story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let reply = story
        .run_as(story.club, owner, "amser check", &[])
        .await
        .text();
    assert!(reply.contains("One gate gives roles"), "{reply}");
    assert!(reply.contains("Nothing prevents roles"), "{reply}");
    let member = ("member", json!(story.user.to_string()));
    let reply = story
        .run_as(
            story.club,
            owner,
            "amser whois",
            std::slice::from_ref(&member),
        )
        .await
        .text();
    assert!(reply.contains(&wallet(1).to_string()), "{reply}");
    let role = ("role", json!(story.paid.to_string()));
    let why: (&str, &[_]) = ("amser why", &[member, role]);
    let reply = story
        .until_says(story.club, owner, why, "has **Supporter**")
        .await;
    assert!(reply.contains("plan 1 is paid"), "{reply}");

    let bot_role = story.local.bot_role(story.club).unwrap();
    story
        .local
        .set_role_order(story.club, &[bot_role, story.paid])
        .unwrap();
    let check: (&str, &[_]) = ("amser check", &[]);
    let reply = story
        .until_says(story.club, owner, check, "does not stand below")
        .await;
    assert!(!reply.contains("Nothing prevents roles"), "{reply}");
    let elsewhere = story.local.owner(story.pub_).unwrap();
    let reply = story
        .run_as(story.pub_, elsewhere, "amser check", &[])
        .await
        .text();
    assert!(
        reply.contains("Nothing prevents roles"),
        "the other server is well: {reply}"
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_has_the_server_read_again_and_hears_what_came_of_it() {
    let mut story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let sync = async || {
        let reply = story.run_as(story.club, owner, "amser sync", &[]).await;
        reply.text()
    };
    let told = sync().await;
    assert!(told.contains("every role is up to date"), "{told}");

    // A role that Discord does not take off for now: what is under way is told.
    let revoke = Some(Route::RemoveMemberRole);
    let unavailable = Fault::ServerError(503);
    story.local.inject(revoke, unavailable, Times::UntilCleared);
    story.store.unlink(story.user, wallet(1)).unwrap();
    let tried = |local: &LocalDiscord| local.count(Route::RemoveMemberRole) > 0;
    let what = "the role's removal is tried";
    story.local.wait_until(what, DEADLINE, tried).await.unwrap();
    let told = sync().await;
    assert!(told.contains("adding 0 roles, removing 1 role."), "{told}");
    story.local.clear_faults(None);
    story.until_role(story.club, story.paid, false).await;

    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_gates_is_not_read() {
    let story = Story::begin().await;
    story
        .store
        .set_config(&[], &Default::default(), Timestamp(0))
        .unwrap();
    let owner = story.local.owner(story.club).unwrap();
    let asked = ("amser sync", [].as_slice());
    let told = story.until_says(story.club, owner, asked, "needs a subscription yet");
    told.await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_learn_nothing_of_wallets_that_are_none_of_their_business() {
    let mut story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    // One that has paid here, one that has not, and a stranger who pays for another server's plan.
    story.link(story.user, wallet(1));
    story.link(story.user, wallet(2));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let elsewhere = story.local.add_user("elsewhere");
    story.link(elsewhere, wallet(3));
    story.pay(8, wallet(3));
    let member = |user: UserId| ("member", json!(user.to_string()));
    let of = [member(story.user)];
    let asked: (&str, &[_]) = ("amser whois", &of);
    let reply = story
        .until_says(story.club, owner, asked, &wallet(1).to_string())
        .await;
    assert!(!reply.contains(&wallet(2).to_string()), "{reply}");
    assert!(reply.contains("1 wallet without"), "{reply}");
    let of = [member(elsewhere)];
    let reply = story.run_as(story.club, owner, "amser whois", &of).await;
    assert!(
        reply.text().ends_with("has linked no wallet."),
        "{}",
        reply.text()
    );

    // Whether somebody who is no member has linked a wallet is not told either.
    let of = [member(elsewhere), ("role", json!(story.paid.to_string()))];
    let reply = story
        .run_as(story.club, owner, "amser why", &of)
        .await
        .text();
    assert!(
        reply.ends_with("is not a member of this server."),
        "{reply}"
    );

    // A server of one's own, without a gate, opens nobody's wallets either.
    let lair = story.local.add_guild("Lair");
    let eve = story.local.owner(lair).unwrap();
    story.local.add_member(lair, story.user).unwrap();
    let of = [member(story.user)];
    let reply = story.run_as(lair, eve, "amser whois", &of).await;
    assert!(
        reply.text().ends_with("has linked no wallet."),
        "{}",
        reply.text()
    );
    story.end();
}
