//! The pages themselves.

mod link;
mod wallet;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::error::WebError;
use super::{WebSettings, assets};
use crate::domain::GuildId;

pub(super) use link::{LinkPage, Paid, handover_over, link, take_over};
pub(super) use wallet::{announcements, steps};

/// A whole page: head, `inner` and the footer. `files` are styles and scripts of `assets`. Addresses begin at the root, which is ours
/// (`web.public_url` has no path): a refusal may stand at any depth.
pub(super) fn frame(settings: &WebSettings, title: &str, files: &[&str], inner: &Markup) -> Markup {
    frame_with(settings, title, files, &html! {}, inner)
}

/// As [`frame`], with more in its head.
pub(super) fn frame_with(
    settings: &WebSettings,
    title: &str,
    files: &[&str],
    head: &Markup,
    inner: &Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href=(assets::path("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::path("page.css"));
                @for file in files {
                    @if file.ends_with(".css") { link rel="stylesheet" href=(assets::path(file)); }
                    @else { script type="module" src=(assets::path(file)) {} }
                }
                (head)
            }
            body { (inner) (footer(settings)) }
        }
    }
}

/// Who runs this service and where its privacy policy is, as far as the operator said so.
fn footer(settings: &WebSettings) -> Markup {
    let contact = settings.contact.as_deref();
    let link = contact.and_then(|contact| {
        if contact.starts_with("https://") {
            return Some(contact.to_owned());
        }
        let is_email = contact.contains('@') && !contact.contains([' ', '/', '?']);
        is_email.then(|| format!("mailto:{contact}"))
    });
    html! {
        @if contact.is_some() || settings.privacy_url.is_some() {
            footer.foot {
                @if let Some(contact) = contact {
                    p { "Contact: " @if let Some(link) = &link { a href=(link) rel="noreferrer" { (contact) } } @else { (contact) } }
                }
                @if let Some(policy) = &settings.privacy_url {
                    p { a href=(policy) rel="noreferrer" { "Privacy policy" } }
                }
            }
        }
    }
}

fn page(status: StatusCode, markup: Markup) -> Response {
    (status, Html(markup.into_string())).into_response()
}

/// A refusal that a person reads; `again`: where the sign-in that failed begins.
pub(super) fn refusal(settings: &WebSettings, error: WebError, again: Option<String>) -> Response {
    let title = match error {
        WebError::LinkUsed => "This link was already used",
        WebError::LinkExpired => "This link has expired",
        WebError::LinkReplaced => "There is a newer link",
        WebError::LinkUnknown | WebError::NotFound => "Nothing here",
        WebError::TooManyRequests(_) => "Too fast",
        WebError::SignInDeclined | WebError::SignInStale | WebError::SignInFailed => {
            "The sign-in did not work"
        }
        WebError::ConnectDeclined | WebError::NoServerChosen | WebError::NeedsManageServer => {
            "The server was not connected"
        }
        WebError::NoServer => "No such server",
        WebError::BotRemoved(_) => "The bot was removed",
        WebError::ServerDeleted => "This server is gone",
        _ => "This did not work",
    };
    let inner = html! {
        main.card {
            p.mark aria-hidden="true" { "!" }
            h1 { (title) }
            p { (error.message()) }
            (way_on(error, again))
        }
    };
    page(error.status(), frame(settings, title, &[], &inner))
}

/// Where to go after a refusal.
fn way_on(error: WebError, again: Option<String>) -> Markup {
    match error {
        WebError::ConnectDeclined
        | WebError::NoServerChosen
        | WebError::NeedsManageServer
        | WebError::ServerDeleted => html! {
            p { a.button.main href="/connect" { "Choose a server" } }
        },
        WebError::BotRemoved(guild) => html! {
            p { a.button.main href={ "/connect?guild_id=" (guild) } { "Add the bot again" } }
        },
        // The sign-in leads on to the link of whoever signs in (`oauth::ReturnTo::Home`).
        WebError::SignInDeclined | WebError::SignInStale | WebError::SignInFailed => html! {
            p { a.button.main href=(again.as_deref().unwrap_or("/oauth/login")) { "Sign in in this browser" } }
            (back_to_discord(None))
        },
        WebError::NoServer => html! {
            p { a.button.main href="/dashboard" { "Your servers" } }
        },
        _ => back_to_discord(None),
    }
}

/// What stands at the address itself, for whoever wonders what it is.
pub(super) fn front(settings: &WebSettings) -> Response {
    let inner = html! {
        main.card {
            h1 { "Roles for subscribers" }
            p { "This service keeps Discord roles in step with on-chain subscriptions." }
            p {
                "To link your wallet, type " code { "/verify" }
                " in your Discord server: the link that you get there leads back here."
            }
            (back_to_discord(None))
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "Roles for subscribers", &[], &inner),
    )
}

/// Discord's own address is where every way on begins; a plain link, followed only when clicked.
fn back_to_discord(guild: Option<GuildId>) -> Markup {
    let to = guild.map_or("@me".to_owned(), |guild| guild.to_string());
    html! {
        p { a.button.quiet href={ "https://discord.com/channels/" (to) } rel="noreferrer" { "Back to Discord" } }
    }
}

/// Asks the visitor to sign in. Nothing of the member or the server is shown: that there is anything to show would tell
/// whoever was sent the link that the member is in the server still.
pub(super) fn sign_in(settings: &WebSettings, token: &str) -> Response {
    let inner = html! {
        main.card {
            h1 { "Sign in to link your wallet" }
            p {
                "This link belongs to the member who ran " code { "/verify" }
                ". Sign in with that Discord account, so that nobody can link a wallet in your name, nor yours to theirs."
            }
            (sign_in_button(token))
            p.fine { "Only your Discord name and id are read, and your sign-in ends after an hour." }
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "Sign in to link your wallet", &[], &inner),
    )
}

fn sign_in_button(token: &str) -> Markup {
    html! {
        p { a.button.main href={ "/oauth/login?link=" (token) } { "Sign in with Discord" } }
    }
}

/// Signed in as somebody else.
pub(super) fn other_member(settings: &WebSettings, token: &str) -> Response {
    let error = WebError::OtherMember;
    let inner = html! {
        main.card {
            p.mark aria-hidden="true" { "!" }
            h1 { "This link is not yours" }
            p { (error.message()) }
            p {
                "If somebody sent you this link, do not use it: your wallet's membership would be theirs."
            }
            p { a.button.main href={ "/oauth/login?switch=1&link=" (token) } { "Sign in with another account" } }
            (back_to_discord(None))
        }
    };
    page(
        error.status(),
        frame(settings, "This link is not yours", &[], &inner),
    )
}

/// Signed in without a link to go on with.
pub(super) fn signed_in(settings: &WebSettings) -> Response {
    let inner = html! {
        main.card {
            h1 { "You are signed in" }
            p { "Now open the link that " code { "/verify" } " gave you in your Discord server." }
            (back_to_discord(None))
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "You are signed in", &[], &inner),
    )
}
