//! The wallet page, and the question in a wallet's browser that continues it.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::wallet::{announcements, steps};
use super::{back_to_discord, frame, page, sign_in_button};
use crate::domain::{GuildId, Timestamp, Wallet};
use crate::web::error::WebError;
use crate::web::payment::PaymentNews;
use crate::web::profile::Profile;
use crate::web::standing::{NamedRole, Offer};
use crate::web::{WalletConnect, WebSettings};

/// Wallets with a browser of their own: name, and how their scheme opens a page (`handover.js` fills it in). Their web
/// addresses would tell the link to a third party.
const BROWSERS: [(&str, &str); 5] = [
    ("MetaMask", "metamask://dapp/{bare}"),
    ("Coinbase Wallet", "cbwallet://dapp?url={url}"),
    ("Trust Wallet", "trust://open_url?coin_id=60&url={url}"),
    ("OKX Wallet", "okx://wallet/dapp/url?dappUrl={url}"),
    ("Phantom", "phantom://browse/{url}?ref={origin}"),
];

/// What the wallet page shows.
pub(in crate::web) struct LinkPage<'a> {
    pub(in crate::web) token: &'a str,
    pub(in crate::web) profile: &'a Profile,
    pub(in crate::web) guild: GuildId,
    pub(in crate::web) csrf: Option<&'a str>,
    pub(in crate::web) chain_id: u64,
    /// Otherwise the visitor has to type the member's name.
    pub(in crate::web) has_sign_in: bool,
    /// It linked a wallet a while ago: only what came of it is shown.
    pub(in crate::web) is_used: bool,
    /// The payment that the visitor comes back with.
    pub(in crate::web) paid: Option<Paid<'a>>,
    /// What can be subscribed to.
    pub(in crate::web) offers: &'a [Offer],
    /// The member's wallets.
    pub(in crate::web) linked: &'a [Wallet],
    /// Until when the link works.
    pub(in crate::web) expires_at: Timestamp,
    pub(in crate::web) wallet_connect: Option<&'a WalletConnect>,
}

/// A payment on its way.
pub(in crate::web) struct Paid<'a> {
    /// As it stands in the address.
    pub(in crate::web) transaction: String,
    pub(in crate::web) news: &'a PaymentNews,
    /// The roles that Discord shows on the member, where the payment counts.
    pub(in crate::web) held: &'a [NamedRole],
}

/// The wallet page.
pub(in crate::web) fn link(settings: &WebSettings, shown: &LinkPage<'_>) -> Response {
    let profile = shown.profile;
    // There is nothing to link any more.
    let is_done = shown.is_used || shown.paid.as_ref().is_some_and(|paid| paid.news.linked);
    let inner = html! {
        main.card #verify data-csrf=[shown.csrf] data-chain=(shown.chain_id) data-guild=(shown.guild)
            data-server=(profile.server_name) data-used[is_done]
            data-payment=[shown.paid.as_ref().map(|paid| &paid.transaction)]
            data-username=[(!shown.has_sign_in).then_some(&profile.username)]
            data-project=[shown.wallet_connect.map(|offer| &offer.project_id)]
            data-relay=[shown.wallet_connect.map(|offer| &offer.relay_url)] {
            (server(shown.token, profile))
            p.note #payment role="status" hidden[shown.paid.is_none()] {
                @if let Some(paid) = &shown.paid { (paid.news.text) }
            }
            @if !is_done { (flow(shown)) }
            section #done aria-labelledby="done-title" hidden {
                p.mark.good aria-hidden="true" { "✓" }
                h1 #done-title tabindex="-1" {
                    @if is_done && !shown.is_used { "Your subscription" } @else { "Wallet linked" }
                }
                p.address #done-address {}
                // Above what comes later, which would move it away from under a press.
                (back_to_discord(Some(shown.guild)))
                div #outcome {
                    p #news role="status" {}
                    div #held {}
                }
            }
            noscript {
                @if let Some(paid) = &shown.paid { (without_script(paid)) }
                @if !is_done { p.problem { "This page talks to your wallet with JavaScript; please allow it and reload." } }
            }
        }
    };
    page(
        StatusCode::OK,
        frame(settings, "Link your wallet", &["verify.js"], &inner),
    )
}

/// How a payment is followed by reloading.
fn without_script(paid: &Paid<'_>) -> Markup {
    html! {
        @if paid.news.waits { p { "Reload this page to see how far it is." } }
        @if !paid.held.is_empty() {
            p { "You hold now:" }
            ul.roles { @for role in paid.held { li { (role.name) } } }
        } @else if paid.news.linked && !paid.news.waits {
            p { "Your role comes by itself; reload this page to see it." }
        }
    }
}

fn flow(shown: &LinkPage<'_>) -> Markup {
    let profile = shown.profile;
    html! {
        div #flow {
            h1 { "Link your wallet" }
            (member(Some(shown.token), profile))
            ul.facts #facts {
                li { "You sign one message. It costs nothing and moves nothing." }
                li {
                    "Your roles in " strong { (profile.server_name) }
                    ", and in every other server that uses this bot, then follow this wallet's subscriptions."
                }
                li { "This link works until " (moment(shown.expires_at)) "." }
            }
            details {
                summary { "What is kept, and who sees it" }
                p {
                    "We store the wallet's address, your Discord id, the signed message with the names in it, and the history of your role changes. "
                    code { "/privacy delete" } " removes all of it."
                }
                p { "Those who manage a server where this wallet pays can see its address; other members cannot." }
            }
            @if !shown.linked.is_empty() {
                details #linked {
                    summary { "Wallets that you have linked (" (shown.linked.len()) ")" }
                    ul.linked { @for wallet in shown.linked { li.address { (wallet) } } }
                }
            }
            @if !shown.has_sign_in { (name_check(profile)) }
            (announcements())
            (steps(shown.wallet_connect, !shown.has_sign_in))
            @if !shown.offers.is_empty() { (on_sale(shown.offers)) }
            (help(shown.has_sign_in))
            // Where this link turns out to be over.
            div #over hidden { (back_to_discord(Some(shown.guild))) }
        }
    }
}

/// A time of day; scripts show it in the visitor's own time zone.
fn moment(at: Timestamp) -> Markup {
    let at = i64::try_from(at.0).ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    html! {
        time datetime=(at.format(&Rfc3339).unwrap_or_default()) {
            (format!("{:02}:{:02} UTC", at.hour(), at.minute()))
        }
    }
}

/// A picture, or the first letter where there is none.
fn picture(address: Option<String>, name: &str) -> Markup {
    let letter: String = name.chars().take(1).collect();
    html! {
        @if let Some(address) = address {
            img.picture src=(address) alt="" width="48" height="48";
        } @else {
            span.picture aria-hidden="true" { (letter.to_uppercase()) }
        }
    }
}

fn server(token: &str, profile: &Profile) -> Markup {
    let icon = profile.server_icon.as_ref();
    let icon = icon.map(|_| format!("{token}/picture/server"));
    html! {
        p.server {
            (picture(icon, &profile.server_name))
            strong { (profile.server_name) }
        }
    }
}

/// The member; with the picture for those alone who are signed in (`token`), since it is served to nobody else.
fn member(token: Option<&str>, profile: &Profile) -> Markup {
    let avatar = token.filter(|_| profile.avatar.is_some());
    let avatar = avatar.map(|token| format!("{token}/picture/member"));
    html! {
        div.member {
            (picture(avatar, &profile.member_name))
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
            (not_yours(profile))
            label for="typed-name" { "Type the Discord name " b { (profile.username) } " to confirm that it is yours" }
            div.row {
                input #typed-name name="name" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                button.button.main type="submit" disabled { "This is me" }
            }
        }
    }
}

fn not_yours(profile: &Profile) -> Markup {
    html! {
        p {
            strong { "The membership goes to " (profile.member_name) " (@" (profile.username) ")." }
            " If that is not you, close this page: whoever sent you this link would get what your wallet paid for."
        }
    }
}

/// Where to subscribe. The checkout leads back to this page.
fn on_sale(offers: &[Offer]) -> Markup {
    html! {
        details.help #plans {
            summary { "I have not subscribed yet" }
            @for offer in offers {
                p {
                    strong { (offer.name) }
                    @if let Some(terms) = &offer.terms { ", " (terms) }
                    ", gives you " (offer.roles.join(", ")) ". "
                    a href=(offer.url) rel="noreferrer" { "Subscribe to " (offer.name) }
                }
            }
            p.fine { "After the payment the checkout leads back here: then link the wallet that paid." }
        }
    }
}

fn help(has_sign_in: bool) -> Markup {
    html! {
        details.help #phone {
            summary { "My wallet is on a phone or another device" }
            @if has_sign_in {
                p { "Continue in your wallet's own browser, without signing in to Discord there:" }
                p { button.button.wide #hand-over type="button" disabled { "Continue in a wallet's browser" } }
            }
            p.fine #handover-news role="status" {}
            div #browsers hidden[has_sign_in] {
                p { "Open this page in:" }
                ul.apps {
                    @for (name, scheme) in BROWSERS {
                        li { a href="#phone" data-opens=(scheme) { (name) } }
                    }
                }
                @if has_sign_in {
                    img.qr #handover-code alt="QR code that opens this page in a wallet's browser" width="220" height="220";
                }
                p { "For any other wallet, copy the link and paste it in the wallet's browser. Do not share it." }
                p { button.button.quiet #copy type="button" disabled { "Copy the link" } }
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

/// In a wallet's browser: whose link is continued. A code that was sent on would link the receiver's wallet to the sender's
/// account, so the visitor is asked.
pub(in crate::web) fn take_over(settings: &WebSettings, code: &str, profile: &Profile) -> Response {
    let inner = html! {
        main.card #take-over data-code=(code) {
            h1 { "Is this you?" }
            (member(None, profile))
            div.warning { (not_yours(profile)) }
            (announcements())
            p { button.button.main #continue type="button" disabled { "Yes, continue as @" (profile.username) } }
            p.fine { "This browser is then signed in for this link alone." }
            noscript { p.problem { "This page needs JavaScript; please allow it and reload." } }
        }
    };
    page(
        StatusCode::OK,
        frame(
            settings,
            "Continue linking your wallet",
            &["verify.js"],
            &inner,
        ),
    )
}

/// The code to continue with was used or is too old: the sign-in works here as well.
pub(in crate::web) fn handover_over(settings: &WebSettings, token: &str) -> Response {
    let error = WebError::HandoverOver;
    let inner = html! {
        main.card {
            p.mark aria-hidden="true" { "!" }
            h1 { "This link is no longer valid" }
            p { (error.message()) }
            (sign_in_button(token))
        }
    };
    page(
        error.status(),
        frame(settings, "This link is no longer valid", &[], &inner),
    )
}
