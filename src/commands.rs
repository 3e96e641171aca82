//! Slash commands and buttons: acknowledged at once on the gateway's thread, worked out and answered elsewhere.
//!
//! Every answer is for the one who asked alone. What goes wrong inside is logged; the member reads one sentence.

mod answer;
mod component;
mod manager;
mod member;
mod pending;
mod privacy;
mod receipt;
mod register;
mod standing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serenity::all::{
    Context as SerenityContext, CreateInteractionResponse, CreateInteractionResponseMessage,
};
use serenity::model::id::ChannelId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use url::Url;

pub use register::keep_registered;

use self::answer::Answer;
use crate::discord::Discord;
use crate::domain::{ChainStatus, DiscordStatus, GuildId, Question, UserId};
use crate::limiter::Limiter;
use crate::store::Store;
use crate::text;

/// How long an answer may be worked on before the member is asked to try again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a member's single-use link in a server. Blocks on the store.
pub type NewLink = Arc<dyn Fn(UserId, GuildId) -> anyhow::Result<Url> + Send + Sync>;

/// What the commands work with.
#[derive(Clone)]
pub struct Services {
    /// Links, receipts and the journal.
    pub store: Store,
    /// What is pending and what is confirmed.
    pub chain: watch::Receiver<ChainStatus>,
    /// Standing errors, for managers.
    pub discord: watch::Receiver<DiscordStatus>,
    /// To the reconcile loop.
    pub questions: mpsc::Sender<Question>,
    /// Makes the links of `/verify`.
    pub new_link: NewLink,
    /// The merchant's checkout, with `{module}` and `{plan_id}`.
    pub checkout_url: String,
    /// Blocks on top of an event's block before it counts.
    pub confirmations: u64,
    /// Commands and buttons that one member may use in a minute.
    pub per_minute: u32,
}

/// What a running command has at hand.
struct Commands {
    services: Services,
    discord: Discord,
    application: std::num::NonZeroU64,
    members: Limiter<UserId>,
    /// The program's own runtime: the gateway's has one thread, which must not wait.
    runtime: Handle,
}

/// Who asked, where, and with which token the answer is sent.
#[derive(Clone)]
struct Asked {
    user: UserId,
    guild: GuildId,
    channel: ChannelId,
    token: String,
}

type Data = Arc<Commands>;
type Context<'a> = poise::Context<'a, Data, anyhow::Error>;

/// The framework with every command, for [`super::connect`]. Call it on the runtime that shall do the work.
pub fn framework(
    discord: &Discord,
    application: std::num::NonZeroU64,
    services: Services,
) -> impl serenity::framework::Framework + use<> {
    let data = Arc::new(Commands {
        members: Limiter::new(services.per_minute),
        services,
        discord: discord.clone(),
        application,
        runtime: Handle::current(),
    });
    let options = poise::FrameworkOptions::<Data, anyhow::Error> {
        commands: all(),
        // Nobody may do more because they own the application.
        initialize_owners: false,
        on_error: |error| Box::pin(apologise(error)),
        event_handler: |framework, event| Box::pin(component::dispatch(framework, event)),
        ..Default::default()
    };
    poise::Framework::builder()
        .options(options)
        .setup(move |_, _, _| Box::pin(async move { Ok(data) }))
        .build()
}

fn all() -> Vec<poise::Command<Data, anyhow::Error>> {
    vec![
        member::verify(),
        member::status(),
        member::wallets(),
        member::unlink(),
        member::why(),
        member::privacy(),
        manager::amser(),
    ]
}

/// Acknowledges a command, then works the answer out with `work` and sends it.
async fn answer<F>(context: Context<'_>, work: impl FnOnce(Data, Asked) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
{
    let poise::Context::Application(application) = context else {
        anyhow::bail!("commands are slash commands alone");
    };
    let Some(guild) = context.guild_id() else {
        return refuse(context, text::only_in_servers()).await;
    };
    let asked = Asked {
        user: UserId(context.author().id.get()),
        guild: GuildId(guild.get()),
        channel: context.channel_id(),
        token: application.interaction.token.clone(),
    };
    context.defer_ephemeral().await?;
    context.data().work(&asked, work);
    Ok(())
}

/// As [`answer`], for those who may manage the server. Discord offers such a command to nobody else, unless a server
/// changes that; then it is still refused here.
async fn answer_manager<F>(
    context: Context<'_>,
    work: impl FnOnce(Data, Asked) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
{
    let poise::Context::Application(application) = context else {
        anyhow::bail!("commands are slash commands alone");
    };
    let member = application.interaction.member.as_ref();
    let permissions = member.and_then(|member| member.permissions);
    if permissions.is_some_and(|has| has.manage_guild() || has.administrator()) {
        answer(context, work).await
    } else {
        refuse(context, text::managers_only()).await
    }
}

async fn refuse(context: Context<'_>, sentence: String) -> anyhow::Result<()> {
    let reply = poise::CreateReply::default().content(sentence);
    context.send(reply.ephemeral(true)).await?;
    Ok(())
}

impl Commands {
    /// Works on an acknowledged question on the program's runtime.
    fn work<F>(self: &Arc<Self>, asked: &Asked, work: impl FnOnce(Data, Asked) -> F)
    where
        F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
    {
        let commands = Arc::clone(self);
        let token = asked.token.clone();
        if let Err(wait) = self.members.take(asked.user, Instant::now()) {
            self.runtime.spawn(async move {
                commands
                    .reply(&token, Answer::text(text::too_fast(wait)))
                    .await;
            });
            return;
        }
        let work = self.runtime.spawn(tokio::time::timeout(
            PATIENCE,
            work(Arc::clone(self), asked.clone()),
        ));
        self.runtime.spawn(async move {
            let answer = match work.await {
                Ok(Ok(Ok(answer))) => answer,
                Ok(Ok(Err(error))) => {
                    tracing::error!(error = format!("{error:#}"), "a command failed");
                    Answer::text(text::internal_failure())
                }
                Ok(Err(_elapsed)) => {
                    tracing::warn!("a command took too long");
                    Answer::text(text::busy())
                }
                Err(panic) => {
                    tracing::error!(%panic, "a command panicked");
                    Answer::text(text::internal_failure())
                }
            };
            commands.reply(&token, answer).await;
        });
    }

    async fn reply(&self, token: &str, answer: Answer) {
        if let Err(failure) = self.send(token, answer).await {
            tracing::warn!(%failure, "the answer to a command could not be sent");
        }
    }

    /// Runs a store transaction on a blocking thread.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let store = self.services.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await?
    }
}

/// Whatever poise could not do: logged, and one sentence for the one who asked.
async fn apologise(error: poise::FrameworkError<'_, Data, anyhow::Error>) {
    let sentence = match &error {
        poise::FrameworkError::GuildOnly { .. } => text::only_in_servers(),
        poise::FrameworkError::ArgumentParse { .. } => text::wrong_option(),
        poise::FrameworkError::CommandStructureMismatch { .. }
        | poise::FrameworkError::UnknownInteraction { .. }
        | poise::FrameworkError::SubcommandRequired { .. } => text::outdated_command(),
        poise::FrameworkError::EventHandler { error, .. }
        | poise::FrameworkError::Command { error, .. } => {
            tracing::warn!(
                error = format!("{error:#}"),
                "a command was not acknowledged"
            );
            return;
        }
        _ => text::internal_failure(),
    };
    tracing::warn!(%sentence, "a command could not be carried out");
    let sent = match error.ctx() {
        Some(context) => refuse(context, sentence).await,
        None => match error {
            poise::FrameworkError::UnknownInteraction {
                framework,
                interaction,
                ..
            } => interaction
                .create_response(framework.serenity_context, ephemeral(sentence))
                .await
                .map_err(anyhow::Error::from),
            _ => Ok(()),
        },
    };
    if let Err(error) = sent {
        tracing::warn!(
            error = format!("{error:#}"),
            "a command was not acknowledged"
        );
    }
}

fn ephemeral(sentence: String) -> CreateInteractionResponse {
    let message = CreateInteractionResponseMessage::new().content(sentence);
    CreateInteractionResponse::Message(message.ephemeral(true))
}

/// Shows "is thinking…" to the one who pressed a button, as a new answer of their own.
async fn defer_component(
    context: &SerenityContext,
    component: &serenity::all::ComponentInteraction,
) -> anyhow::Result<()> {
    let thinking = CreateInteractionResponseMessage::new().ephemeral(true);
    component
        .create_response(context, CreateInteractionResponse::Defer(thinking))
        .await?;
    Ok(())
}
