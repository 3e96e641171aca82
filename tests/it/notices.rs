//! People are told in time: a log, alerts, direct messages, and the week's numbers. None twice, none lost.

mod alerts;
mod crash;
mod digest;
mod log;
mod members;
mod settings;

use amser_roles::domain::{ChannelId, GuildId, ServerSettings, Timestamp, UserId};
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;

use crate::support::stage::{Person, Stage};

/// The first channel of a server.
fn channel(discord: &LocalDiscord, guild: GuildId) -> ChannelId {
    ChannelId(discord.channel(guild).unwrap().get())
}

/// What can be read in a channel, oldest first.
fn read(discord: &LocalDiscord, channel: ChannelId) -> Vec<String> {
    let messages = discord.messages(serenity::model::id::ChannelId::new(channel.0));
    messages.into_iter().map(|one| one.content).collect()
}

/// The lines in a channel, oldest first.
fn lines(discord: &LocalDiscord, channel: ChannelId) -> Vec<String> {
    let messages = read(discord, channel);
    let lines = messages.iter().flat_map(|message| message.lines());
    lines.map(str::to_owned).collect()
}

/// The direct messages to a member, oldest first.
fn told(discord: &LocalDiscord, user: UserId) -> Vec<String> {
    let messages = discord.direct_messages(user).into_iter();
    messages.map(|one| one.content).collect()
}

fn set(store: &Store, guild: GuildId, settings: ServerSettings) {
    let manager = UserId(1);
    store
        .set_settings(guild, settings, manager, Timestamp(1))
        .unwrap();
}

/// Settings with a log.
fn logged(channel: ChannelId) -> ServerSettings {
    ServerSettings {
        log_channel: Some(channel),
        ..ServerSettings::default()
    }
}

/// Settings with direct messages.
fn with_notices() -> ServerSettings {
    ServerSettings {
        member_notices: Some(true),
        ..ServerSettings::default()
    }
}

impl Stage {
    /// Lines about this member in the channel that begin so after the member's name.
    fn lines_about(&self, channel: ChannelId, person: Person, verb: &str) -> usize {
        let about = format!("<@{}> {verb} ", person.user);
        let lines = lines(&self.discord, channel);
        lines.iter().filter(|line| line.contains(&about)).count()
    }
}
