//! The gateway: serenity connects, caches, hears of members, resumes; poise answers commands.
use std::sync::Arc;
use std::time::Duration;

use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::{LocalDiscord, NoReply, Options};
use serde_json::json;
use serenity::Client;
use serenity::all::{
    ButtonStyle, ChunkGuildFilter, CommandOptionType, Context, CreateActionRow, CreateButton,
    CreateCommand, CreateCommandOption, CreateInteractionResponse,
    CreateInteractionResponseFollowup, CreateInteractionResponseMessage, EditInteractionResponse,
    EventHandler, GatewayIntents, Interaction, ShardManager,
};
use serenity::cache::Cache;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{DEADLINE, http, start};

/// Forwards what serenity hears, and answers the test's commands.
struct Listener(UnboundedSender<(&'static str, Context)>);

#[serenity::async_trait]
impl EventHandler for Listener {
    async fn ready(&self, context: Context, _: serenity::all::Ready) {
        self.tell("ready", context);
    }

    async fn resume(&self, context: Context, _: serenity::all::ResumedEvent) {
        self.tell("resumed", context);
    }

    async fn guild_create(&self, context: Context, _: serenity::all::Guild, _: Option<bool>) {
        self.tell("guild_create", context);
    }

    async fn guild_delete(
        &self,
        context: Context,
        _: serenity::all::UnavailableGuild,
        _: Option<serenity::all::Guild>,
    ) {
        self.tell("guild_delete", context);
    }

    async fn guild_member_addition(&self, context: Context, _: serenity::all::Member) {
        self.tell("member_add", context);
    }

    async fn guild_member_update(
        &self,
        context: Context,
        _: Option<serenity::all::Member>,
        _: Option<serenity::all::Member>,
        _: serenity::all::GuildMemberUpdateEvent,
    ) {
        self.tell("member_update", context);
    }

    async fn guild_member_removal(
        &self,
        context: Context,
        _: serenity::all::GuildId,
        _: serenity::all::User,
        _: Option<serenity::all::Member>,
    ) {
        self.tell("member_remove", context);
    }

    async fn guild_members_chunk(
        &self,
        context: Context,
        chunk: serenity::all::GuildMembersChunkEvent,
    ) {
        if chunk.chunk_index + 1 == chunk.chunk_count {
            self.tell("last_chunk", context);
        }
    }

    async fn interaction_create(&self, context: Context, interaction: Interaction) {
        answer(&context, interaction).await.unwrap();
    }
}

impl Listener {
    fn tell(&self, what: &'static str, context: Context) {
        // The test may have ended; then nobody listens.
        let _ended = self.0.send((what, context));
    }
}

async fn answer(context: &Context, interaction: Interaction) -> serenity::Result<()> {
    let say = |text: &str| {
        let button = CreateButton::new("again")
            .label("Again")
            .style(ButtonStyle::Primary);
        CreateInteractionResponseMessage::new()
            .content(text)
            .ephemeral(true)
            .components(vec![CreateActionRow::Buttons(vec![button])])
    };
    match interaction {
        Interaction::Command(command) => match command.data.name.as_str() {
            "say" => {
                let text = command.data.options[0].value.as_str().unwrap_or_default();
                command
                    .create_response(context, CreateInteractionResponse::Message(say(text)))
                    .await
            }
            "slow" => {
                command.defer_ephemeral(context).await?;
                let edit = EditInteractionResponse::new().content("done at last");
                command.edit_response(context, edit).await?;
                let more = CreateInteractionResponseFollowup::new()
                    .content("and more")
                    .ephemeral(true);
                command.create_followup(context, more).await.map(drop)
            }
            _ => Ok(()),
        },
        Interaction::Component(press) => {
            let changed = CreateInteractionResponseMessage::new().content("pressed");
            press
                .create_response(context, CreateInteractionResponse::UpdateMessage(changed))
                .await
        }
        _ => Ok(()),
    }
}

pub(super) struct Bot {
    heard: UnboundedReceiver<(&'static str, Context)>,
    cache: Arc<Cache>,
    shards: Arc<ShardManager>,
    running: tokio::task::JoinHandle<serenity::Result<()>>,
}

impl Bot {
    pub(super) async fn connect(discord: &LocalDiscord, intents: GatewayIntents) -> Self {
        let (tell, heard) = unbounded_channel();
        let builder = serenity::client::ClientBuilder::new_with_http(http(discord), intents);
        let mut client: Client = builder.event_handler(Listener(tell)).await.unwrap();
        let (cache, shards) = (Arc::clone(&client.cache), Arc::clone(&client.shard_manager));
        let running = tokio::spawn(async move { client.start_autosharded().await });
        Self {
            heard,
            cache,
            shards,
            running,
        }
    }

    /// Waits for an event, ignoring others.
    pub(super) async fn hears(&mut self, what: &str) -> Context {
        let heard = async {
            loop {
                let (event, context) = self.heard.recv().await.unwrap();
                if event == what {
                    return context;
                }
            }
        };
        tokio::time::timeout(DEADLINE, heard)
            .await
            .unwrap_or_else(|_| panic!("never heard {what}"))
    }

    pub(super) async fn stop(self) {
        self.shards.shutdown_all().await;
        self.running.await.unwrap().unwrap();
    }
}

pub(super) const INTENTS: GatewayIntents =
    GatewayIntents::GUILDS.union(GatewayIntents::GUILD_MEMBERS);

#[tokio::test(flavor = "multi_thread")]
async fn serenity_caches_the_guild_and_hears_of_members() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Member").unwrap();
    let user = discord.add_user("ada");
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("guild_create").await;
    assert_eq!(bot.cache.guild(guild.0).unwrap().roles.len(), 3);
    discord.add_member(guild, user).unwrap();
    bot.hears("member_add").await;
    discord.give_role(guild, user, role).unwrap();
    bot.hears("member_update").await;
    assert_eq!(
        bot.cache.guild(guild.0).unwrap().members[&user.0.into()].roles,
        [role.0]
    );
    discord.remove_member(guild, user).unwrap();
    bot.hears("member_remove").await;
    discord.set_unavailable(guild, true).unwrap();
    bot.hears("guild_delete").await;
    discord.set_unavailable(guild, false).unwrap();
    bot.hears("guild_create").await;
    discord.kick_bot(guild).unwrap();
    bot.hears("guild_delete").await;
    discord
        .invite_bot(guild, serenity::model::Permissions::MANAGE_ROLES)
        .unwrap();
    bot.hears("guild_create").await;
    bot.stop().await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn serenity_resumes_after_a_drop_and_hears_what_it_missed() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let user = discord.add_user("ada");
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("guild_create").await;
    discord.drop_gateway();
    discord.add_member(guild, user).unwrap();
    bot.hears("member_add").await;
    discord
        .wait_until("it is resumed", DEADLINE, |discord| discord.resumed() == 1)
        .await
        .unwrap();
    discord.ask_to_reconnect();
    discord
        .wait_until("and again", DEADLINE, |discord| discord.resumed() == 2)
        .await
        .unwrap();
    assert_eq!(discord.identified(), 1);
    discord.close_gateway(4009);
    discord
        .wait_until("it identified anew", DEADLINE, |discord| {
            discord.identified() == 2
        })
        .await
        .unwrap();
    bot.stop().await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_heartbeats_are_not_acknowledged_is_replaced() {
    let options = Options {
        heartbeat_interval: Duration::from_millis(600),
        ..Options::default()
    };
    let discord = LocalDiscord::start(options).await.unwrap();
    discord.add_guild("Club");
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("guild_create").await;
    discord.set_deaf(true);
    discord
        .wait_until("the zombie is left", DEADLINE, |discord| {
            discord.gateway_connections() == 0
        })
        .await
        .unwrap();
    discord.set_deaf(false);
    discord
        .wait_until("it is back", DEADLINE, |discord| {
            discord.gateway_connections() == 1
        })
        .await
        .unwrap();
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_of_a_large_guild_come_in_chunks() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    discord.add_members(guild, 2_500).unwrap();
    let mut bot = Bot::connect(&discord, INTENTS).await;
    let context = bot.hears("guild_create").await;
    assert_eq!(
        bot.cache.guild(guild.0).unwrap().members.len(),
        1,
        "only the bot itself at first"
    );
    context
        .shard
        .chunk_guild(guild.0.into(), None, false, ChunkGuildFilter::None, None);
    bot.hears("last_chunk").await;
    assert_eq!(bot.cache.guild(guild.0).unwrap().members.len(), 2_502);
    bot.stop().await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_that_are_not_switched_on_are_refused() {
    let discord = start().await;
    let bot = Bot::connect(&discord, GatewayIntents::GUILD_PRESENCES).await;
    let ended = tokio::time::timeout(DEADLINE, bot.running)
        .await
        .unwrap()
        .unwrap();
    let error = ended.unwrap_err().to_string();
    assert!(error.to_lowercase().contains("intents"), "{error}");
}

async fn with_commands() -> (LocalDiscord, Bot, GuildId, UserId) {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let text =
        CreateCommandOption::new(CommandOptionType::String, "text", "What to say").required(true);
    let commands = vec![
        CreateCommand::new("say")
            .description("Says it")
            .add_option(text),
        CreateCommand::new("slow").description("Takes its time"),
        CreateCommand::new("mute").description("Never answers"),
    ];
    http(&discord)
        .create_global_commands(&commands)
        .await
        .unwrap();
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("guild_create").await;
    (discord, bot, guild, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_and_its_button_updates_the_message() {
    let (discord, bot, guild, user) = with_commands().await;
    let reply = discord
        .run_command(guild, user, "say", &[("text", json!("hello"))])
        .await
        .unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.message.ephemeral),
        ("hello", true)
    );
    assert_eq!(reply.message.buttons[0].label, "Again");
    let pressed = discord
        .click_button(guild, user, reply.message.id, "again")
        .await
        .unwrap();
    assert_eq!(pressed.text(), "pressed");
    assert_eq!(
        discord.reply(reply.interaction).unwrap().text(),
        "pressed",
        "the same message"
    );
    let wrong = discord
        .run_command(guild, user, "say", &[])
        .await
        .unwrap_err();
    assert!(matches!(wrong, NoReply::WrongOption(_)));
    let unknown = discord
        .run_command(guild, user, "nothing", &[])
        .await
        .unwrap_err();
    assert!(matches!(unknown, NoReply::NotOffered(_)));
    bot.stop().await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_command_is_filled_by_its_edit_and_followed_up() {
    let (discord, bot, guild, user) = with_commands().await;
    let reply = discord.run_command(guild, user, "slow", &[]).await.unwrap();
    assert!(reply.deferred);
    assert_eq!(reply.message.text(), "done at last");
    let followed = |discord: &LocalDiscord| {
        discord
            .reply(reply.interaction)
            .is_some_and(|reply| reply.text() == "done at last\nand more")
    };
    discord
        .wait_until("the follow-up came", DEADLINE, followed)
        .await
        .unwrap();
    bot.stop().await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_an_answer_fails_after_the_deadline() {
    let (discord, bot, guild, user) = with_commands().await;
    let (deadline, lifetime) = (Duration::from_secs(3), Duration::from_secs(60));
    discord.set_interaction_times(deadline, lifetime);
    let started = std::time::Instant::now();
    let silence = discord
        .run_command(guild, user, "mute", &[])
        .await
        .unwrap_err();
    assert_eq!(silence, NoReply::NoAnswer);
    assert!(started.elapsed() >= deadline);
    bot.stop().await;
    let gone = discord
        .run_command(guild, user, "mute", &[])
        .await
        .unwrap_err();
    assert_eq!(gone, NoReply::NotConnected);
}
