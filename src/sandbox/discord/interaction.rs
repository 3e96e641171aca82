//! Interactions: the state between INTERACTION_CREATE and the last edit of the answer.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serenity::model::id::{ChannelId, InteractionId, MessageId};

use super::error::ApiError;

/// The flag of a message that only one user sees.
pub(crate) const EPHEMERAL: u64 = 1 << 6;

/// One interaction.
#[derive(Clone, Debug)]
pub(crate) struct Interaction {
    pub(crate) token: String,
    pub(crate) created: Instant,
    pub(crate) channel: ChannelId,
    /// What it is: 2 for a command, 3 for a button, 5 for a form that was sent in.
    pub(crate) kind: u8,
    /// The message whose button was pressed; `None` for a command.
    pub(crate) source: Option<MessageId>,
    /// The form that it was answered with, until that is sent in.
    pub(crate) modal: Option<Value>,
    /// How long the first answer took.
    pub(crate) answered_after: Option<Duration>,
    /// Deferred, and nothing has filled the placeholder yet.
    pub(crate) thinking: bool,
    pub(crate) deferred: bool,
    /// What `@original` means: the answer, or the source message after types 6 and 7.
    pub(crate) original: Option<MessageId>,
    pub(crate) followups: Vec<MessageId>,
}

/// All interactions, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interactions(pub(crate) BTreeMap<InteractionId, Interaction>);

impl Interactions {
    /// The interaction that a webhook path names, while its token works.
    pub(crate) fn by_token(
        &mut self,
        token: &str,
        lifetime: Duration,
        now: Instant,
    ) -> Result<&mut Interaction, ApiError> {
        let found = self
            .0
            .values_mut()
            .find(|interaction| interaction.token == token);
        let interaction = found.ok_or_else(ApiError::unknown_webhook)?;
        if now.duration_since(interaction.created) > lifetime {
            return Err(ApiError::expired_webhook_token());
        }
        // Before the callback there is no webhook.
        if interaction.answered_after.is_none() {
            return Err(ApiError::unknown_webhook());
        }
        Ok(interaction)
    }
}

/// A button under a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What stands on it.
    pub label: String,
    /// What the bot knows it by; `None` for a link.
    pub custom_id: Option<String>,
    /// Where a link leads.
    pub url: Option<String>,
    /// It cannot be pressed.
    pub disabled: bool,
}

/// A message as a user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenMessage {
    /// Its id.
    pub id: MessageId,
    /// Its text.
    pub content: String,
    /// Its embeds, as JSON.
    pub embeds: Vec<Value>,
    /// Its buttons, row by row.
    pub buttons: Vec<Button>,
    /// Attached files, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// Only the one who asked sees it.
    pub ephemeral: bool,
}

/// The name and content of an attachment object.
fn file(attachment: &Value) -> Option<(String, Vec<u8>)> {
    let (_, content) = attachment["url"].as_str()?.split_once(";base64,")?;
    let name = attachment["filename"].as_str()?.to_owned();
    Some((name, STANDARD.decode(content).ok()?))
}

impl SeenMessage {
    pub(crate) fn new(id: MessageId, message: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rows = message["components"].as_array().into_iter().flatten();
        let items = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
        let buttons = items.filter(|item| item["type"] == 2).map(|item| Button {
            label: text(&item["label"]).unwrap_or_default(),
            custom_id: text(&item["custom_id"]),
            url: text(&item["url"]),
            disabled: item["disabled"] == true,
        });
        let attachments = message["attachments"].as_array().into_iter().flatten();
        Self {
            id,
            content: text(&message["content"]).unwrap_or_default(),
            embeds: message["embeds"].as_array().cloned().unwrap_or_default(),
            buttons: buttons.collect(),
            files: attachments.filter_map(file).collect(),
            ephemeral: message["flags"].as_u64().unwrap_or(0) & EPHEMERAL != 0,
        }
    }

    /// Everything there is to read: the content, then each embed's title, description, fields and footer.
    pub fn text(&self) -> String {
        let mut lines = vec![self.content.as_str()];
        for embed in &self.embeds {
            lines.extend(embed["title"].as_str());
            lines.extend(embed["description"].as_str());
            for field in embed["fields"].as_array().into_iter().flatten() {
                lines.extend(field["name"].as_str());
                lines.extend(field["value"].as_str());
            }
            lines.extend(embed["footer"]["text"].as_str());
        }
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

/// The answer to a command or a button.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The interaction it answers; `LocalDiscord::reply` reads it again later.
    pub interaction: InteractionId,
    /// The answer (after a button that updates its message, that message).
    pub message: SeenMessage,
    /// Later messages of the same interaction.
    pub followups: Vec<SeenMessage>,
    /// How long the first answer (or the deferral) took.
    pub answered_after: Duration,
    /// The bot first showed "is thinking…".
    pub deferred: bool,
}

impl Reply {
    /// All text of the answer and its follow-ups.
    pub fn text(&self) -> String {
        let all = std::iter::once(&self.message).chain(&self.followups);
        all.map(SeenMessage::text).collect::<Vec<_>>().join("\n")
    }
}

/// A form as a user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The interaction that it answers; `LocalDiscord::submit_form` sends it in.
    pub interaction: InteractionId,
    /// What stands above it.
    pub title: String,
    /// What is asked, as the bot sent it: labels with a component each.
    pub labels: Vec<Value>,
}

/// Why an interaction has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoReply {
    /// The user cannot see such a command or button.
    #[error("{0}")]
    NotOffered(String),
    /// The options do not fit the registered command.
    #[error("{0}")]
    WrongOption(String),
    /// It was answered with a form.
    #[error("the application shows a form: {}", .0.title)]
    Form(Box<Form>),
    /// No bot is connected for this guild.
    #[error("the application is not connected to the gateway")]
    NotConnected,
    /// There was no callback within the deadline (3 s on Discord).
    #[error("the application did not respond")]
    NoAnswer,
    /// It was deferred, and the answer did not come.
    #[error("the application is still thinking")]
    StillThinking,
}
