//! Messages, direct messages, command registration, and interactions answered late or twice.
use std::sync::Arc;
use std::time::Duration;

use amser_roles::sandbox::discord::{NoReply, Rule};
use serde_json::json;
use serenity::all::{
    ClientBuilder, Context, CreateActionRow, CreateAllowedMentions, CreateButton, CreateCommand,
    CreateEmbed, CreateMessage, EditMessage, EventHandler, GatewayIntents, GetMessages,
    Interaction, InteractionId, MessageFlags,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{DEADLINE, http, refusal, start};

#[tokio::test]
async fn messages_go_to_a_channel_unless_the_bot_may_not_write_there() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let channel = discord.channel(guild).unwrap();
    let http = http(&discord);
    let place = channel;
    let link = CreateButton::new_link("https://example.org").label("Details");
    let message = CreateMessage::new()
        .content("hello")
        .embed(
            CreateEmbed::new()
                .title("Role given")
                .field("Why", "paid", true),
        )
        .components(vec![CreateActionRow::Buttons(vec![link])]);
    let mut sent = place.send_message(&http, message).await.unwrap();
    sent.edit(&http, EditMessage::new().content("hello again"))
        .await
        .unwrap();
    let seen = discord.messages(channel);
    assert_eq!(seen[0].text(), "hello again\nRole given\nWhy\npaid");
    assert_eq!(
        seen[0].buttons[0].url.as_deref(),
        Some("https://example.org")
    );
    assert_eq!(
        place
            .messages(&http, GetMessages::new().limit(5))
            .await
            .unwrap()
            .len(),
        1
    );
    let empty = place.send_message(&http, CreateMessage::new()).await;
    assert_eq!(refusal(empty), (400, 50006));
    discord.set_bot_may_write(channel, false);
    assert_eq!(refusal(place.say(&http, "x").await), (403, 50013));
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn what_a_channel_denies_the_bot_is_listed_and_kept() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let hidden = discord.add_channel(guild, "hidden").unwrap();
    discord.set_bot_may_see(hidden, false);
    let http = http(&discord);
    let listed = http.get_channels(guild.0.into()).await.unwrap();
    let found = listed.iter().find(|one| one.id == hidden).unwrap();
    assert!(found.permission_overwrites[0].deny.view_channel());
    assert_eq!(refusal(hidden.say(&http, "x").await), (403, 50001));
    discord.delete_channel(hidden);
    assert_eq!(refusal(hidden.say(&http, "x").await), (404, 10003));
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn a_closed_or_foreign_user_gets_no_direct_message() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let (user, stranger) = (discord.add_user("ada"), discord.add_user("bob"));
    discord.add_member(guild, user).unwrap();
    let http = http(&discord);
    let say = async |user: amser_roles::domain::UserId| {
        let channel = serenity::all::UserId::new(user.0)
            .create_dm_channel(&http)
            .await
            .unwrap();
        channel.say(&http, "your role").await
    };
    say(user).await.unwrap();
    assert_eq!(discord.direct_messages(user)[0].text(), "your role");
    discord.set_closed_to_messages(user, true);
    assert_eq!(refusal(say(user).await), (403, 50007));
    assert_eq!(refusal(say(stranger).await), (403, 50007));
}

#[tokio::test]
async fn registering_again_keeps_ids_and_drops_what_is_no_longer_named() {
    let discord = start().await;
    let http = http(&discord);
    let command = |name: &str| CreateCommand::new(name).description("Says why");
    let first = http
        .create_global_commands(&[command("why"), command("old")])
        .await
        .unwrap();
    let second = http
        .create_global_commands(&[command("why"), command("new")])
        .await
        .unwrap();
    assert_eq!(first[0].id, second[0].id);
    let names: Vec<_> = discord
        .commands(None)
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["why", "new"]);
    http.delete_global_command(first[0].id).await.unwrap();
    assert_eq!(
        refusal(http.get_global_command(first[0].id).await),
        (404, 10063)
    );
    let wrong = http.create_global_commands(&[command("Not A Name")]).await;
    assert_eq!(refusal(wrong), (400, 50035));
    assert_eq!(discord.violations()[0].rule, Rule::Malformed);
}

/// Tells the test of interactions and answers none.
struct Silent(UnboundedSender<(InteractionId, String)>);

#[serenity::async_trait]
impl EventHandler for Silent {
    async fn interaction_create(&self, _: Context, interaction: Interaction) {
        if let Interaction::Command(command) = interaction {
            self.0.send((command.id, command.token)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_or_second_callback_is_refused_and_the_webhook_opens_with_the_first() {
    let discord = start().await;
    // More than a busy machine needs.
    let ample = Duration::from_secs(60);
    let guild = discord.add_guild("Club");
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let http = http(&discord);
    let command = CreateCommand::new("why").description("Says why");
    http.create_global_commands(&[command]).await.unwrap();
    let (tell, mut told) = unbounded_channel();
    let builder = ClientBuilder::new_with_http(super::http(&discord), GatewayIntents::GUILDS);
    let mut client = builder.event_handler(Silent(tell)).await.unwrap();
    let shards = Arc::clone(&client.shard_manager);
    tokio::spawn(async move { client.start().await });
    discord
        .wait_until("the bot is connected", DEADLINE, |discord| {
            discord.gateway_connections() == 1
        })
        .await
        .unwrap();

    discord.set_interaction_times(Duration::from_secs(1), ample);
    let late = discord
        .run_command(guild, user, "why", &[])
        .await
        .unwrap_err();
    assert_eq!(late, NoReply::NoAnswer);
    let answer = json!({ "type": 4, "data": { "content": "because" } });
    let (id, token) = told.recv().await.unwrap();
    let callback = http
        .create_interaction_response(id, &token, &answer, vec![])
        .await;
    assert_eq!(refusal(callback), (404, 10062));

    discord.set_interaction_times(ample, ample);
    let id = discord.start_command(guild, user, "why", &[]).unwrap();
    let (heard, token) = told.recv().await.unwrap();
    assert_eq!(heard, id);
    let early = http
        .create_followup_message(&token, &json!({ "content": "x" }), vec![])
        .await;
    assert_eq!(
        refusal(early),
        (404, 10015),
        "before the callback there is no webhook"
    );
    http.create_interaction_response(id, &token, &answer, vec![])
        .await
        .unwrap();
    let second = http
        .create_interaction_response(id, &token, &answer, vec![])
        .await;
    assert_eq!(refusal(second), (400, 40060));
    http.create_followup_message(&token, &json!({ "content": "more" }), vec![])
        .await
        .unwrap();
    assert_eq!(discord.reply(id).unwrap().text(), "because\nmore");
    discord.set_interaction_times(ample, Duration::ZERO);
    let expired = http
        .create_followup_message(&token, &json!({ "content": "x" }), vec![])
        .await;
    assert_eq!(refusal(expired), (401, 50027));
    shards.shutdown_all().await;
}

#[tokio::test]
async fn a_message_in_a_channel_is_for_everyone_whatever_its_flags_say() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let channel = discord.channel(guild).unwrap();
    let http = http(&discord);
    let flags = MessageFlags::EPHEMERAL | MessageFlags::SUPPRESS_EMBEDS;
    let secret = CreateMessage::new().content("only for ada").flags(flags);
    let sent = channel.send_message(&http, secret).await.unwrap();
    assert_eq!(sent.flags, Some(MessageFlags::SUPPRESS_EMBEDS));
    assert!(!discord.messages(channel)[0].ephemeral);
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn mentions_are_allowed_all_or_by_name() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let channel = discord.channel(guild).unwrap();
    let http = http(&discord);
    let say = async |allowed: CreateAllowedMentions| {
        let message = CreateMessage::new()
            .content("hello")
            .allowed_mentions(allowed);
        channel.send_message(&http, message).await
    };
    let ada = || CreateAllowedMentions::new().users([7]);
    say(ada()).await.unwrap();
    assert_eq!(discord.violations(), []);
    assert_eq!(refusal(say(ada().all_users(true)).await), (400, 50035));
    assert_eq!(discord.violations()[0].rule, Rule::Malformed);
}
