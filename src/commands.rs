//! Slash commands, context menus, forms and buttons: acknowledged at once, worked out and answered in a task.
//!
//! Only the one who asked sees an answer. What goes wrong inside is logged; the member reads one sentence.

mod answer;
mod approve;
mod choice;
mod evidence;
mod forecast;
mod grants;
mod ids;
mod manager;
mod member;
mod pending;
mod plans;
mod privacy;
mod receipt;
mod register;
mod rules;
mod running;
mod setup;
mod standing;

use std::num::NonZeroU64;
use std::sync::Arc;

use serenity::all::{FullEvent, Interaction};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::register::Registration;
pub use self::running::{AskSources, NewLink, ReturnUrls, Services};

use self::answer::Answer;
use self::ids::Press;
use self::running::{Asked, Commands, Data, defer_component, ephemeral, manages, refuse};
use crate::discord::{Discord, Failure};
use crate::domain::DiscordStatus;
use crate::text;

/// The framework with every command, for [`crate::discord::Connection::run`].
pub fn framework(
    discord: &Discord,
    application: NonZeroU64,
    services: Services,
) -> impl serenity::framework::Framework + use<> {
    let data = Arc::new(Commands::new(discord, application, services));
    let options = poise::FrameworkOptions::<Data, anyhow::Error> {
        commands: all(),
        on_error: |error| Box::pin(apologise(error)),
        event_handler: |framework, event| Box::pin(pressed(framework, event)),
        ..Default::default()
    };
    poise::Framework::builder()
        .options(options)
        // Nobody may do more because they own the application. The builder's own setting is the one that counts.
        .initialize_owners(false)
        .setup(move |_, _, _| Box::pin(async move { Ok(data) }))
        .build()
}

/// Registers the commands where Discord has others than these, trying again while it refuses or has trouble (`status`
/// says why), then waits for `stop`.
pub async fn keep_registered(
    discord: Discord,
    application: NonZeroU64,
    status: watch::Sender<DiscordStatus>,
    stop: CancellationToken,
) {
    let wanted = register::definitions(&all());
    register::keep_registered(discord, application.into(), wanted, status, stop).await;
}

/// Whether Discord has the commands of this program.
///
/// # Errors
/// When Discord refuses to show them, or cannot be reached.
pub async fn registration(
    discord: &Discord,
    application: NonZeroU64,
) -> Result<Registration, Failure> {
    let wanted = register::definitions(&all());
    register::compare(discord, application.into(), &wanted).await
}

fn all() -> Vec<poise::Command<Data, anyhow::Error>> {
    vec![
        member::verify(),
        member::status(),
        member::wallets(),
        member::unlink(),
        member::why(),
        member::plans(),
        receipt::why_this_role(),
        member::privacy(),
        manager::amser(),
    ]
}

/// Acknowledges and answers a button or a form of ours.
async fn pressed(
    framework: poise::FrameworkContext<'_, Data, anyhow::Error>,
    event: &FullEvent,
) -> anyhow::Result<()> {
    let FullEvent::InteractionCreate { interaction } = event else {
        return Ok(());
    };
    let component = match interaction {
        Interaction::Component(component) => component,
        Interaction::Modal(form) => return setup::submitted(framework, form).await,
        _ => return Ok(()),
    };
    let Some(press) = Press::read(&component.data.custom_id) else {
        return Ok(());
    };
    let context = framework.serenity_context;
    let member = component.member.as_ref();
    let asked = Asked::new(component.user.id, component.guild_id, member);
    let refusal = match press {
        Press::Approve(_) | Press::Setup(_) if !manages(member) => Some(text::managers_only()),
        Press::Verify if asked.guild.is_none() => Some(text::only_in_servers()),
        _ => None,
    };
    if let Some(sentence) = refusal {
        component
            .create_response(context, ephemeral(sentence))
            .await?;
        return Ok(());
    }
    defer_component(context, component).await?;
    let commands = Arc::clone(framework.user_data);
    let user = asked.user;
    let work = async move {
        match (press, asked.in_server()) {
            (Press::Verify, Some(here)) => member::verification(commands, here).await,
            (Press::Approve(shown), Some(here)) => approve::pressed(commands, here, shown).await,
            (Press::Setup(choice), Some(here)) => setup::made(commands, here, choice).await,
            (Press::Forget, _) => privacy::forget(commands, user).await,
            (Press::Notices(on), _) => privacy::switch_notices(commands, user, on).await,
            (Press::Unlink(which), _) => member::unlinked(commands, user, which).await,
            (Press::Outdated | Press::Verify | Press::Approve(_) | Press::Setup(_), _) => {
                Ok(Answer::text(text::outdated_command()))
            }
        }
    };
    framework.user_data.work(user, &component.token, work);
    Ok(())
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
            log_unacknowledged(error);
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
        log_unacknowledged(&error);
    }
}

/// Without what caused it: that names the request's whole address, which holds the interaction's token.
fn log_unacknowledged(error: &anyhow::Error) {
    tracing::warn!(%error, "a command was not acknowledged");
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serenity::http::HttpBuilder;

    use super::*;

    #[tokio::test]
    async fn an_interaction_that_is_not_acknowledged_is_logged_without_its_token() {
        let nobody = HttpBuilder::new("t").proxy("http://127.0.0.1:1");
        let http = nobody.ratelimiter_disabled(true).build();
        let body = json!({});
        let answered = http.create_interaction_response(1.into(), "its-token", &body, vec![]);
        let error = anyhow::Error::from(answered.await.unwrap_err());
        assert!(!error.to_string().contains("its-token"), "{error}");
        let with_causes = format!("{error:#}");
        assert!(with_causes.contains("its-token"), "{with_causes}");
    }

    #[test]
    fn commands_for_who_has_left_work_in_direct_messages_and_managers_ones_are_not_offered_to_members()
     {
        let definitions = register::definitions(&all());
        let commands = definitions.as_array().unwrap();
        assert_eq!(commands.len(), 9);
        let direct = ["status", "wallets", "unlink", "privacy"].map(|name| json!(name));
        for command in commands {
            let contexts = match direct.contains(&command["name"]) {
                true => json!([0, 1]),
                false => json!([0]),
            };
            assert_eq!(command["contexts"], contexts, "{command}");
            let manages = command["name"] == "amser";
            assert_eq!(
                command["default_member_permissions"] == "32",
                manages,
                "{command}"
            );
        }
    }
}
