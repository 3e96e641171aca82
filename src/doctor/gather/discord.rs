//! Asks Discord about the bot, its application and the servers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::header::DATE;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::timeout;
use url::Url;

use super::{ALL_WITHIN, DEADLINE, StoreAnswers, answered_within};
use crate::clock::machine_time;
use crate::commands::{self, Registration};
use crate::config::{Config, Secrets};
use crate::discord::{Discord, Failure, OauthApplication, Reason};
use crate::doctor::facts::{Bot, BotFacts, CommandFacts, DiscordFacts, SecretFacts, ServerFacts};
use crate::domain::{GuildId, MembersIntent, RoleId};
use crate::http::client_to;

/// How long the request that reads Discord's clock may take.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn ask(
    config: &Config,
    secrets: &Secrets,
    discord: Option<&Discord>,
) -> DiscordFacts {
    let bot = async {
        match discord {
            None => BotFacts::NoToken,
            Some(discord) => bot(config, discord).await,
        }
    };
    let (bot, clock_ahead, secret) = tokio::join!(
        bot,
        clock_ahead(&config.discord.api_url),
        secret(config, secrets, discord)
    );
    let public = config.web.public_url.as_str().trim_end_matches('/');
    DiscordFacts {
        application_id: config.discord.application_id.get(),
        wants_members: config.discord.members_intent != MembersIntent::Never,
        bot,
        clock_ahead,
        secret,
        callback: format!("{public}/oauth/callback"),
    }
}

/// An answer of Discord's within the time that each part has.
async fn in_time<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || Failure::Transient("Discord did not answer in time".to_owned());
    timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| Err(late()))
}

async fn bot(config: &Config, discord: &Discord) -> BotFacts {
    let user = match in_time(discord.bot_user()).await {
        Ok(user) => user,
        Err(failure) if failure.reason() == Some(Reason::Token) => return BotFacts::Refused,
        Err(failure) => return BotFacts::Unreachable(failure.to_string()),
    };
    let registration = commands::registration(discord, config.discord.application_id);
    let (application, starts, commands) = tokio::join!(
        in_time(discord.application()),
        in_time(discord.session_starts()),
        in_time(registration)
    );
    let commands = match commands {
        Ok(Registration::Same) => CommandFacts::Same,
        Ok(Registration::Different) => CommandFacts::Different,
        Ok(Registration::None) => CommandFacts::None,
        Err(Failure::Refused(refusal)) => CommandFacts::Refused(refusal.to_string()),
        Err(failure) => CommandFacts::Unknown(failure.to_string()),
    };
    BotFacts::Is(Box::new(Bot {
        user,
        application: application.map_err(|failure| failure.to_string()),
        starts: starts.map_err(|failure| failure.to_string()),
        commands,
    }))
}

async fn secret(config: &Config, secrets: &Secrets, discord: Option<&Discord>) -> SecretFacts {
    if !config.web.signs_in {
        return SecretFacts::NotNeeded;
    }
    let Some(secret) = secrets.discord_client_secret.clone() else {
        return SecretFacts::Missing;
    };
    let Some(discord) = discord else {
        return SecretFacts::Unknown("there is no bot token".to_owned());
    };
    let application = OauthApplication {
        id: config.discord.application_id,
        secret,
    };
    match in_time(discord.accepts_secret(&application)).await {
        Ok(true) => SecretFacts::Accepted,
        Ok(false) => SecretFacts::Refused,
        Err(failure) => SecretFacts::Unknown(failure.to_string()),
    }
}

/// Discord's clock less this machine's, in seconds.
async fn clock_ahead(api_url: &Url) -> Option<i64> {
    let client = client_to(api_url).timeout(CLOCK_TIMEOUT);
    let url = api_url.join("/api/v10/gateway").ok()?;
    let client = client.build().ok()?;
    let ours = || i64::try_from(machine_time().0).ok();
    let before = ours()?;
    let answer = client.get(url).send().await.ok()?;
    let after = ours()?;
    let theirs = unix_seconds(answer.headers().get(DATE)?.to_str().ok()?)?;
    Some(ahead(theirs, before, after))
}

/// By how many seconds their clock is certainly ahead: it was read at some moment of a request that may have been slow.
fn ahead(theirs: i64, before: i64, after: i64) -> i64 {
    theirs - theirs.clamp(before, after.max(before))
}

/// The Unix seconds of an HTTP date.
fn unix_seconds(date: &str) -> Option<i64> {
    let date = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some(date.unix_timestamp())
}

/// The servers, and how many more there was no time for.
pub(super) async fn servers(
    config: &Config,
    discord: Option<&Discord>,
    stored: &StoreAnswers,
) -> (Vec<ServerFacts>, usize) {
    let Some(discord) = discord else {
        return (Vec::new(), 0);
    };
    let mut guilds: BTreeMap<GuildId, BTreeSet<RoleId>> = BTreeMap::new();
    for gate in &stored.gates {
        guilds.entry(gate.guild).or_default().extend(&gate.roles);
    }
    for guild in config.servers.keys() {
        guilds.entry(*guild).or_default();
    }
    let asking = guilds.into_iter().map(|(guild, roles)| {
        Box::pin(async move {
            let seen = in_time(discord.examine_server(guild)).await;
            let settings = stored.settings.get(&guild).copied().unwrap_or_default();
            let mut channels = Vec::new();
            for (key, channel) in [
                ("log_channel", settings.log_channel),
                ("alert_channel", settings.alert_channel),
            ] {
                if let Some(channel) = channel {
                    let sees = in_time(discord.sees_channel(guild, channel)).await;
                    channels.push((key, channel, sees.ok()));
                }
            }
            ServerFacts {
                guild,
                roles,
                seen: seen.map_err(|failure| failure.to_string()),
                channels,
            }
        })
    });
    answered_within(asking.collect(), ALL_WITHIN).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_is_read() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(unix_seconds(date), Some(784_111_777));
        assert_eq!(unix_seconds("yesterday"), None);
    }

    #[test]
    fn the_time_that_a_request_takes_is_no_difference_of_clocks() {
        assert_eq!(
            [100, 104, 110].map(|theirs| ahead(theirs, 100, 110)),
            [0; 3]
        );
        assert_eq!((ahead(99, 100, 110), ahead(111, 100, 110)), (-1, 1));
        // This machine's clock was set back meanwhile.
        assert_eq!(ahead(100, 100, 90), 0);
    }
}
