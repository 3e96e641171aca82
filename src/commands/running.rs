//! How a command runs: acknowledged at once, worked out in a task of its own, answered when that is done.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use serenity::all::{
    ComponentInteraction, Context as SerenityContext, CreateInteractionResponse,
    CreateInteractionResponseMessage, Member,
};
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use super::answer::Answer;
use crate::discord::Discord;
use crate::domain::{
    ActiveQuestion, ChainStatus, DiscordStatus, DriftStatus, GateTroubles, GuildId, Question,
    RoleId, SourcesSay, UserId,
};
use crate::forecast::Forecast;
use crate::limiter::Limiter;
use crate::merchants::Merchants;
use crate::store::Store;
use crate::text;

/// How long an answer may be worked on before the member is asked to try again.
const TIME_TO_ANSWER: Duration = Duration::from_secs(20);

/// How often a minute the managers of one server together may use each command that costs many requests.
const COSTLY_PER_MINUTE: u32 = 6;

/// Makes a member's single-use link in a server. Blocks on the store.
pub type NewLink = Arc<dyn Fn(UserId, GuildId) -> anyhow::Result<Url> + Send + Sync>;

/// Asks what the sources beside the events say of access: an answer to each question.
pub type AskSources =
    Arc<dyn Fn(Vec<ActiveQuestion>) -> BoxFuture<'static, Vec<SourcesSay>> + Send + Sync>;
/// Where the checkout leads back to, by server; `None` where nobody could go on.
pub type ReturnUrls = Arc<dyn Fn(GuildId) -> Option<Url> + Send + Sync>;

/// What the commands work with.
#[derive(Clone)]
pub struct Services {
    /// Links, receipts and the journal.
    pub store: Store,
    /// What is pending and what is confirmed.
    pub chain: watch::Receiver<ChainStatus>,
    /// Gates that cannot work, by what the chain says of them.
    pub gate_troubles: watch::Receiver<GateTroubles>,
    /// What is known of the servers, and standing errors.
    pub discord: watch::Receiver<DiscordStatus>,
    /// Which source decides.
    pub drift: watch::Receiver<DriftStatus>,
    /// To the loop that decides about roles.
    pub questions: mpsc::Sender<Question>,
    /// What a server's managers may do.
    pub merchants: Merchants,
    /// Foretells which renewals will fail.
    pub forecast: Forecast,
    /// Asks the contract and amser's API who has access.
    pub sources: AskSources,
    /// Makes the links of `/verify`.
    pub new_link: NewLink,
    /// Where the pages are.
    pub public_url: Url,
    /// The merchant's checkout, with `{module}` and `{plan_id}`.
    pub checkout_url: String,
    /// Where it leads back to.
    pub return_url: ReturnUrls,
    /// Blocks on top of an event's block before it counts.
    pub confirmations: u64,
    /// Commands and buttons that one member may use in a minute.
    pub per_minute: u32,
}

/// What a running command has at hand.
pub(super) struct Commands {
    pub(super) services: Services,
    pub(super) discord: Discord,
    application: NonZeroU64,
    members: Limiter<UserId>,
    /// Each held while a role and its gate are made in that server.
    setting_up: Mutex<BTreeMap<GuildId, Arc<tokio::sync::Mutex<()>>>>,
    costly: Limiter<(GuildId, Costly)>,
}

/// A command that costs many requests, or one that Discord may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Costly {
    Forecast,
    Setup,
    Sync,
    VerifyMessage,
}

/// Who asked, and where. `Place` is `Option<GuildId>` for the commands that also work in direct messages.
#[derive(Clone, Debug)]
pub(super) struct Asked<Place = GuildId> {
    pub(super) user: UserId,
    pub(super) guild: Place,
    /// The roles that Discord shows on them there.
    pub(super) roles: Vec<RoleId>,
}

impl Asked<Option<GuildId>> {
    /// Who sent an interaction.
    pub(super) fn new(
        user: serenity::all::UserId,
        guild: Option<serenity::all::GuildId>,
        member: Option<&Member>,
    ) -> Self {
        Self {
            user: UserId(user.get()),
            guild: guild.map(|guild| GuildId(guild.get())),
            roles: member.map_or_else(Vec::new, |member| role_ids(&member.roles)),
        }
    }

    /// The same, if it was in a server.
    pub(super) fn in_server(self) -> Option<Asked> {
        let Self { user, guild, roles } = self;
        guild.map(|guild| Asked { user, guild, roles })
    }
}

/// Roles as an interaction names them.
pub(super) fn role_ids(roles: &[serenity::all::RoleId]) -> Vec<RoleId> {
    roles.iter().map(|role| RoleId(role.get())).collect()
}

pub(super) type Data = Arc<Commands>;
pub(super) type Context<'a> = poise::Context<'a, Data, anyhow::Error>;

/// Acknowledges a command, then works the answer out with `work` and sends it. Works in direct messages, too.
pub(super) async fn answer_anywhere<F>(
    context: Context<'_>,
    work: impl FnOnce(Data, Asked<Option<GuildId>>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
{
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    let interaction = application.interaction;
    let member = interaction.member.as_deref();
    let asked = Asked::new(interaction.user.id, interaction.guild_id, member);
    context.defer_ephemeral().await?;
    let commands = context.data();
    let user = asked.user;
    let work = work(Arc::clone(commands), asked);
    commands.work(user, &interaction.token, work);
    Ok(())
}

/// As [`answer_anywhere`], in servers alone.
pub(super) async fn answer<F>(
    context: Context<'_>,
    work: impl FnOnce(Data, Asked) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
{
    if context.guild_id().is_none() {
        return refuse(context, text::only_in_servers()).await;
    }
    answer_anywhere(context, |commands, asked| {
        let here = asked.in_server().expect("the interaction names a server");
        work(commands, here)
    })
    .await
}

/// As [`answer`], for those who may manage the server. Discord offers such a command to nobody else, unless a server
/// changes that; then it is still refused here.
pub(super) async fn answer_manager<F>(
    context: Context<'_>,
    work: impl FnOnce(Data, Asked) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Answer>> + Send + 'static,
{
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    if manages(application.interaction.member.as_deref()) {
        answer(context, work).await
    } else {
        refuse(context, text::managers_only()).await
    }
}

/// Whether the member of an interaction manages the server.
pub(super) fn manages(member: Option<&Member>) -> bool {
    let permissions = member.and_then(|member| member.permissions);
    permissions.is_some_and(|has| has.manage_guild() || has.administrator())
}

/// One sentence in place of an answer.
pub(super) async fn refuse(context: Context<'_>, sentence: String) -> anyhow::Result<()> {
    let reply = poise::CreateReply::default().content(sentence);
    context.send(reply.ephemeral(true)).await?;
    Ok(())
}

/// One sentence that only the one who asked sees.
pub(super) fn ephemeral(sentence: String) -> CreateInteractionResponse {
    let message = CreateInteractionResponseMessage::new().content(sentence);
    CreateInteractionResponse::Message(message.ephemeral(true))
}

/// Shows "is thinking…" to the one who pressed a button, as a new answer of their own.
pub(super) async fn defer_component(
    context: &SerenityContext,
    component: &ComponentInteraction,
) -> anyhow::Result<()> {
    let thinking = CreateInteractionResponseMessage::new().ephemeral(true);
    component
        .create_response(context, CreateInteractionResponse::Defer(thinking))
        .await?;
    Ok(())
}

impl Commands {
    pub(super) fn new(discord: &Discord, application: NonZeroU64, services: Services) -> Self {
        Self {
            members: Limiter::new(services.per_minute),
            setting_up: Mutex::default(),
            costly: Limiter::new(COSTLY_PER_MINUTE),
            services,
            discord: discord.clone(),
            application,
        }
    }

    /// Works on an acknowledged interaction in a task, and sends the answer. The work does not begin when
    /// the user is over the limit.
    pub(super) fn work(
        self: &Arc<Self>,
        user: UserId,
        token: &str,
        work: impl Future<Output = anyhow::Result<Answer>> + Send + 'static,
    ) {
        let commands = Arc::clone(self);
        let token = token.to_owned();
        let limited = self.allowance(user);
        // A task of its own, so that a panic in it is answered, too.
        let work = async move {
            match limited {
                Ok(()) => tokio::time::timeout(TIME_TO_ANSWER, work).await,
                Err(wait) => Ok(Ok(Answer::text(text::too_fast(wait)))),
            }
        };
        let work = tokio::spawn(work);
        tokio::spawn(async move {
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
            let sent = answer.send(&commands.discord, commands.application, &token);
            if let Err(failure) = sent.await {
                tracing::warn!(%failure, "the answer to a command could not be sent");
            }
        });
    }

    /// Counts one use of a command or a button.
    ///
    /// # Errors
    /// How long to wait, when the member has used too many.
    pub(super) fn allowance(&self, user: UserId) -> Result<(), Duration> {
        self.members.take(user, 1.0, Instant::now())
    }

    /// What is held while a role and its gate are made in a server.
    pub(super) fn setting_up(&self, guild: GuildId) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self
            .setting_up
            .lock()
            .expect("never poisoned: no panic while held");
        Arc::clone(all.entry(guild).or_default())
    }

    /// The dashboard's page of a server.
    pub(super) fn dashboard(&self, guild: GuildId) -> String {
        let base = self.services.public_url.as_str().trim_end_matches('/');
        format!("{base}/dashboard/{guild}")
    }

    /// Counts one use of a costly command.
    ///
    /// # Errors
    /// The answer to give, when the server has used it too often.
    pub(super) fn count(&self, guild: GuildId, what: Costly) -> Result<(), Answer> {
        let counted = self.costly.take((guild, what), 1.0, Instant::now());
        counted.map_err(|wait| Answer::text(text::too_fast(wait)))
    }

    /// Runs a store transaction on a blocking thread.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let store = self.services.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await?
    }

    /// Puts a question to the loop that decides about roles, and waits for the answer.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        let stopping = "the service is stopping";
        let sent = self.services.questions.send(question(answer)).await;
        sent.ok().context(stopping)?;
        answered.await.context(stopping)
    }
}
