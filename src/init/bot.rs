//! The bot's token and the application's client secret, each checked at once: by the bot's name, and by whether Discord accepts it.

use std::num::NonZeroU64;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::ask::Asking;
use super::flags::Flags;
use crate::discord::{Discord, OauthApplication, Reason, Settings};
use crate::domain::{DiscordStatus, MembersIntent};
use crate::terminal::print_line;

fn secret_in(path: &Path) -> anyhow::Result<SecretString> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{name} is empty");
    Ok(text.to_owned().into())
}

/// A secret that was typed, or the path of a file with it.
fn typed(text: &str) -> anyhow::Result<SecretString> {
    let path = Path::new(text);
    match path.is_file() {
        true => secret_in(path),
        false => {
            ensure!(
                !text.is_empty() && !text.contains(['/', ' ']),
                "there is no such file"
            );
            Ok(text.to_owned().into())
        }
    }
}

/// The bot's token. One of a flag is checked by [`bot`].
pub(super) async fn token(flags: &Flags, asking: &Asking) -> anyhow::Result<SecretString> {
    if let Some(path) = &flags.token_file {
        return secret_in(path).context("--token-file");
    }
    let question = "Bot token (developer portal, Bot), or the path of a file with it";
    let check = async |text: &str| {
        let token = typed(text)?;
        bot_of(flags, &token).await?;
        Ok(token)
    };
    asking.settle_secret(question, check).await
}

/// The client secret; `None`: later.
pub(super) async fn client_secret(
    flags: &Flags,
    asking: &Asking,
    discord: &Discord,
    application: NonZeroU64,
) -> anyhow::Result<Option<SecretString>> {
    if let Some(path) = &flags.client_secret_file {
        let given = async { accepted(discord, application, secret_in(path)?).await };
        return given.await.context("--client-secret-file").map(Some);
    }
    if !asking.can_ask() {
        return Ok(None);
    }
    let question =
        "Client secret (developer portal, OAuth2), or the path of a file with it; nothing: later";
    let check = async |text: &str| match text {
        "" => Ok(None),
        text => accepted(discord, application, typed(text)?).await.map(Some),
    };
    asking.settle_secret(question, check).await
}

/// The client secret, if Discord accepts it.
async fn accepted(
    discord: &Discord,
    id: NonZeroU64,
    secret: SecretString,
) -> anyhow::Result<SecretString> {
    let application = OauthApplication { id, secret };
    ensure!(
        discord.accepts_secret(&application).await?,
        "Discord refuses this client secret of application {id}"
    );
    Ok(application.secret)
}

/// The bot by its token, and its application.
pub(super) async fn bot(
    flags: &Flags,
    token: &SecretString,
) -> anyhow::Result<(Discord, NonZeroU64)> {
    let (discord, application, name) = bot_of(flags, token).await?;
    print_line(format!("the bot is {name}, application {application}"))?;
    Ok((discord, application))
}

async fn bot_of(
    flags: &Flags,
    token: &SecretString,
) -> anyhow::Result<(Discord, NonZeroU64, String)> {
    let settings = Settings {
        application_id: NonZeroU64::MIN,
        api_url: flags.discord_api_url.clone(),
        members_intent: MembersIntent::Used,
    };
    let (status, _) = watch::channel(DiscordStatus::default());
    // Kept out of a header where it cannot be one.
    let is_token = token
        .expose_secret()
        .chars()
        .all(|letter| letter.is_ascii_graphic());
    ensure!(is_token, "this is no bot token");
    let discord = Discord::new(&settings, token, status)?;
    let user = match discord.bot_user().await {
        Err(failure) if failure.reason() == Some(Reason::Token) => {
            bail!("Discord refuses this bot token")
        }
        user => user?,
    };
    let application = discord.application().await?;
    let id = NonZeroU64::new(application.id.0).context("the application has no id")?;
    Ok((discord, id, user.username))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_secret_is_told_from_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "abc\n").unwrap();
        let read = |text: &str| typed(text).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(read(file.to_str().unwrap()).unwrap(), "abc");
        assert_eq!(read("MTE.x.y").unwrap(), "MTE.x.y");
        assert!(typed("/no/such/file").is_err() && typed("").is_err());
    }
}
