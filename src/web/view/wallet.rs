//! Choosing a wallet and signing with it: the markup that `signing.js` works on.

use maud::{Markup, html};

use crate::web::WalletConnect;

/// The apps that a WalletConnect code can be handed to on this device, by their own schemes: their web addresses would be
/// asked of a third party.
const WALLETCONNECT_APPS: [(&str, &str); 5] = [
    ("MetaMask", "metamask://"),
    ("Rainbow", "rainbow://"),
    ("Trust Wallet", "trust://"),
    ("Uniswap Wallet", "uniswap://"),
    ("Zerion", "zerion://"),
];

/// What is said at every step, above the steps: both regions are always there, since assistive technology announces only
/// changes of regions that it knows.
pub(in crate::web) fn announcements() -> Markup {
    html! {
        p.status #status role="status" {}
        p.problem #problem role="alert" tabindex="-1" {}
    }
}

/// The steps: choose, scan where WalletConnect is offered, sign. `starts_hidden`: something else comes first.
pub(in crate::web) fn steps(offer: Option<&WalletConnect>, starts_hidden: bool) -> Markup {
    html! {
        section #choose aria-labelledby="choose-title" hidden[starts_hidden] {
            h2 #choose-title tabindex="-1" { "Choose your wallet" }
            ul.wallets #wallets {}
            p.fine #searching role="status" { "Looking for wallets in this browser…" }
            @if offer.is_some() {
                button.button.wide #walletconnect type="button" disabled { "WalletConnect: a wallet on your phone" }
            }
        }
        @if offer.is_some() { (scan()) }
        section #account aria-labelledby="account-title" hidden {
            h2 #account-title tabindex="-1" { "Sign with this wallet" }
            p.wallet { img #account-icon alt="" hidden; span #account-name {} }
            p.address #account-address {}
            p.note #linked-already hidden { "This wallet is already linked to your account; signing again changes nothing." }
            p.note #moves hidden {
                "This wallet is linked to another Discord account. If you sign, it moves to yours, and the other account loses the roles that it had from it."
            }
            p.note #network hidden {}
            button.button.quiet #switch type="button" disabled hidden {}
            details { summary { "The exact message" } pre #message tabindex="0" {} }
            div.row {
                button.button.main #sign type="button" disabled aria-describedby="linked-already moves network valid" { "Sign message" }
                button.button.quiet #back type="button" disabled { "Other wallet" }
            }
            p.fine #valid {}
        }
    }
}

/// Shown while a wallet on another device is awaited.
fn scan() -> Markup {
    html! {
        section #scan aria-labelledby="scan-title" hidden {
            h2 #scan-title tabindex="-1" { "Scan this with your wallet" }
            img.qr #code alt="QR code that connects your wallet" width="280" height="280";
            p { "If the wallet is on this device, open it here instead:" }
            ul.apps {
                @for (name, scheme) in WALLETCONNECT_APPS {
                    li { a href="#scan" data-scheme=(scheme) { (name) } }
                }
                li { a #open-wallet href="#scan" { "Another app" } }
            }
            p.fine { "What your wallet answers passes, encrypted, through WalletConnect's relay." }
            div.row {
                button.button.quiet #copy-code type="button" disabled { "Copy the code" }
                button.button.quiet #scan-back type="button" disabled { "Other wallet" }
            }
        }
    }
}
