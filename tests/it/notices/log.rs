//! The log channel.

use amser_roles::discord::{Discord, Settings};
use amser_roles::domain::{
    ChainStatus, ChannelId, DiscordStatus, GuildId, MembersIntent, RoleAction, Timestamp,
};
use amser_roles::notices;
use amser_roles::sandbox::discord::{Fault, Route, Times};
use amser_roles::store::Store;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{channel, lines, logged, set};
use crate::support::notices::inputs;
use crate::support::stage::{DEADLINE, Stage, wait};

#[tokio::test]
async fn each_role_change_is_one_line_with_its_transaction_and_pings_nobody() {
    let stage = Stage::open().await;
    let log = channel(&stage.discord, stage.guild);
    let (before, _) = stage.subscriber("before").await;
    stage.until_journaled(before, RoleAction::Grant).await;
    set(&stage.store, stage.guild, logged(log));
    let (ada, subscription) = stage.subscriber("ada").await;
    stage.chain.pause(stage.module, subscription).await.unwrap();
    stage.until_role(ada, false).await;
    wait("both changes are logged", || {
        stage.lines_about(log, ada, "lost") == 1
    })
    .await;
    assert_eq!(stage.lines_about(log, ada, "got"), 1);
    let about = format!("<@{}>", ada.user);
    let journal = stage.journal(ada);
    for (entry, line) in journal.iter().zip(
        lines(&stage.discord, log)
            .iter()
            .filter(|line| line.contains(&about)),
    ) {
        let mark = entry.change.cause.mark().unwrap();
        assert!(line.contains(&mark.transaction.to_string()), "{line}");
        assert!(line.contains(&format!("<@&{}>", stage.role)), "{line}");
        assert!(!line.contains(&ada.wallet.to_string()), "{line}");
    }
    assert_eq!(stage.lines_about(log, before, "got"), 0, "the past is past");
    for request in stage.discord.requests() {
        if request.route == Some(Route::CreateMessage) {
            assert!(
                request.body.contains(r#""allowed_mentions":{"parse":[]}"#),
                "{}",
                request.body
            );
        }
    }
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_line_whose_answer_was_lost_before_a_restart_is_there_once() {
    let mut stage = Stage::open().await;
    let log = channel(&stage.discord, stage.guild);
    set(&stage.store, stage.guild, logged(log));
    let lost = Fault::Lost(504);
    stage
        .discord
        .inject(Some(Route::CreateMessage), lost, Times::UntilCleared);
    let (ada, subscription) = stage.subscriber("ada").await;
    wait("the message arrived", || {
        stage.lines_about(log, ada, "got") == 1
    })
    .await;
    // More happens before the program knows that the first line arrived.
    stage.chain.pause(stage.module, subscription).await.unwrap();
    stage.until_role(ada, false).await;
    stage.until_journaled(ada, RoleAction::Revoke).await;
    stage.stop().await;
    stage.discord.clear_faults(None);
    stage.start();
    wait("the rest is told", || {
        stage.lines_about(log, ada, "lost") == 1
    })
    .await;
    assert_eq!(stage.lines_about(log, ada, "got"), 1);
    stage.assert_no_violations();
}

#[tokio::test]
async fn many_changes_become_few_messages_that_discord_takes() {
    let mut stage = Stage::open().await;
    let log = channel(&stage.discord, stage.guild);
    set(&stage.store, stage.guild, logged(log));
    let broken = Fault::ServerError(502);
    stage
        .discord
        .inject(Some(Route::CreateMessage), broken, Times::UntilCleared);
    let mut people = Vec::new();
    for number in 0..30 {
        people.push(stage.subscriber(&format!("member {number}")).await.0);
    }
    for person in &people {
        stage.until_journaled(*person, RoleAction::Grant).await;
    }
    stage.stop().await;
    stage.discord.clear_faults(None);
    stage.start();
    for person in &people {
        wait("each is logged", || {
            stage.lines_about(log, *person, "got") == 1
        })
        .await;
    }
    let messages = super::read(&stage.discord, log);
    assert!(messages.len() <= 15, "{} messages", messages.len());
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_channel_that_takes_no_messages_keeps_no_role_back_and_is_not_asked_again_and_again() {
    let stage = Stage::open().await;
    let log = channel(&stage.discord, stage.guild);
    let native = stage.discord.channel(stage.guild).unwrap();
    stage.discord.set_bot_may_write(native, false);
    set(&stage.store, stage.guild, logged(log));
    for name in ["ada", "bob", "eve"] {
        stage.subscriber(name).await;
    }
    wait("the refusal was met", || {
        stage.discord.count(Route::CreateMessage) > 0
    })
    .await;
    stage.barrier().await;
    assert_eq!(stage.discord.count(Route::CreateMessage), 1);
    // Another channel is a way out.
    let other = stage.discord.add_channel(stage.guild, "log").unwrap();
    let other = ChannelId(other.get());
    set(&stage.store, stage.guild, logged(other));
    wait("all is told there", || {
        let all = lines(&stage.discord, other);
        all.iter().filter(|line| line.contains("got")).count() >= 3
    })
    .await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_channel_that_took_no_messages_is_no_trouble_once_another_one_is_chosen() {
    let settings = Settings {
        application_id: 1.try_into().unwrap(),
        api_url: "http://127.0.0.1:9".parse().unwrap(),
        members_intent: MembersIntent::Used,
    };
    let discord = Discord::new(
        &settings,
        &SecretString::from("t"),
        watch::Sender::default(),
    )
    .unwrap();
    let store = Store::in_memory().unwrap();
    let (first, second) = (GuildId(7), GuildId(8));
    for guild in [first, second] {
        set(&store, guild, logged(ChannelId(20)));
    }
    let (_chain, chain) = watch::channel(ChainStatus::default());
    let told = inputs(&discord, &store, &chain, || Timestamp(1));
    let mut shown = told.discord.subscribe();
    let refuse = |status: &mut DiscordStatus| {
        for (guild, channel) in [(first, 10), (second, 20)] {
            let key = (guild, ChannelId(channel));
            status.channels_refused.insert(key, "no".to_owned());
        }
    };
    told.discord.send_modify(refuse);
    let stop = CancellationToken::new();
    let running = tokio::spawn(notices::run(told, stop.clone()));
    let is_left = |status: &DiscordStatus| {
        let left = status.channels_refused.keys();
        left.eq([&(second, ChannelId(20))])
    };
    let left = tokio::time::timeout(DEADLINE, shown.wait_for(is_left)).await;
    left.unwrap().unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
}
