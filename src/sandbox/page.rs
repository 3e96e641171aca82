//! The page on the local Discord's `/`: members and roles live, and the buttons of a subscriber's life.
pub mod action;
pub(crate) mod authorize;
mod card;
mod line;
mod posted;
mod view;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use futures_util::stream::{Stream, StreamExt as _, unfold};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serenity::model::id::MessageId;
use tokio::sync::{mpsc, oneshot};

use self::action::ActionRequest;
use self::posted::Posted;
use super::discord::{Happening, LocalDiscord, Reply};
use crate::domain::{GuildId, UserId};

/// The page loads nothing from elsewhere and no script but its own.
const POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action *";
/// Changes that follow each other faster than this reach the browser together.
const GATHER: Duration = Duration::from_millis(80);
/// How long a button waits for the chain.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page, its files, its events and its buttons.
pub(crate) fn router(discord: LocalDiscord) -> Router {
    let css = async || file("text/css; charset=utf-8", include_str!("page/page.css"));
    let script = async || {
        file(
            "text/javascript; charset=utf-8",
            include_str!("page/page.js"),
        )
    };
    let icon = async || file("image/svg+xml", include_str!("page/icon.svg"));
    Router::new()
        .route("/", get(page))
        .route("/assets/page.css", get(css))
        .route("/assets/page.js", get(script))
        .route("/assets/icon.svg", get(icon))
        .route("/favicon.ico", get(icon))
        .route("/sandbox/events", get(events))
        .route("/sandbox/actions", post(act))
        .route("/sandbox/commands", post(command))
        .route("/sandbox/buttons", post(button))
        .with_state(discord)
}

/// Wraps a document with the headers that every page here has.
pub(crate) fn document(markup: maud::Markup) -> Response {
    (
        [(CONTENT_SECURITY_POLICY, POLICY)],
        Html(markup.into_string()),
    )
        .into_response()
}

fn file(kind: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 2], &'static str) {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

async fn page(State(discord): State<LocalDiscord>) -> Response {
    document(discord.shared.read(view::page))
}

/// The live parts, again after every change: `{"html"}` with the same keyed elements as the page.
async fn events(State(discord): State<LocalDiscord>) -> impl IntoResponse {
    let stop = discord.shared.stop.clone();
    Sse::new(live(discord).take_until(stop.cancelled_owned())).keep_alive(KeepAlive::default())
}

fn live(discord: LocalDiscord) -> impl Stream<Item = Result<Event, Infallible>> {
    let news = discord.shared.news();
    unfold(
        (discord, news, None),
        |(discord, mut news, mut last)| async move {
            loop {
                news.borrow_and_update();
                let html = discord.shared.read(view::live).into_string();
                if last.as_ref() != Some(&html) {
                    let event = Event::default()
                        .event("live")
                        .data(json!({ "html": html }).to_string());
                    last = Some(html);
                    return Some((Ok(event), (discord, news, last)));
                }
                news.changed().await.ok()?;
                tokio::time::sleep(GATHER).await;
            }
        },
    )
}

/// What a button answers: a sentence, or the reply of the bot.
type Answered = Result<Json<Value>, (StatusCode, Json<Value>)>;

fn refused(status: StatusCode, why: impl Into<String>) -> (StatusCode, Json<Value>) {
    let message: String = why.into();
    (
        status,
        Json(json!({ "error": { "code": "refused", "message": message } })),
    )
}

/// Reads a JSON body from this page alone: another site's form or script cannot send this type without asking first.
fn read<T: DeserializeOwned>(
    discord: &LocalDiscord,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<T, (StatusCode, Json<Value>)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send application/json.",
        ));
    }
    let own = |origin: &str| {
        let port = discord
            .base_url()
            .rsplit(':')
            .next()
            .map(str::to_owned)
            .unwrap_or_default();
        [
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
            discord.base_url(),
        ]
        .contains(&origin.to_owned())
    };
    if text(ORIGIN).is_some_and(|origin| !own(origin)) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "Another site asked for this.",
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        refused(
            StatusCode::BAD_REQUEST,
            format!("This is not understood: {error}."),
        )
    })
}

async fn act(State(discord): State<LocalDiscord>, headers: HeaderMap, body: Bytes) -> Answered {
    let posted: Posted = read(&discord, &headers, &body)?;
    let done = match posted {
        Posted::Hand(hand) => hand.perform(&discord),
        Posted::Chain(action) => {
            let done = forward(&discord, action).await;
            if let Ok(sentence) = &done {
                discord.happened(Happening::Chain, sentence.clone());
            }
            done
        }
    };
    match done {
        Ok(sentence) => Ok(Json(json!({ "message": sentence }))),
        Err(why) => {
            discord.happened(Happening::Refused, why.clone());
            Err(refused(StatusCode::CONFLICT, why))
        }
    }
}

/// Hands the action to whoever runs the chain, and waits for the sentence.
async fn forward(discord: &LocalDiscord, action: action::Action) -> Result<String, String> {
    let nobody = || "Nothing here runs a chain, so nothing happened.".to_owned();
    let sender = discord.shared.actions().ok_or_else(nobody)?;
    let (answer, answered) = oneshot::channel();
    sender
        .send(ActionRequest { action, answer })
        .await
        .map_err(|_| nobody())?;
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err("The chain's keeper went away before it answered.".to_owned()),
        Err(_) => Err("The chain has not answered for a minute.".to_owned()),
    }
}

#[derive(Deserialize)]
struct TypedCommand {
    guild_id: GuildId,
    user_id: UserId,
    line: String,
}

async fn command(State(discord): State<LocalDiscord>, headers: HeaderMap, body: Bytes) -> Answered {
    let typed: TypedCommand = read(&discord, &headers, &body)?;
    let parsed = line::parse(&typed.line).map_err(|why| refused(StatusCode::BAD_REQUEST, why))?;
    let options: Vec<_> = parsed
        .options
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let user = typed.user_id;
    let reply = discord
        .run_command(typed.guild_id, user, &parsed.name, &options)
        .await;
    let name = discord.user_name(user);
    discord.happened(Happening::Person, format!("{name} typed /{}", parsed.name));
    reply
        .map(|reply| seen(&reply))
        .map_err(|why| refused(StatusCode::CONFLICT, sentence(&why)))
}

#[derive(Deserialize)]
struct PressedButton {
    guild_id: GuildId,
    user_id: UserId,
    message_id: MessageId,
    custom_id: String,
}

async fn button(State(discord): State<LocalDiscord>, headers: HeaderMap, body: Bytes) -> Answered {
    let pressed: PressedButton = read(&discord, &headers, &body)?;
    let (guild, user) = (pressed.guild_id, pressed.user_id);
    let reply = discord
        .click_button(guild, user, pressed.message_id, &pressed.custom_id)
        .await;
    reply
        .map(|reply| seen(&reply))
        .map_err(|why| refused(StatusCode::CONFLICT, sentence(&why)))
}

fn sentence(why: &super::discord::NoReply) -> String {
    let text = why.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A reply as the page shows it.
fn seen(reply: &Reply) -> Json<Value> {
    let all = std::iter::once(&reply.message).chain(&reply.followups);
    let messages: Vec<_> = all
        .map(|message| {
            let buttons: Vec<_> = message
                .buttons
                .iter()
                .map(|button| {
                    json!({
                        "label": button.label,
                        "custom_id": button.custom_id,
                        "url": button.url,
                        "disabled": button.disabled,
                    })
                })
                .collect();
            json!({ "id": message.id, "text": message.text(), "buttons": buttons })
        })
        .collect();
    Json(json!({ "messages": messages }))
}

impl LocalDiscord {
    /// What the page's buttons ask of the chain. Whoever runs the chain takes this once and answers each request; until
    /// then the buttons say that nothing runs a chain.
    pub fn take_actions(&self) -> mpsc::Receiver<ActionRequest> {
        self.shared.take_actions()
    }
}
