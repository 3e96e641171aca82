//! The pages themselves.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::error::WebError;
use super::profile::Profile;
use super::{WalletConnect, WebSettings, assets};
use crate::domain::GuildId;

/// A whole page: head, `inner` and the footer. `scripts` are files of `assets`. Addresses begin at the root, which is ours
/// (`web.public_url` has no path): a refusal may stand at any depth.
pub(super) fn frame(
    settings: &WebSettings,
    title: &str,
    scripts: &[&str],
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
                @for script in scripts { script type="module" src=(assets::path(script)) {} }
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

/// A refusal that a person reads.
pub(super) fn refusal(settings: &WebSettings, error: WebError) -> Response {
    let title = match error {
        WebError::LinkUsed => "This link was already used",
        WebError::LinkExpired => "This link has expired",
        WebError::LinkReplaced => "There is a newer link",
        WebError::LinkUnknown | WebError::NotFound => "Nothing here",
        WebError::TooManyRequests(_) => "Too fast",
        WebError::SignInDeclined | WebError::SignInStale | WebError::SignInFailed => {
            "The sign-in did not work"
        }
        WebError::ConnectDeclined
        | WebError::NoServerChosen
        | WebError::NeedsManageServer
        | WebError::ServerGone => "The server was not connected",
        _ => "This did not work",
    };
    let inner = html! {
        main.card {
            p.mark aria-hidden="true" { "!" }
            h1 { (title) }
            p { (error.message()) }
            (way_on(error))
        }
    };
    page(error.status(), frame(settings, title, &[], &inner))
}

/// Where to go after a refusal.
fn way_on(error: WebError) -> Markup {
    match error {
        WebError::ConnectDeclined
        | WebError::NoServerChosen
        | WebError::NeedsManageServer
        | WebError::ServerGone => html! {
            p { a.button.main href="/connect" { "Choose a server" } }
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
            p { a.button.main href={ "/oauth/login?link=" (token) } { "Sign in with Discord" } }
            p.fine { "Only your Discord name and id are read, and your sign-in ends after an hour." }
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "Sign in to link your wallet", &[], &inner),
    )
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

/// What the wallet page shows.
pub(super) struct LinkPage<'a> {
    pub(super) token: &'a str,
    pub(super) profile: &'a Profile,
    pub(super) guild: GuildId,
    pub(super) csrf: Option<&'a str>,
    pub(super) chain_id: u64,
    /// Whether the visitor has to type the member's name, for want of a sign-in.
    pub(super) types_name: bool,
    pub(super) wallet_connect: Option<&'a WalletConnect>,
}

/// The wallet page.
pub(super) fn link(settings: &WebSettings, shown: &LinkPage<'_>) -> Response {
    let profile = shown.profile;
    let inner = html! {
        main.card #verify data-csrf=[shown.csrf] data-chain=(shown.chain_id) data-guild=(shown.guild)
            data-username=[shown.types_name.then_some(&profile.username)]
            data-project=[shown.wallet_connect.map(|offer| &offer.project_id)]
            data-relay=[shown.wallet_connect.map(|offer| &offer.relay_url)] {
            (server(shown.token, profile))
            div #flow {
                h1 { "Link your wallet" }
                (member(shown.token, profile))
                ul.facts {
                    li { "You sign one message. It costs nothing and moves nothing." }
                    li { "Your roles in " strong { (profile.server_name) } " then follow this wallet's subscription." }
                    li { "Kept: the wallet's address, your Discord id, the signed message. " code { "/privacy delete" } " removes them." }
                }
                @if shown.types_name { (name_check(profile)) }
                section #choose aria-labelledby="choose-title" hidden[shown.types_name] {
                    h2 #choose-title { "Choose your wallet" }
                    ul.wallets #wallets {}
                    p.fine #searching { "Looking for wallets in this browser…" }
                    @if shown.wallet_connect.is_some() {
                        button.button.wide #walletconnect type="button" { "WalletConnect: a wallet on your phone" }
                    }
                }
                @if shown.wallet_connect.is_some() { (scan()) }
                section #account aria-labelledby="account-title" hidden {
                    h2 #account-title { "Sign with this wallet" }
                    p.wallet { img #account-icon alt="" hidden; span #account-name {} }
                    p.address #account-address {}
                    p.note #network hidden {}
                    details { summary { "The exact message" } pre #message {} }
                    div.row {
                        button.button.main #sign type="button" { "Sign message" }
                        button.button.quiet #back type="button" { "Other wallet" }
                    }
                }
                p.status #status role="status" aria-live="polite" {}
                p.problem #problem role="alert" {}
                (help())
            }
            section #done aria-labelledby="done-title" hidden {
                p.mark.good aria-hidden="true" { "✓" }
                h1 #done-title tabindex="-1" { "Wallet linked" }
                p.address #done-address {}
                div #outcome aria-live="polite" {}
                (back_to_discord(Some(shown.guild)))
            }
            noscript { p.problem { "This page talks to your wallet with JavaScript; please allow it and reload." } }
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "Link your wallet", &["verify.js"], &inner),
    )
}

/// A picture, or the first letter where there is none.
fn picture(token: &str, of: &str, name: &str, there: bool) -> Markup {
    let letter: String = name.chars().take(1).collect();
    html! {
        @if there {
            img.picture src={ (token) "/picture/" (of) } alt="" width="48" height="48";
        } @else {
            span.picture aria-hidden="true" { (letter.to_uppercase()) }
        }
    }
}

fn server(token: &str, profile: &Profile) -> Markup {
    html! {
        p.server {
            (picture(token, "server", &profile.server_name, profile.server_icon.is_some()))
            strong { (profile.server_name) }
        }
    }
}

fn member(token: &str, profile: &Profile) -> Markup {
    html! {
        div.member {
            (picture(token, "member", &profile.member_name, profile.avatar.is_some()))
            p {
                span.fine { "To this Discord account" } br;
                strong { (profile.member_name) } " "
                span.handle { "@" (profile.username) }
            }
        }
    }
}

/// Without a sign-in, the one protection against a forwarded link is that the visitor reads whose it is.
fn name_check(profile: &Profile) -> Markup {
    html! {
        form.warning #name-check {
            p {
                strong { "The membership goes to " (profile.member_name) " (@" (profile.username) ")." }
                " If that is not you, close this page: whoever sent you this link would get what your wallet paid for."
            }
            label for="typed-name" { "Type the Discord name " b { (profile.username) } " to confirm that it is yours" }
            div.row {
                input #typed-name name="name" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                button.button.main type="submit" { "This is me" }
            }
        }
    }
}

/// Shown while a wallet on another device is awaited.
fn scan() -> Markup {
    html! {
        section #scan aria-labelledby="scan-title" hidden {
            h2 #scan-title tabindex="-1" { "Scan this with your wallet" }
            img #code alt="QR code that connects your wallet" width="280" height="280";
            p {
                a #open-wallet href="#scan" { "Open a wallet on this device" }
                " instead, if it is here."
            }
            p.fine { "What your wallet answers passes, encrypted, through WalletConnect's relay." }
            div.row {
                button.button.quiet #copy-code type="button" { "Copy the code" }
                button.button.quiet #scan-back type="button" { "Other wallet" }
            }
        }
    }
}

fn help() -> Markup {
    html! {
        details.help #phone {
            summary { "On a phone, or the wallet is on another device" }
            p { "Open this page in your wallet's own browser:" }
            ul.apps {
                li { a #in-metamask href="#phone" { "MetaMask" } }
                li { a #in-coinbase href="#phone" { "Coinbase Wallet" } }
                li { a #in-trust href="#phone" { "Trust Wallet" } }
            }
            p {
                "Any other wallet: " button.button.quiet #copy type="button" { "Copy the link" }
                " and paste it in the wallet's browser. Share it with nobody."
            }
        }
        details.help #no-wallet {
            summary { "I have no wallet" }
            p {
                "A membership is paid from a wallet, and that wallet is the one to link. If you have paid, open this page where that wallet is. If you have not, "
                a href="https://ethereum.org/wallets/find-wallet/" rel="noreferrer" target="_blank" { "find a wallet on ethereum.org" }
                ", install it, and reload this page."
            }
        }
    }
}
