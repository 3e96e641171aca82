//! One REST request as a handler sees it, and what a handler answers.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::domain::{GuildId, RoleId, UserId};
use axum::body::Bytes;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serenity::model::id::{ApplicationId, ChannelId, CommandId, InteractionId, MessageId};

use super::error::ApiError;
use super::route::Route;
use super::upload::Upload;

/// Who a request comes from, as its `Authorization` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The bot.
    Bot,
    /// A user, through an OAuth token with these scopes.
    Bearer { user: UserId, scopes: Vec<String> },
    /// Nobody; allowed where the path carries a token.
    Nobody,
}

/// A request that passed the gates.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) route: Route,
    pub(crate) identity: Identity,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    /// The files that came with it.
    pub(crate) files: Vec<Upload>,
    /// The list of who may accept an invite.
    pub(crate) target_users: Option<Bytes>,
    /// The body is a form.
    pub(crate) is_form: bool,
    /// `Basic` credentials, where OAuth takes them: (id, secret).
    pub(crate) basic: Option<(String, String)>,
    /// What the audit log is to say.
    pub(crate) reason: Option<String>,
}

/// A successful answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// What kind of body; JSON for all but a list of an invite's users.
    pub(crate) kind: &'static str,
    pub(crate) body: Option<String>,
}

const JSON: &str = "application/json";

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: StatusCode::OK,
            kind: JSON,
            body: Some(body.to_string()),
        }
    }

    pub(crate) fn csv(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "text/csv",
            body: Some(body),
        }
    }

    pub(crate) fn created(body: &Value) -> Self {
        Self {
            status: StatusCode::CREATED,
            kind: JSON,
            body: Some(body.to_string()),
        }
    }

    pub(crate) fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            kind: JSON,
            body: None,
        }
    }
}

/// What handlers return.
pub(crate) type Handled = Result<Answer, ApiError>;

impl Call {
    fn id(&self, name: &str) -> Result<u64, ApiError> {
        let text = self
            .params
            .get(name)
            .map(String::as_str)
            .unwrap_or_default();
        // Serenity's ids are never zero.
        u64::from_str(text)
            .ok()
            .filter(|id| *id != 0)
            .ok_or_else(|| {
                ApiError::invalid_form(
                    name,
                    "NUMBER_TYPE_COERCE",
                    format!("Value \"{text}\" is not snowflake."),
                )
            })
    }

    pub(crate) fn guild(&self) -> Result<GuildId, ApiError> {
        self.id("guild_id").map(GuildId)
    }

    pub(crate) fn user(&self) -> Result<UserId, ApiError> {
        self.id("user_id").map(UserId)
    }

    pub(crate) fn role(&self) -> Result<RoleId, ApiError> {
        self.id("role_id").map(RoleId)
    }

    pub(crate) fn channel(&self) -> Result<ChannelId, ApiError> {
        self.id("channel_id").map(ChannelId::new)
    }

    pub(crate) fn message(&self) -> Result<MessageId, ApiError> {
        self.id("message_id").map(MessageId::new)
    }

    pub(crate) fn application(&self) -> Result<ApplicationId, ApiError> {
        self.id("application_id").map(ApplicationId::new)
    }

    pub(crate) fn command(&self) -> Result<CommandId, ApiError> {
        self.id("command_id").map(CommandId::new)
    }

    pub(crate) fn interaction(&self) -> Result<InteractionId, ApiError> {
        self.id("interaction_id").map(InteractionId::new)
    }

    /// A path parameter as text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.params
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// A number in the query, or `default`; refused outside of `range`.
    pub(crate) fn number<T>(
        &self,
        name: &str,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<T, ApiError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.query.get(name) else {
            return Ok(default);
        };
        let value = text.parse().ok().filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (least, most) = range.into_inner();
            let message = format!("int value should be between {least} and {most}.");
            ApiError::invalid_form(name, "NUMBER_TYPE_RANGE", message)
        })
    }

    /// The JSON body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(ApiError::invalid_json)
    }
}
