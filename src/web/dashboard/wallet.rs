//! The merchant's wallet on the pages: chosen and signed with by the wallet page's script, or typed and pasted without.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::api::Failure;
use super::super::api::wallet::{accept, give_out};
use super::super::link::OPENED_SECONDS;
use super::super::params::{Asked, Filled};
use super::super::session::SignedIn;
use super::super::verify::SignatureRequest;
use super::super::view::{announcements, steps};
use super::super::{Site, WebSettings};
use super::format::{counted, short};
use super::shell;
use crate::domain::{ModuleAddress, UserId, Wallet};
use crate::merchants::Refusal;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/wallet", get(page))
        .route("/dashboard/wallet/challenge", post(challenge))
        .route("/dashboard/wallet/signature", post(signature))
}

/// A merchant's wallet and the modules that are its.
pub(super) struct Owned {
    wallet: Option<Wallet>,
    modules: Vec<ModuleAddress>,
    /// Why the modules are not known.
    trouble: Option<String>,
}

impl Owned {
    /// Whether a wallet is connected.
    pub(super) fn has_wallet(&self) -> bool {
        self.wallet.is_some()
    }
}

pub(super) async fn owned(site: &Site, user: UserId) -> Result<Owned, Failure> {
    let merchants = &site.state.merchants;
    let wallet = merchants.wallet(user).await?;
    let (modules, trouble) = match merchants.modules(user).await {
        Ok(modules) => (modules, None),
        Err(Refusal::NoWallet) => (Vec::new(), None),
        Err(refusal @ Refusal::NodeUnavailable) => (Vec::new(), Some(refusal.to_string())),
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(Owned {
        wallet,
        modules,
        trouble,
    })
}

/// The wallet with its modules, or the way to connect one. Afterwards the page `next` is shown.
pub(super) fn panel(settings: &WebSettings, owned: &Owned, next: &str) -> Markup {
    html! {
        @if let Some(wallet) = owned.wallet {
            section.panel aria-labelledby="wallet-title" {
                h2 #wallet-title { "Your wallet" }
                p.row {
                    code title=(wallet) { (short(wallet)) }
                    span {
                        @match (&owned.trouble, owned.modules.len()) {
                            (Some(trouble), _) => (trouble),
                            (None, 0) => "owns no amser module that this bot has found. If you have one, paste its address on the page Plans and roles.",
                            (None, count) => { "owns " (counted(count as u64, "amser module")) "." },
                        }
                    }
                }
                details { summary { "Use another wallet" } (connect(settings, next)) }
            }
        } @else {
            section.panel.lead aria-labelledby="wallet-title" {
                h2 #wallet-title { "Connect the wallet that owns your plans" }
                p { "It is the wallet with which you made your plans on amser. You sign one message; that is free and moves nothing. Then you choose a role for each plan." }
                (connect(settings, next))
            }
        }
    }
}

/// The script shows the first part and works on it. The form below needs none.
fn connect(settings: &WebSettings, next: &str) -> Markup {
    let offer = settings.wallet_connect.as_ref();
    html! {
        div data-wallets data-next=(next) data-chain=(settings.chain_id) hidden
            data-project=[offer.map(|offer| &offer.project_id)]
            data-relay=[offer.map(|offer| &offer.relay_url)] {
            (announcements())
            (steps(offer, false))
        }
        details.manual {
            summary { "Sign somewhere else (a Safe, a hardware wallet, or without a browser wallet)" }
            form.stack method="post" action="/dashboard/wallet/challenge" {
                input type="hidden" name="next" value=(next);
                label {
                    "The wallet's address"
                    input name="address" required autocomplete="off" spellcheck="false" pattern="\\s*0x[0-9a-fA-F]{40}\\s*" placeholder="0x…";
                }
                button.button type="submit" { "Show the message to sign" }
            }
        }
    }
}

/// Only ever a page of the dashboard, so that nobody can be sent anywhere else.
fn own_path(next: &str) -> &str {
    let is_own = next == "/dashboard" || next.starts_with("/dashboard/");
    if is_own && !next.contains(['\\', '?', '#']) && !next.contains("//") {
        next
    } else {
        "/dashboard"
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn page(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
    Asked(Next { next }): Asked<Next>,
) -> Response {
    match owned(&site, session.user).await {
        Ok(owned) => {
            let inner = panel(site.settings(), &owned, own_path(&next));
            shell::plain(&site, StatusCode::OK, true, "Your wallet", &inner)
        }
        Err(failure) => shell::refused(&site, &failure, "/dashboard"),
    }
}

#[derive(Deserialize)]
struct Address {
    address: String,
    next: String,
}

async fn challenge(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
    Filled(Address { address, next }): Filled<Address>,
) -> Response {
    let next = own_path(&next);
    let message = match give_out(&site, session.user, &address, OPENED_SECONDS).await {
        Ok(message) => message,
        Err(failure) => return refused(&site, failure, next),
    };
    let inner = html! {
        form.panel.stack method="post" action="/dashboard/wallet/signature" {
            p { "Sign exactly this text with the wallet, as a personal message (EIP-191, EIP-1271 for a contract wallet). It works for an hour." }
            // Browsers strip the first line break after the tag, and the text has none there.
            label { "The message" textarea name="message" rows="16" readonly { (message) } }
            input type="hidden" name="next" value=(next);
            label {
                "The signature"
                input name="signature" required autocomplete="off" spellcheck="false" placeholder="0x…";
            }
            button.button.main type="submit" { "Connect this wallet" }
        }
    };
    shell::plain(&site, StatusCode::OK, true, "Sign this message", &inner)
}

#[derive(Deserialize)]
struct Signed {
    message: String,
    signature: String,
    next: String,
}

async fn signature(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
    Filled(Signed {
        message,
        signature,
        next,
    }): Filled<Signed>,
) -> Response {
    let next = own_path(&next);
    let body = SignatureRequest {
        // Forms send line breaks as CR LF; the text has LF alone.
        message: message.replace("\r\n", "\n"),
        signature: signature.trim().to_owned(),
    };
    match accept(&site, session.user, &body).await {
        Ok(_) => shell::done(&format!("{next}?done=wallet")),
        Err(failure) => refused(&site, failure, next),
    }
}

/// Unlike elsewhere, what is wrong with a signature is told here, by a page with a way back.
fn refused(site: &Site, failure: Failure, next: &str) -> Response {
    let inner = html! {
        section.panel.problem role="alert" { p { (failure.message()) } }
        p { a.button.main href={ "/dashboard/wallet?next=" (next) } { "Try again" } }
    };
    failure.log();
    shell::plain(
        site,
        failure.status(),
        true,
        "The wallet was not connected",
        &inner,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_dashboard_are_gone_on_with() {
        for own in ["/dashboard", "/dashboard/12/gates"] {
            assert_eq!(own_path(own), own);
        }
        for odd in [
            "",
            "//evil.example",
            "/dashboardx",
            "/dashboard//evil",
            "/dashboard/\\evil",
            "https://evil.example/dashboard",
            "/dashboard?x",
        ] {
            assert_eq!(own_path(odd), "/dashboard", "{odd}");
        }
    }
}
