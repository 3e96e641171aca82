//! What those who manage a server may ask.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use serenity::all as serenity;
use tokio::sync::oneshot;

use super::answer::{self, Answer};
use super::component::{self, VERIFY};
use super::{Asked, Context, Data, answer_manager, receipt};
use crate::discord::error::{Failure, Reason};
use crate::domain::{Question, RoleId, UserId};
use crate::text;

/// How long a manager waits to hear of a large server; it is read to its end all the same.
const READING: Duration = Duration::from_secs(15);

/// For those who manage this server
#[poise::command(
    slash_command,
    guild_only,
    ephemeral,
    default_member_permissions = "MANAGE_GUILD",
    subcommands("verify_message", "check", "sync", "whois", "why"),
    subcommand_required
)]
pub(super) async fn amser(_: Context<'_>) -> anyhow::Result<()> {
    Ok(())
}

/// Post a permanent message in this channel with a button that does what /verify does
#[poise::command(slash_command, guild_only, ephemeral, rename = "verify-message")]
async fn verify_message(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, posted).await
}

/// What keeps roles from being given in this server
#[poise::command(slash_command, guild_only, ephemeral)]
async fn check(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, checked).await
}

/// Read this server's members anew and bring their roles in step
#[poise::command(slash_command, guild_only, ephemeral)]
async fn sync(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, synced).await
}

/// The wallets with which a member subscribes to this server's plans
#[poise::command(slash_command, guild_only, ephemeral)]
async fn whois(
    context: Context<'_>,
    #[description = "The member"] member: serenity::User,
) -> anyhow::Result<()> {
    answer_manager(context, move |commands, asked| {
        identified(commands, asked, UserId(member.id.get()))
    })
    .await
}

/// A manager's business is who subscribes to what the own server offers: not what its members do elsewhere, nor who is
/// not a member. Of everybody else the answer is the same as of a member who has linked nothing.
async fn identified(commands: Data, asked: Asked, user: UserId) -> anyhow::Result<Answer> {
    let standing = commands.standing(user).await?;
    let here: Vec<_> = standing
        .gates
        .iter()
        .filter(|gate| gate.guild == asked.guild)
        .collect();
    if here.is_empty() {
        return Ok(Answer::text(text::whois(user, &BTreeSet::new(), 0)));
    }
    let subscribing: BTreeSet<_> = here
        .iter()
        .flat_map(|gate| &gate.subscriptions)
        .map(|held| held.wallet)
        .collect();
    let others = standing.wallets.len() - subscribing.len();
    Ok(Answer::text(text::whois(user, &subscribing, others)))
}

/// Why a member has a role, or does not
#[poise::command(slash_command, guild_only, ephemeral)]
async fn why(
    context: Context<'_>,
    #[description = "The member"] member: serenity::User,
    #[description = "The role"] role: serenity::Role,
) -> anyhow::Result<()> {
    answer_manager(context, move |commands, asked| async move {
        let user = UserId(member.id.get());
        receipt::why(
            commands,
            asked,
            user,
            RoleId(role.id.get()),
            &role.name,
            true,
        )
        .await
    })
    .await
}

async fn posted(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let button = component::press(text::permanent_button(), VERIFY.to_owned(), false);
    let message = json!({
        "content": text::permanent_message(),
        "components": answer::rows(&[button]),
        "allowed_mentions": { "parse": [] },
        // Discord knows a message by it whose answer was lost, and does not post it again.
        "nonce": rand::random::<u64>().to_string(),
        "enforce_nonce": true,
    });
    let sentence = match commands.discord.post(asked.channel, &message).await {
        Ok(()) => text::posted(),
        Err(Failure::Refused(refusal))
            if matches!(refusal.reason, Reason::Permissions | Reason::Guild) =>
        {
            text::cannot_post()
        }
        Err(failure) => return Err(failure.into()),
    };
    Ok(Answer::text(sentence))
}

async fn synced(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let (answer, synced) = oneshot::channel();
    let guild = asked.guild;
    let question = Question::Sync { guild, answer };
    commands.services.questions.send(question).await?;
    let sentence = match tokio::time::timeout(READING, synced).await {
        Ok(Ok(synced)) => text::synced(synced),
        Ok(Err(_dropped)) => text::unreadable_server(),
        Err(_elapsed) => text::still_reading(),
    };
    Ok(Answer::text(sentence))
}

async fn checked(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let guild = asked.guild;
    let mut gates = commands.with_store(|store| store.gates()).await?;
    gates.retain(|gate| gate.guild == guild);
    let chain = commands.services.chain.borrow().clone();
    let mut trouble: Vec<_> = {
        let discord = commands.services.discord.borrow();
        let here = discord.failing.iter();
        here.filter(|((of, _), _)| *of == guild)
            .map(|(_, sentence)| sentence.clone())
            .collect()
    };
    let named: BTreeSet<_> = gates.iter().map(|gate| gate.module).collect();
    let unread = chain.unread_modules.iter();
    trouble.extend(
        unread
            .filter(|(module, _)| named.contains(module))
            .map(|(_, sentence)| sentence.clone()),
    );
    Ok(Answer::text(text::check(gates.len(), &trouble, &chain)))
}
