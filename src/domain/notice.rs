//! Messages to people: alerts, and what is remembered so that nobody is told the same thing twice.

use serde::{Deserialize, Serialize};

use super::{ChannelId, GuildId, ModuleAddress, RoleId, Timestamp};

/// The id of the button that ends direct messages.
pub const STOP_NOTICES: &str = "amser-roles:notices:off";
/// The id of the button that begins them again.
pub const START_NOTICES: &str = "amser-roles:notices:on";

/// A message of the bot's own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// At most 2,000 characters, in Discord's Markdown. Nobody is pinged by it.
    pub content: String,
    /// The same for the same message, at most 25 characters: Discord takes a second one with it, within some minutes, for the
    /// first.
    pub nonce: String,
    /// The label and the id of a button below it.
    pub button: Option<(String, String)>,
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// Direct messages to the user are closed, or there is no such user.
    Closed,
    /// Discord understood and refused.
    Refused {
        /// Discord's error code, 0 where there was none.
        code: u32,
        /// Discord's message.
        message: String,
    },
    /// Discord stops the bot from opening direct channels for a while.
    TooFast,
    /// Discord had trouble; worth another try soon.
    Later(String),
}

/// A text channel of a server, and whether the bot can write there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChannel {
    /// Its id.
    pub id: ChannelId,
    /// Its name, without the `#`.
    pub name: String,
    /// Why the bot cannot write there, in one sentence; `None` where it can.
    pub why_not: Option<String>,
}

/// Something that the managers of a server should know as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// The server that it concerns; `None`: every server with a channel for alerts.
    pub guild: Option<GuildId>,
    /// What is wrong.
    pub kind: AlertKind,
    /// The sentences for the managers: what is wrong, what follows from it, what to do.
    pub text: String,
}

/// What an alert is about. One alert stands for each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// The chain is not followed to its tip, or stands still.
    ChainBehind,
    /// The roles follow the API of amser, because the chain cannot be followed.
    Fallback,
    /// Discord refuses the privileged members intent.
    MembersIntent,
    /// Discord will withdraw the privileged members intent, which it has not reviewed.
    IntentReview,
    /// Roles cannot be changed (`None`: in the whole server).
    Failing(Option<RoleId>),
    /// The server's members cannot be read.
    MembersUnread,
    /// A module of the server's gates cannot be read.
    ModuleUnread(ModuleAddress),
    /// A module of the server's gates logs what no known ABI explains.
    UnknownLogs(ModuleAddress),
    /// Removals of a role are stopped and wait for an approval.
    Stopped(RoleId),
    /// The bot cannot write in the server's other channel.
    Channel(ChannelId),
}

impl AlertKind {
    /// The key under which it is stored.
    pub fn name(&self) -> String {
        match self {
            Self::ChainBehind => "chain_behind".to_owned(),
            Self::Fallback => "fallback".to_owned(),
            Self::MembersIntent => "members_intent".to_owned(),
            Self::IntentReview => "intent_review".to_owned(),
            Self::Failing(None) => "failing".to_owned(),
            Self::Failing(Some(role)) => format!("failing:{role}"),
            Self::MembersUnread => "members_unread".to_owned(),
            Self::ModuleUnread(module) => format!("module_unread:{module}"),
            Self::UnknownLogs(module) => format!("unknown_logs:{module}"),
            Self::Stopped(role) => format!("stopped:{role}"),
            Self::Channel(channel) => format!("channel:{channel}"),
        }
    }
}

/// How far an alert to a server came. No row: the server was never told, or was told of the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRow {
    /// The newest part of it that was decided.
    pub phase: AlertPhase,
    /// When that was decided (machine clock).
    pub at: Timestamp,
    /// The alert's sentences, as they were at its start.
    pub text: String,
}

/// The parts of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertPhase {
    /// The message of its start is to be sent.
    Starting,
    /// The server was told of its start.
    Standing,
    /// The message of its end is to be sent.
    Ending,
}

/// What is remembered about direct messages to a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectMessages {
    /// The user does not want any, but for those about the user's own wallets' safety.
    pub opted_out: bool,
    /// Discord said that they are closed: none is tried before this moment (machine clock).
    pub closed_until: Timestamp,
    /// The channel, once it was opened.
    pub channel: Option<ChannelId>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_of_alert_has_a_name_of_its_own() {
        let module = ModuleAddress(alloy::primitives::Address::repeat_byte(1));
        let kinds = [
            AlertKind::ChainBehind,
            AlertKind::Fallback,
            AlertKind::MembersIntent,
            AlertKind::Failing(None),
            AlertKind::Failing(Some(RoleId(1))),
            AlertKind::Failing(Some(RoleId(2))),
            AlertKind::MembersUnread,
            AlertKind::ModuleUnread(module),
            AlertKind::UnknownLogs(module),
            AlertKind::Stopped(RoleId(1)),
            AlertKind::Channel(ChannelId(1)),
        ];
        let names: BTreeSet<_> = kinds.iter().map(AlertKind::name).collect();
        assert_eq!(names.len(), kinds.len());
    }
}
