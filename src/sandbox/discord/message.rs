//! Messages: what Discord accepts as one, and the message object it makes of it.
use crate::domain::UserId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serenity::model::id::{ChannelId, MessageId};
use time::OffsetDateTime;

use super::call::Call;
use super::error::ApiError;
use super::mentions::AllowedMentions;
use super::shape;
use super::upload::Upload;
use super::world::World;

/// The flags that a message of its own in a channel can have: embeds or notifications suppressed.
const SETTABLE: u64 = 1 << 2 | 1 << 12;

/// Characters of a nonce.
const LONGEST_NONCE: usize = 25;

/// How long a nonce stays taken: Discord says "the past few minutes".
const NONCE_SECONDS: i64 = 180;

/// A body that creates or edits a message. Unknown fields are refused, so that tests see them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageBody {
    content: Option<String>,
    embeds: Option<Vec<Value>>,
    components: Option<Vec<Value>>,
    flags: Option<u64>,
    #[serde(default, rename = "tts")]
    _tts: Option<bool>,
    allowed_mentions: Option<AllowedMentions>,
    attachments: Option<Vec<Attached>>,
    #[serde(skip)]
    files: Vec<Upload>,
    #[serde(default, rename = "sticker_ids")]
    sticker_ids: Option<Vec<Value>>,
    nonce: Option<Nonce>,
    enforce_nonce: Option<bool>,
    #[serde(default, rename = "message_reference")]
    _message_reference: Option<Value>,
    #[serde(default, rename = "poll")]
    _poll: Option<Value>,
}

/// What a message says of a file that comes with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attached {
    id: u64,
    filename: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// What a client calls its message by: an integer or a string.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Nonce {
    Number(i64),
    Text(String),
}

fn too_long(path: &str, most: usize) -> ApiError {
    ApiError::invalid_form(
        path,
        "BASE_TYPE_MAX_LENGTH",
        format!("Must be {most} or fewer in length."),
    )
}

/// Refuses a text of more than `most` characters.
fn short(path: &str, text: Option<&str>, most: usize) -> Result<usize, ApiError> {
    let length = text.map_or(0, |text| text.chars().count());
    if length > most {
        Err(too_long(path, most))
    } else {
        Ok(length)
    }
}

impl MessageBody {
    /// Checks the documented limits; `creating` also refuses an empty message.
    pub(crate) fn check(&self, creating: bool) -> Result<(), ApiError> {
        let content = short("content", self.content.as_deref(), 2000)?;
        if let Some(Nonce::Text(nonce)) = &self.nonce {
            short("nonce", Some(nonce), LONGEST_NONCE)?;
        }
        let stickers = self.sticker_ids.as_deref().unwrap_or_default();
        let attached = self.attachments.as_deref().unwrap_or_default();
        let named = attached.iter().map(|one| one.id);
        if !stickers.is_empty() || !named.eq(self.files.iter().map(|file| file.id)) {
            return Err(ApiError::invalid_form(
                "attachments",
                "UNSUPPORTED",
                "No stickers here, and each file is named once, in order.",
            ));
        }
        let embeds = self.embeds.as_deref().unwrap_or_default();
        let components = self.components.as_deref().unwrap_or_default();
        if embeds.len() > 10 {
            return Err(too_long("embeds", 10));
        }
        let mut total = 0;
        for (at, embed) in embeds.iter().enumerate() {
            total += check_embed(&format!("embeds.{at}"), embed)?;
        }
        if total > 6000 {
            let message = "Embed size exceeds maximum size of 6000";
            return Err(ApiError::invalid_form(
                "embeds",
                "MAX_EMBED_SIZE_EXCEEDED",
                message,
            ));
        }
        check_rows(components)?;
        if let Some(allowed) = &self.allowed_mentions {
            allowed.check()?;
        }
        let is_empty = content == 0 && embeds.is_empty() && components.is_empty();
        if creating && is_empty && self.files.is_empty() {
            return Err(ApiError::empty_message());
        }
        Ok(())
    }

    /// A message in a channel is for everyone: the flags that only other messages can have are ignored, as Discord does.
    pub(crate) fn for_everyone(mut self) -> Self {
        self.flags = self.flags.map(|flags| flags & SETTABLE);
        self
    }

    /// The message that the bot made under the same nonce in the past few minutes, where the body asks that there be one
    /// only.
    pub(crate) fn made_before<'a>(&self, world: &'a World) -> Option<&'a Value> {
        let nonce = self
            .nonce
            .as_ref()
            .filter(|_| self.enforce_nonce == Some(true))?;
        let nonce = json!(nonce);
        let since = shape::timestamp(OffsetDateTime::now_utc().unix_timestamp() - NONCE_SECONDS);
        let mut messages = world.messages.values();
        // All messages here are the bot's own.
        messages.find(|message| {
            message["nonce"] == nonce && message["timestamp"].as_str() >= Some(since.as_str())
        })
    }

    /// Writes the fields that the body names into a message object.
    pub(crate) fn apply(&self, message: &mut Value) {
        if let Some(content) = &self.content {
            message["content"] = json!(content);
        }
        if let Some(embeds) = &self.embeds {
            message["embeds"] = json!(embeds);
        }
        if let Some(components) = &self.components {
            message["components"] = json!(components);
        }
        if let Some(attached) = &self.attachments {
            let files = attached.iter().zip(&self.files);
            message["attachments"] = files.map(|(one, file)| attachment(one, file)).collect();
        }
    }

    /// The body of a request, with the files that came beside it.
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let body: Self = call.json()?;
        Ok(Self {
            files: call.files.clone(),
            ..body
        })
    }
}

/// Discord gives an attachment a snowflake, whatever number the client called it by.
const FIRST_ATTACHMENT: u64 = 1_120_000_000_000_000_000;

/// The attachment object of a file. The address of Discord's own leads to the content; this one holds it.
fn attachment(one: &Attached, file: &Upload) -> Value {
    let content = STANDARD.encode(&file.content);
    json!({
        "id": (FIRST_ATTACHMENT + one.id).to_string(),
        "filename": one.filename,
        "size": file.content.len(),
        "url": format!("data:application/octet-stream;base64,{content}"),
        "proxy_url": "",
        "ephemeral": true,
    })
}

/// Checks an embed and returns how many characters count towards the total.
fn check_embed(path: &str, embed: &Value) -> Result<usize, ApiError> {
    let text = |pointer: &str, most| {
        let key = pointer.trim_start_matches('/').replace('/', ".");
        short(
            &format!("{path}.{key}"),
            embed.pointer(pointer).and_then(Value::as_str),
            most,
        )
    };
    let mut total = text("/title", 256)?
        + text("/description", 4096)?
        + text("/footer/text", 2048)?
        + text("/author/name", 256)?;
    let fields = embed["fields"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if fields.len() > 25 {
        return Err(too_long(&format!("{path}.fields"), 25));
    }
    for (at, field) in fields.iter().enumerate() {
        for (key, most) in [("name", 256), ("value", 1024)] {
            let path = format!("{path}.fields.{at}.{key}");
            let text = field[key].as_str().filter(|text| !text.trim().is_empty());
            total += match text {
                Some(text) => short(&path, Some(text), most)?,
                None => {
                    let message = "This field is required";
                    return Err(ApiError::invalid_form(&path, "BASE_TYPE_REQUIRED", message));
                }
            };
        }
    }
    Ok(total)
}

/// Action rows of buttons or one select menu.
fn check_rows(rows: &[Value]) -> Result<(), ApiError> {
    if rows.len() > 5 {
        return Err(too_long("components", 5));
    }
    let mut seen = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let path = format!("components.{at}");
        let items = row["components"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if row["type"] != 1 || items.is_empty() || items.len() > 5 {
            let message = "An action row holds one to five components.";
            return Err(ApiError::invalid_form(
                &path,
                "BASE_TYPE_BAD_LENGTH",
                message,
            ));
        }
        for (at, item) in items.iter().enumerate() {
            let path = format!("{path}.components.{at}");
            short(&format!("{path}.label"), item["label"].as_str(), 80)?;
            let named = item["custom_id"].as_str();
            if named.is_some_and(|id| !(1..=100).contains(&id.chars().count())) {
                let path = format!("{path}.custom_id");
                let message = "Must be between 1 and 100 in length.";
                return Err(ApiError::invalid_form(
                    &path,
                    "BASE_TYPE_BAD_LENGTH",
                    message,
                ));
            }
            let link = item["type"] == 2 && item["style"] == 5;
            let address = item["url"].as_str();
            let right = if link {
                named.is_none()
                    && address.is_some_and(|url| {
                        url.starts_with("http://") || url.starts_with("https://")
                    })
            } else {
                named.is_some() && address.is_none()
            };
            if !right {
                let message = "A link button needs a url, any other component a custom_id.";
                return Err(ApiError::invalid_form(&path, "COMPONENT_INVALID", message));
            }
            if let Some(id) = named {
                if seen.contains(&id) {
                    let message = "Component custom id cannot be duplicated";
                    return Err(ApiError::invalid_form(
                        &path,
                        "COMPONENT_CUSTOM_ID_DUPLICATED",
                        message,
                    ));
                }
                seen.push(id);
            }
        }
    }
    Ok(())
}

/// The present time as Discord writes it.
pub(crate) fn now() -> String {
    shape::timestamp(OffsetDateTime::now_utc().unix_timestamp())
}

/// A new message object of the bot's.
pub(crate) fn create(
    world: &World,
    id: MessageId,
    channel: ChannelId,
    author: UserId,
    body: &MessageBody,
) -> Value {
    let mut message = json!({
        "id": id,
        "type": 0,
        "channel_id": channel,
        "author": shape::user(world, author),
        "content": "",
        "timestamp": now(),
        "edited_timestamp": null,
        "tts": false,
        "mention_everyone": false,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "pinned": false,
        "flags": body.flags.unwrap_or(0),
    });
    if let Some(nonce) = &body.nonce {
        message["nonce"] = json!(nonce);
    }
    body.apply(&mut message);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: Value) -> Option<u32> {
        let body: MessageBody = serde_json::from_value(body).unwrap();
        body.check(true).err().map(|error| error.code)
    }

    #[test]
    fn a_nonce_has_at_most_25_characters() {
        let body = |nonce: Value| json!({ "content": "x", "nonce": nonce });
        assert_eq!(code(body(json!("n".repeat(26)))), Some(50035));
        assert_eq!(code(body(json!("n".repeat(25)))), None);
        assert_eq!(code(body(json!(u32::MAX))), None);
    }

    #[test]
    fn empty_and_overlong_messages_are_refused() {
        assert_eq!(code(json!({})), Some(50006));
        assert_eq!(code(json!({ "content": "a".repeat(2001) })), Some(50035));
        assert_eq!(code(json!({ "content": "a".repeat(2000) })), None);
        assert_eq!(
            code(json!({ "embeds": [{ "description": "d".repeat(4097) }] })),
            Some(50035)
        );
        let large = json!({ "description": "d".repeat(4000) });
        assert_eq!(code(json!({ "embeds": [large, large] })), Some(50035));
    }

    #[test]
    fn buttons_need_their_id_or_address_and_no_id_twice() {
        let row = |buttons: Value| json!({ "components": [{ "type": 1, "components": buttons }] });
        let button = json!({ "type": 2, "style": 1, "label": "x", "custom_id": "a" });
        assert_eq!(code(row(json!([button]))), None);
        assert_eq!(code(row(json!([button, button]))), Some(50035));
        assert_eq!(
            code(row(
                json!([{ "type": 2, "style": 5, "label": "x", "custom_id": "a" }])
            )),
            Some(50035)
        );
        assert_eq!(
            code(row(
                json!([{ "type": 2, "style": 5, "label": "x", "url": "https://a" }])
            )),
            None
        );
        assert_eq!(code(row(json!([]))), Some(50035));
    }

    #[test]
    fn a_buttons_id_has_one_to_a_hundred_characters() {
        let named = |id: String| {
            let button = json!({ "type": 2, "style": 1, "label": "x", "custom_id": id });
            code(json!({ "components": [{ "type": 1, "components": [button] }] }))
        };
        assert_eq!(named(String::new()), Some(50035));
        assert_eq!(named("é".repeat(100)), None);
        assert_eq!(named("é".repeat(101)), Some(50035));
    }
}
