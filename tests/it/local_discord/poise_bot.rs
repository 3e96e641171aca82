//! A poise bot as the program has one: commands with sub-commands, permissions and parameters of every kind.
use amser_roles::domain::{GuildId, RoleId, UserId};
use amser_roles::sandbox::discord::{LocalDiscord, NewRole, NoReply};
use serde_json::json;
use serenity::all as serenity;

use super::{DEADLINE, http, start};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Context<'a> = poise::Context<'a, (), Error>;

/// Says the member's name.
#[poise::command(slash_command, ephemeral)]
async fn me(context: Context<'_>) -> Result<(), Error> {
    let member = context.author_member().await.ok_or("no member")?;
    context
        .say(format!(
            "{} in {:?}",
            member.display_name(),
            context.guild_id().is_some()
        ))
        .await?;
    Ok(())
}

/// For managers.
#[poise::command(
    slash_command,
    guild_only,
    default_member_permissions = "MANAGE_GUILD",
    subcommands("whois", "check"),
    subcommand_required
)]
async fn amser(_: Context<'_>) -> Result<(), Error> {
    Ok(())
}

/// Who is this?
#[poise::command(slash_command)]
async fn whois(
    context: Context<'_>,
    #[description = "A member"] user: serenity::User,
    #[description = "A role"] role: Option<serenity::Role>,
    #[description = "How many"]
    #[min = 1]
    #[max = 5]
    count: Option<u32>,
) -> Result<(), Error> {
    let role = role.map(|role| role.name);
    let reply = poise::CreateReply::default()
        .content(format!("{} {role:?} {count:?}", user.name))
        .ephemeral(true);
    context.send(reply).await?;
    Ok(())
}

/// Takes longer than three seconds would allow.
#[poise::command(slash_command)]
async fn check(context: Context<'_>) -> Result<(), Error> {
    context.defer_ephemeral().await?;
    context.say("all is well").await?;
    Ok(())
}

struct Scene {
    discord: LocalDiscord,
    guild: GuildId,
    owner: UserId,
    user: UserId,
    role: RoleId,
    shards: std::sync::Arc<serenity::ShardManager>,
}

async fn scene() -> Scene {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord
        .add_role_with(guild, NewRole::named("Supporter"))
        .unwrap();
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let options = poise::FrameworkOptions {
        commands: vec![me(), amser()],
        ..Default::default()
    };
    let framework = poise::Framework::builder()
        .setup(|context, _, framework| {
            Box::pin(async move {
                poise::builtins::register_globally(context, &framework.options().commands).await?;
                Ok(())
            })
        })
        .options(options)
        .build();
    let intents = serenity::GatewayIntents::GUILDS;
    let mut client = serenity::ClientBuilder::new_with_http(http(&discord), intents)
        .framework(framework)
        .await
        .unwrap();
    let shards = client.shard_manager.clone();
    tokio::spawn(async move { client.start().await });
    discord
        .wait_until("the commands are registered", DEADLINE, |discord| {
            discord.commands(None).len() == 2
        })
        .await
        .unwrap();
    let owner = discord.owner(guild).unwrap();
    Scene {
        discord,
        guild,
        owner,
        user,
        role,
        shards,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poise_registers_its_commands_and_answers_them() {
    let Scene {
        discord,
        guild,
        owner,
        user,
        role,
        shards,
    } = scene().await;
    let reply = discord.run_command(guild, user, "me", &[]).await.unwrap();
    assert_eq!(reply.text(), "ada in true");
    assert!(reply.message.ephemeral);
    let options = [
        ("user", json!(user)),
        ("role", json!(role)),
        ("count", json!(3)),
    ];
    let reply = discord
        .run_command(guild, owner, "amser whois", &options)
        .await
        .unwrap();
    assert_eq!(reply.text(), "ada Some(\"Supporter\") Some(3)");
    let reply = discord
        .run_command(guild, owner, "amser check", &[])
        .await
        .unwrap();
    assert_eq!(
        (reply.text().as_str(), reply.deferred, reply.followups.len()),
        ("all is well", true, 0)
    );
    let denied = discord
        .run_command(guild, user, "amser check", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(denied, NoReply::NotOffered(_)),
        "members may not see it"
    );
    let bare = discord
        .run_command(guild, owner, "amser", &[])
        .await
        .unwrap_err();
    assert!(matches!(bare, NoReply::WrongOption(_)));
    let many = discord
        .run_command(
            guild,
            owner,
            "amser whois",
            &[("user", json!(user)), ("count", json!(6))],
        )
        .await;
    assert!(matches!(many, Err(NoReply::WrongOption(_))));
    shards.shutdown_all().await;
    assert_eq!(discord.violations(), []);
}
