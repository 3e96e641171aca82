//! The page on the local Discord's `/`: two guided ways, members and roles live, and the buttons of a subscriber's life.
pub mod action;
pub(crate) mod authorize;
mod card;
mod checkout;
mod console;
mod form;
mod line;
mod markdown;
mod message;
mod names;
mod person;
mod posted;
mod role;
mod typed;
mod view;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use futures_util::stream::{Stream, StreamExt as _, unfold};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serenity::model::id::MessageId;
use tokio::sync::{mpsc, oneshot};

use self::action::ActionRequest;
use self::names::Reader;
use self::posted::Posted;
use self::view::View;
use super::discord::oauth::visitor::visitor;
use super::discord::{Happening, LocalDiscord, NoReply, Reply};
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
        .route("/", get(everyone))
        .route("/member", get(member))
        .route("/merchant", get(merchant))
        .route("/checkout", get(checkout::show).post(checkout::buy))
        .route("/channels/{*place}", get(back))
        .route("/assets/page.css", get(css))
        .route("/assets/page.js", get(script))
        .route("/assets/icon.svg", get(icon))
        .route("/favicon.ico", get(icon))
        .route("/sandbox/events", get(events))
        .route("/sandbox/actions", post(act))
        .route("/sandbox/commands", post(command))
        .route("/sandbox/buttons", post(button))
        .route("/sandbox/forms", post(form::submit))
        .with_state(discord)
}

/// What amser's API says of plans.
pub(crate) fn plan_names(discord: LocalDiscord) -> Router {
    Router::new()
        .route("/v0/modules/{module}/plans", get(checkout::plans))
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

async fn everyone(State(discord): State<LocalDiscord>) -> Response {
    document(
        discord
            .shared
            .read(|world| view::page(world, View::Everyone)),
    )
}

#[derive(Deserialize)]
struct As {
    #[serde(rename = "as")]
    user: Option<UserId>,
}

async fn member(
    State(discord): State<LocalDiscord>,
    Query(asked): Query<As>,
    headers: HeaderMap,
) -> Response {
    let view = View::Member(asked.user.or_else(|| visitor(&headers)));
    document(discord.shared.read(|world| view::page(world, view)))
}

async fn merchant(State(discord): State<LocalDiscord>) -> Response {
    document(
        discord
            .shared
            .read(|world| view::page(world, View::Merchant)),
    )
}

/// "Back to Discord" leads here: to the way that the visitor is on.
async fn back(State(discord): State<LocalDiscord>, headers: HeaderMap) -> Redirect {
    let merchant = discord.shared.read(|world| world.board.picture.merchant);
    match visitor(&headers) {
        Some(user) if Some(user) == merchant => Redirect::to("/merchant"),
        Some(user) => Redirect::to(&format!("/member?as={user}")),
        None => Redirect::to("/"),
    }
}

#[derive(Deserialize)]
struct Watched {
    view: Option<String>,
}

/// The live parts, again after every change: `{"html"}`.
async fn events(
    State(discord): State<LocalDiscord>,
    Query(watched): Query<Watched>,
) -> impl IntoResponse {
    let view = watched.view.and_then(|view| view.parse().ok());
    let stop = discord.shared.stop.clone();
    let live = live(discord, view.unwrap_or(View::Everyone));
    Sse::new(live.take_until(stop.cancelled_owned())).keep_alive(KeepAlive::default())
}

fn live(discord: LocalDiscord, view: View) -> impl Stream<Item = Result<Event, Infallible>> {
    let news = discord.shared.news();
    unfold(
        (discord, news, None),
        move |(discord, mut news, mut last)| async move {
            loop {
                news.borrow_and_update();
                let html = discord.shared.read(|world| view::live(world, view));
                let html = html.into_string();
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

/// Whether a request comes from this page: browsers name the page's origin with every post.
fn from_here(discord: &LocalDiscord, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return true;
    };
    let base = discord.base_url();
    let port = base.rsplit(':').next().unwrap_or_default();
    [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        base.clone(),
    ]
    .contains(&origin.to_owned())
}

/// Reads a JSON body from this page alone: another site's form or script cannot send this type without asking first.
fn read<T: DeserializeOwned>(
    discord: &LocalDiscord,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<T, (StatusCode, Json<Value>)> {
    let kind = headers.get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send application/json.",
        ));
    }
    if !from_here(discord, headers) {
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
        // What it does on the chain comes to the time line from the chain.
        Posted::Chain(action) => forward(&discord, action).await.map(|done| done.text),
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
async fn forward(discord: &LocalDiscord, action: action::Action) -> Result<action::Done, String> {
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

/// A command: as a line, or as its name and options.
#[derive(Deserialize)]
struct TypedCommand {
    guild_id: GuildId,
    user_id: UserId,
    #[serde(default)]
    line: String,
    #[serde(default)]
    command: String,
    #[serde(default)]
    options: BTreeMap<String, Value>,
}

async fn command(State(discord): State<LocalDiscord>, headers: HeaderMap, body: Bytes) -> Answered {
    let asked: TypedCommand = read(&discord, &headers, &body)?;
    let (guild, user) = (asked.guild_id, asked.user_id);
    let (name, options) = if asked.command.is_empty() {
        let line = typed::parse(&asked.line);
        let line = line.map_err(|why| refused(StatusCode::BAD_REQUEST, why))?;
        (line.name, line.options)
    } else {
        (asked.command, asked.options.into_iter().collect())
    };
    let options = discord.shared.read(|world| {
        let reader = Reader {
            world,
            guild: Some(guild),
            user: Some(user),
        };
        console::by_id(&reader, &name, options)
    });
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let reply = discord.run_command(guild, user, &name, &options).await;
    let who = discord.user_name(user);
    discord.happened(Happening::Person, format!("**{who}** typed `/{name}`."));
    let answer = answered(&discord, guild, user, reply)?;
    discord
        .shared
        .change(|world| world.board.typed.insert((user, name)));
    Ok(Json(answer))
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
    answered(&discord, guild, user, reply).map(Json)
}

/// What the bot answered: a message, or a form to fill in.
fn answered(
    discord: &LocalDiscord,
    guild: GuildId,
    user: UserId,
    reply: Result<Reply, NoReply>,
) -> Result<Value, (StatusCode, Json<Value>)> {
    match reply {
        Ok(reply) => Ok(seen(discord, guild, user, &reply)),
        Err(NoReply::Form(form)) => Ok(form::shown(discord, guild, user, &form)),
        Err(why) => Err(refused(StatusCode::CONFLICT, sentence(&why))),
    }
}

fn sentence(why: &NoReply) -> String {
    let text = why.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A reply as the page shows it.
fn seen(discord: &LocalDiscord, guild: GuildId, user: UserId, reply: &Reply) -> Value {
    let all = || std::iter::once(&reply.message).chain(&reply.followups);
    let html = discord.shared.read(|world| {
        let reader = Reader {
            world,
            guild: Some(guild),
            user: Some(user),
        };
        let shown = all().map(|one| message::message(one, &reader).into_string());
        shown.collect::<String>()
    });
    json!({ "html": html, "text": reply.text() })
}

impl LocalDiscord {
    /// What the page's buttons ask of the chain. Whoever runs the chain takes this once and answers each request; until
    /// then the buttons say that nothing runs a chain.
    pub fn take_actions(&self) -> mpsc::Receiver<ActionRequest> {
        self.shared.take_actions()
    }
}
