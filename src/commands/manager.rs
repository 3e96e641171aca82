//! What those who manage a server may ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use serenity::all as serenity;
use serenity::{ChannelId, ChannelType, Permissions};
use tokio::sync::oneshot;

use super::answer::{self, Answer};
use super::forecast as renewals;
use super::ids::{self, VERIFY};
use super::running::{Asked, Commands, Context, Costly, Data, answer_manager, role_ids};
use super::{approve, grants, receipt, setup};
use crate::clock::machine_time;
use crate::discord::{Failure, Reason};
use crate::domain::{self, Gate, GuildId, Question, RoleId, UserId};
use crate::text;

/// How long a manager waits to hear of a large server; it is read to its end all the same.
const READING: Duration = Duration::from_secs(15);

/// Cannot send messages in a non-text channel; cannot execute action on this channel type; cannot message this thread
/// until its author has posted.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
const WRONG_CHANNEL: [u32; 3] = [50008, 50024, 40058];
/// The thread is archived; it is locked.
const CLOSED_THREAD: [u32; 2] = [50083, 160005];

/// For those who manage this server
#[poise::command(
    slash_command,
    guild_only,
    ephemeral,
    default_member_permissions = "MANAGE_GUILD",
    subcommands(
        "setup",
        "verify_message",
        "check",
        "sync",
        "whois",
        "why",
        "grant",
        "gates",
        "forecast",
        "approve"
    ),
    subcommand_required
)]
pub(super) async fn amser(_: Context<'_>) -> anyhow::Result<()> {
    Ok(())
}

/// Give a role to the subscribers of a plan
#[poise::command(slash_command, guild_only, ephemeral)]
async fn setup(context: Context<'_>) -> anyhow::Result<()> {
    setup::open(context).await
}

/// Post a permanent message in this channel with a button that does what /verify does
#[poise::command(slash_command, guild_only, ephemeral, rename = "verify-message")]
async fn verify_message(context: Context<'_>) -> anyhow::Result<()> {
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    let interaction = application.interaction;
    let channel = interaction.channel_id;
    let kind = interaction.channel.as_ref().map(|channel| channel.kind);
    let may_post = may_post(kind, interaction.app_permissions);
    answer_manager(context, move |commands, asked| async move {
        match may_post {
            Ok(()) => posted(commands, asked, channel).await,
            Err(sentence) => Ok(Answer::text(sentence)),
        }
    })
    .await
}

/// What prevents roles from being given in this server
#[poise::command(slash_command, guild_only, ephemeral)]
async fn check(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, checked).await
}

/// Read this server's members again and bring their roles up to date
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
    let has_gates = !commands.gates(asked.guild).await?.is_empty();
    let unread = commands.unread(asked.guild).filter(|_| has_gates);
    let here: Vec<_> = standing
        .gates
        .iter()
        .filter(|gate| gate.guild == asked.guild)
        .collect();
    if let (true, Some(unread)) = (here.is_empty(), unread) {
        return Ok(Answer::text(unread.sentence()));
    }
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
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    let known = &application.interaction.data.resolved.members;
    let seen = known.get(&member.id);
    let roles = seen.map(|member| role_ids(&member.roles));
    answer_manager(context, move |commands, asked| async move {
        // Of others nothing is told, not even whether they have linked a wallet.
        let Some(roles) = roles else {
            return Ok(Answer::text(text::not_a_member(UserId(member.id.get()))));
        };
        let about = Asked {
            user: UserId(member.id.get()),
            guild: asked.guild,
            roles,
        };
        receipt::why(commands, about, RoleId(role.id.get()), &role.name, true).await
    })
    .await
}

/// Give a role to a member for a time, whatever they pay
#[poise::command(slash_command, guild_only, ephemeral)]
async fn grant(
    context: Context<'_>,
    #[description = "The member"] member: serenity::User,
    #[description = "The role"] role: serenity::Role,
    #[description = "For how many days; 0 ends what was given"]
    #[min = 0]
    #[max = 3650]
    days: u64,
    #[description = "Why; the member can read it"]
    #[min_length = 1]
    #[max_length = 200]
    reason: String,
) -> anyhow::Result<()> {
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    let known = &application.interaction.data.resolved.members;
    let held = known.get(&member.id);
    let wanted = grants::Wanted {
        user: UserId(member.id.get()),
        held: held.map(|member| role_ids(&member.roles)),
        role: RoleId(role.id.get()),
        name: role.name,
        days,
        reason,
    };
    answer_manager(context, move |commands, asked| {
        grants::grant(commands, asked, wanted)
    })
    .await
}

/// Which plans give which roles in this server
#[poise::command(slash_command, guild_only, ephemeral)]
async fn gates(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, listed).await
}

/// Whose subscription will fail to renew within 7 days, and why
#[poise::command(slash_command, guild_only, ephemeral)]
async fn forecast(context: Context<'_>) -> anyhow::Result<()> {
    answer_manager(context, renewals::of_server).await
}

/// Remove a role from the members whose removal was stopped; asks first
#[poise::command(slash_command, guild_only, ephemeral)]
async fn approve(
    context: Context<'_>,
    #[description = "The role"] role: serenity::Role,
) -> anyhow::Result<()> {
    answer_manager(context, move |commands, asked| {
        approve::asked(commands, asked, RoleId(role.id.get()))
    })
    .await
}

/// Whether the bot may post in the channel, by what Discord says of both in the interaction: a refused request would
/// count towards Discord's limit of invalid requests.
///
/// # Errors
/// One sentence on what to do.
fn may_post(kind: Option<ChannelType>, may: Option<Permissions>) -> Result<(), String> {
    let send = match kind {
        Some(ChannelType::Forum | ChannelType::Category | ChannelType::Directory) => {
            return Err(text::wrong_channel());
        }
        Some(ChannelType::PublicThread | ChannelType::PrivateThread | ChannelType::NewsThread) => (
            Permissions::SEND_MESSAGES_IN_THREADS,
            "Send Messages in Threads",
        ),
        _ => (Permissions::SEND_MESSAGES, "Send Messages"),
    };
    let Some(may) = may.filter(|may| !may.administrator()) else {
        return Ok(());
    };
    let needed = [(Permissions::VIEW_CHANNEL, "View Channel"), send];
    let missing = needed
        .into_iter()
        .filter(|(permission, _)| !may.contains(*permission));
    let missing: Vec<_> = missing.map(|(_, name)| name).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(text::cannot_post(&missing))
    }
}

async fn posted(commands: Data, asked: Asked, channel: ChannelId) -> anyhow::Result<Answer> {
    if let Err(too_often) = commands.count(asked.guild, Costly::VerifyMessage) {
        return Ok(too_often);
    }
    let button = ids::press(text::permanent_button(), VERIFY.to_owned(), false);
    let message = json!({
        "content": text::permanent_message(),
        "components": answer::rows(&[button]),
        "allowed_mentions": { "parse": [] },
        // Discord knows a message by it whose answer was lost, and does not post it again.
        "nonce": rand::random::<u64>().to_string(),
        "enforce_nonce": true,
    });
    let sentence = match commands
        .discord
        .post(domain::ChannelId(channel.get()), &message)
        .await
    {
        Ok(()) => text::posted(),
        Err(Failure::Refused(refusal)) => match refusal.reason {
            Reason::Permissions | Reason::Guild => {
                text::cannot_post(&["View Channel", "Send Messages"])
            }
            _ if WRONG_CHANNEL.contains(&refusal.code) => text::wrong_channel(),
            _ if CLOSED_THREAD.contains(&refusal.code) => text::closed_thread(),
            _ => return Err(refusal.into()),
        },
        Err(failure) => return Err(failure.into()),
    };
    Ok(Answer::text(sentence))
}

async fn listed(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let guild = asked.guild;
    let gates = commands.gates(guild).await?;
    let plans = commands.plan_rows(&gates).await;
    let now = machine_time();
    let grants = commands
        .with_store(move |store| {
            let mut grants = Vec::new();
            store.for_each_grant(|grant| grants.push(grant))?;
            grants.retain(|grant| grant.guild == guild && grant.terms.until > now);
            Ok(grants)
        })
        .await?;
    let listed = text::GateList {
        gates: &gates,
        failing: &commands.services.discord.borrow().troubles_of(guild),
        of_gate: &|gate| {
            let found = commands.services.gate_troubles.borrow();
            commands.services.chain.borrow().troubles_of(gate, &found)
        },
        plans: &plans,
        grants: &grants,
    };
    Ok(Answer::text(text::gates(&listed)))
}

async fn synced(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let guild = asked.guild;
    if let Err(too_often) = commands.count(guild, Costly::Sync) {
        return Ok(too_often);
    }
    if commands.gates(guild).await?.is_empty() {
        return Ok(Answer::text(text::no_gates()));
    }
    let (answer, synced) = oneshot::channel();
    let question = Question::Sync { guild, answer };
    commands.services.questions.send(question).await?;
    let sentence = match tokio::time::timeout(READING, synced).await {
        Ok(Ok(synced)) => text::synced(synced),
        Ok(Err(_dropped)) => match commands.unread(guild) {
            Some(unread) => unread.sentence(),
            None => text::unreadable(),
        },
        Err(_elapsed) => text::still_reading(commands.services.chain.borrow().at_tip),
    };
    Ok(Answer::text(sentence))
}

async fn checked(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let guild = asked.guild;
    let gates = commands.gates(guild).await?;
    let chain = commands.services.chain.borrow().clone();
    let discord = commands.services.discord.borrow().clone();
    let mut trouble: Vec<_> = discord.troubles_of(guild).into_values().collect();
    trouble.extend(discord.commands_refused);
    let channels = discord.channels_refused.iter();
    trouble.extend(
        channels
            .filter(|((of, _), _)| *of == guild)
            .map(|(_, sentence)| sentence.clone()),
    );
    let found = commands.services.gate_troubles.borrow().clone();
    let of_gates = gates.iter().map(|gate| chain.troubles_of(gate, &found));
    trouble.extend(of_gates.flatten().collect::<BTreeSet<_>>());
    Ok(Answer::text(text::check(&text::Check {
        gates: gates.len(),
        trouble: &trouble,
        server: discord.servers.get(&guild),
        members_intent: discord.members_intent,
        chain: &chain,
        mode: commands.services.drift.borrow().mode,
    })))
}

impl Commands {
    /// The gates of a server.
    pub(super) async fn gates(&self, guild: GuildId) -> anyhow::Result<Vec<Gate>> {
        let mut gates = self.with_store(|store| store.gates()).await?;
        gates.retain(|gate| gate.guild == guild);
        Ok(gates)
    }

    /// The standing errors of a server, by role (`None`: the whole server).
    pub(super) fn failing(&self, guild: GuildId) -> BTreeMap<Option<RoleId>, String> {
        let status = self.services.discord.borrow();
        let here = status.failing.iter().filter(|((of, _), _)| *of == guild);
        here.map(|((_, role), sentence)| (*role, sentence.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bot_lacks_in_a_channel_is_known_without_a_request() {
        let all = Permissions::VIEW_CHANNEL | Permissions::SEND_MESSAGES;
        let text = Some(ChannelType::Text);
        assert_eq!(may_post(text, Some(all)), Ok(()));
        assert_eq!(may_post(text, None), Ok(()), "then Discord is asked");
        assert_eq!(may_post(text, Some(Permissions::ADMINISTRATOR)), Ok(()));
        let refused = |kind, may| may_post(Some(kind), Some(may)).unwrap_err();
        let sentence = refused(ChannelType::Text, Permissions::VIEW_CHANNEL);
        assert!(
            sentence.contains("allow my role \"Send Messages\" here"),
            "{sentence}"
        );
        let sentence = refused(ChannelType::Voice, Permissions::empty());
        assert!(
            sentence.contains("\"View Channel\" and \"Send Messages\""),
            "{sentence}"
        );
        let sentence = refused(ChannelType::PublicThread, all);
        assert!(
            sentence.contains("\"Send Messages in Threads\""),
            "{sentence}"
        );
        let sentence = refused(ChannelType::Forum, all);
        assert!(sentence.contains("in a text channel"), "{sentence}");
    }
}
