//! Everything that a visitor can be refused for: one code, one status, one sentence that says what to do next.

use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::siwe::Mismatch;
use crate::domain::{GuildId, SignatureVerdict};
use crate::store::Usable;

/// A refusal. Causes stay in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WebError {
    LinkUnknown,
    LinkExpired,
    LinkUsed,
    LinkReplaced,
    /// For a link.
    SignInRequired,
    NotSignedIn,
    /// Or one that the visitor does not manage.
    NoServer,
    OtherMember,
    /// The code that continues a link in another browser.
    HandoverOver,
    SignInDeclined,
    SignInStale,
    SignInFailed,
    /// `web.sign_in = "none"`.
    NoSignIn,
    ConnectDeclined,
    /// Discord did not say which server was chosen.
    NoServerChosen,
    /// In the server that was chosen.
    NeedsManageServer,
    /// From a server that the visitor manages.
    BotRemoved(GuildId),
    /// Discord shows it to nobody whom we know of.
    ServerDeleted,
    CrossOrigin,
    CsrfMissing,
    NotJson,
    BadRequest,
    BodyTooLarge,
    BadAddress,
    NameMismatch,
    ChallengeMissing,
    Message(Mismatch),
    NonceUsed,
    SignatureMalformed,
    SignatureOfAnotherKey,
    /// With the chain's id.
    WalletNotDeployed(u64),
    RefusedByContract,
    WalletOutOfGas,
    /// With the chain's id.
    ChainCannotCheck(u64),
    ChainUnavailable,
    DiscordUnavailable,
    MemberLeft,
    BotAbsent,
    TooManyWallets(usize),
    TooManyRequests(Duration),
    NotFound,
    MethodNotAllowed,
    NotReady(&'static str),
    /// `/metrics` and `/api/status`.
    ForMonitors,
    TookTooLong,
    Internal,
}

/// Beside a refusal: where the sign-in that failed begins again.
#[derive(Clone)]
pub(super) struct SignInAgain(pub(super) String);

impl WebError {
    /// For programs; stable.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::LinkUnknown => "link_unknown",
            Self::LinkExpired => "link_expired",
            Self::LinkUsed => "link_used",
            Self::LinkReplaced => "link_replaced",
            Self::SignInRequired | Self::NotSignedIn => "sign_in_required",
            Self::OtherMember => "other_member",
            Self::HandoverOver => "handover_expired",
            Self::SignInDeclined => "sign_in_declined",
            Self::SignInStale => "sign_in_stale",
            Self::SignInFailed => "sign_in_failed",
            Self::NoSignIn => "no_sign_in",
            Self::ConnectDeclined => "connect_declined",
            Self::NoServerChosen => "no_server_chosen",
            Self::NeedsManageServer => "needs_manage_server",
            Self::BotRemoved(_) => "bot_removed",
            Self::ServerDeleted => "server_deleted",
            Self::CrossOrigin => "cross_origin",
            Self::CsrfMissing => "csrf_missing",
            Self::NotJson => "not_json",
            Self::BadRequest => "bad_request",
            Self::BodyTooLarge => "body_too_large",
            Self::BadAddress => "bad_address",
            Self::NameMismatch => "name_mismatch",
            Self::ChallengeMissing => "challenge_missing",
            Self::Message(Mismatch::TooLong) => "message_too_long",
            Self::Message(Mismatch::NotSiwe) => "message_malformed",
            Self::Message(Mismatch::Domain) => "other_domain",
            Self::Message(Mismatch::Uri) => "other_uri",
            Self::Message(Mismatch::ChainId) => "other_chain",
            Self::Message(Mismatch::Expired) => "message_expired",
            Self::Message(Mismatch::Address) => "other_address",
            Self::Message(Mismatch::Nonce) => "nonce_unknown",
            Self::Message(Mismatch::RequestId) => "other_request",
            Self::Message(Mismatch::Statement) => "statement_edited",
            Self::Message(Mismatch::Edited) => "message_edited",
            Self::NonceUsed => "nonce_used",
            Self::SignatureMalformed | Self::WalletNotDeployed(_) => "signature_malformed",
            Self::SignatureOfAnotherKey => "signature_of_another_key",
            Self::RefusedByContract | Self::WalletOutOfGas => "refused_by_contract",
            Self::ChainUnavailable | Self::ChainCannotCheck(_) => "chain_unavailable",
            Self::DiscordUnavailable => "discord_unavailable",
            Self::MemberLeft => "member_left",
            Self::BotAbsent => "bot_absent",
            Self::TooManyWallets(_) => "too_many_wallets",
            Self::TooManyRequests(_) => "too_many_requests",
            Self::NotFound | Self::NoServer => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotReady(_) => "not_ready",
            Self::ForMonitors => "monitor_token_required",
            Self::TookTooLong => "took_too_long",
            Self::Internal => "internal",
        }
    }

    /// One sentence for a person.
    pub(super) fn message(self) -> String {
        const AGAIN: &str = "Get a new message to sign, and sign it unchanged.";
        match self {
            Self::LinkUnknown => "This link is not known here; run /verify in your Discord server to get a new one.".to_owned(),
            Self::LinkExpired => "This link has expired; run /verify in your Discord server to get a new one.".to_owned(),
            Self::LinkUsed => "This link has already linked a wallet; run /verify again to link another.".to_owned(),
            Self::LinkReplaced => "You ran /verify again or went on in another browser, so this older link no longer works; use the newest one.".to_owned(),
            Self::SignInRequired => "Sign in with Discord first, as the member who ran /verify; your sign-in may have expired.".to_owned(),
            Self::NotSignedIn => "Sign in with Discord first; your sign-in may have expired.".to_owned(),
            Self::NoServer => "There is no such server or mapping, or it is not yours to manage; choose one of your servers in the dashboard.".to_owned(),
            Self::OtherMember => "This link was made for another Discord account; run /verify yourself, or sign in with the account that ran it.".to_owned(),
            Self::HandoverOver => "The link for your wallet's browser works once and for two minutes, and is over; press \"Continue in a wallet's browser\" again for a new one, or sign in here.".to_owned(),
            Self::SignInDeclined => "You did not allow the sign-in with Discord; sign in to try again.".to_owned(),
            Self::SignInStale => "This sign-in began in another browser, such as the one inside the Discord app, or too long ago; sign in here to continue in this browser.".to_owned(),
            Self::SignInFailed => "Discord did not confirm the sign-in; try again in a moment.".to_owned(),
            Self::NoSignIn => "This service runs without a sign-in, so it has no dashboard and connects no servers; ask its operator to set one up (web.sign_in).".to_owned(),
            Self::ConnectDeclined => "You did not add the bot, so no server was connected; choose a server to try again.".to_owned(),
            Self::NoServerChosen => "Discord did not say which server you chose, so none was connected; choose it again.".to_owned(),
            Self::NeedsManageServer => "You need the permission \"Manage Server\" in the server that you chose; ask its owner for it, or choose another server.".to_owned(),
            Self::BotRemoved(_) => "The bot was removed from this server; add it again, and the mappings that were set up here work again.".to_owned(),
            Self::ServerDeleted => "This server was deleted, or you left it: Discord shows it neither to you nor to the bot; choose another server.".to_owned(),
            Self::CrossOrigin => "Another site sent this request, so it was refused; go back to the page that you came from and try again there.".to_owned(),
            Self::CsrfMissing => "The request did not prove that it came from this page; reload the page and try again.".to_owned(),
            Self::NotJson => "Send the request as application/json.".to_owned(),
            Self::BadRequest => "This request could not be read; reload the page and try again.".to_owned(),
            Self::BodyTooLarge => "The request is too large; a signature and its message fit in 64 KiB.".to_owned(),
            Self::BadAddress => "This is not an Ethereum address; connect your wallet again.".to_owned(),
            Self::NameMismatch => "The name you typed is not the Discord name shown on the page; check whose account this link is for.".to_owned(),
            Self::ChallengeMissing => format!("No message to sign was asked for yet. {AGAIN}"),
            Self::Message(Mismatch::TooLong) => "The signed message is longer than 8 KiB, which none of ours is; sign the one shown on the page.".to_owned(),
            Self::Message(Mismatch::NotSiwe) => format!("The signed text is not a Sign-In with Ethereum message. {AGAIN}"),
            Self::Message(Mismatch::Domain) => "The signed message is for another site; check the address of this page and sign the message shown here.".to_owned(),
            Self::Message(Mismatch::Uri) => format!("The signed message is for another page. {AGAIN}"),
            Self::Message(Mismatch::ChainId) => format!("The signed message is for another chain. {AGAIN}"),
            Self::Message(Mismatch::Expired) => format!("The signed message has expired. {AGAIN}"),
            Self::Message(Mismatch::Address) => format!("The signed message is for another wallet than the connected one. {AGAIN}"),
            Self::Message(Mismatch::Nonce) => format!("The signed message was not given out for this link. {AGAIN}"),
            Self::Message(Mismatch::RequestId) => format!("The signed message belongs to another link. {AGAIN}"),
            Self::Message(Mismatch::Statement) => format!("What the message says was changed. {AGAIN}"),
            Self::Message(Mismatch::Edited) => format!("The signed message differs from the one given out. {AGAIN}"),
            Self::NonceUsed => format!("This message was already used or replaced by a newer one. {AGAIN}"),
            Self::SignatureMalformed => "This is not a signature that a wallet makes; sign the message again.".to_owned(),
            Self::SignatureOfAnotherKey => "Another account signed than the connected one; choose the right account in your wallet and sign again. If the connected one is a smart wallet that was never used on this network, it is not deployed yet: send a first transaction from it.".to_owned(),
            Self::WalletNotDeployed(chain_id) => format!("There is no smart wallet at your address on this network (chain {chain_id}), and this signature could not create it there; send a first transaction from your wallet on this network, then sign again."),
            Self::RefusedByContract => "Your smart wallet did not confirm the signature; check that it is on the right network and sign again.".to_owned(),
            Self::WalletOutOfGas => "Your smart wallet used more gas to check the signature than a check may use (3 million), so it could not be confirmed; link another wallet, or tell those who run this server.".to_owned(),
            Self::ChainCannotCheck(chain_id) => format!("This network (chain {chain_id}) cannot run the check that smart wallets need, so only ordinary wallets can be linked."),
            Self::ChainUnavailable => "The chain cannot be asked about your wallet right now, so nothing was linked; try again in a moment.".to_owned(),
            Self::DiscordUnavailable => "Discord cannot be reached right now; try again in a moment.".to_owned(),
            Self::MemberLeft => "You are not a member of this server any more; join it again, and run /verify there to get a new link.".to_owned(),
            Self::BotAbsent => "The bot is not in this server any more; ask those who run the server to add it again, then run /verify there.".to_owned(),
            Self::TooManyWallets(limit) => format!("You already have {limit} wallets linked, which is the limit; remove one with /unlink and try again."),
            Self::TooManyRequests(wait) => format!("Too many requests; wait {} s and try again.", seconds(wait)),
            Self::NotFound => "There is nothing at this address; run /verify in your Discord server to get a link.".to_owned(),
            Self::MethodNotAllowed => "This address does not take such a request; go back to the page that you came from and try again there.".to_owned(),
            Self::NotReady(why) => why.to_owned(),
            Self::ForMonitors => "This is for monitors: ask from the machine itself, or send the token of AMSER_ROLES_MONITOR_TOKEN as bearer.".to_owned(),
            Self::TookTooLong => "This took too long and was given up; try again in a moment.".to_owned(),
            Self::Internal => "Something went wrong on our side; try again in a moment.".to_owned(),
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::LinkUnknown
            | Self::NotFound
            | Self::NoServer
            | Self::NoSignIn
            | Self::BotRemoved(_)
            | Self::ServerDeleted => StatusCode::NOT_FOUND,
            Self::LinkExpired | Self::LinkUsed | Self::LinkReplaced | Self::HandoverOver => {
                StatusCode::GONE
            }
            Self::SignInRequired | Self::NotSignedIn | Self::ForMonitors => {
                StatusCode::UNAUTHORIZED
            }
            Self::OtherMember | Self::CrossOrigin | Self::CsrfMissing | Self::NeedsManageServer => {
                StatusCode::FORBIDDEN
            }
            Self::SignInDeclined
            | Self::ConnectDeclined
            | Self::SignInStale
            | Self::BadRequest
            | Self::BadAddress
            | Self::NameMismatch
            | Self::SignatureMalformed
            | Self::WalletNotDeployed(_)
            | Self::Message(Mismatch::NotSiwe) => StatusCode::BAD_REQUEST,
            Self::SignInFailed | Self::NoServerChosen => StatusCode::BAD_GATEWAY,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge | Self::Message(Mismatch::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ChallengeMissing
            | Self::NonceUsed
            | Self::MemberLeft
            | Self::BotAbsent
            | Self::TooManyWallets(_) => StatusCode::CONFLICT,
            Self::Message(_)
            | Self::SignatureOfAnotherKey
            | Self::RefusedByContract
            | Self::WalletOutOfGas => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ChainUnavailable
            | Self::ChainCannotCheck(_)
            | Self::DiscordUnavailable
            | Self::TookTooLong
            | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Sets what a refusal needs beside its body.
    fn set_status_and_retry_after(self, response: &mut Response) {
        *response.status_mut() = self.status();
        let wait = match self {
            Self::TooManyRequests(wait) => seconds(wait),
            Self::ChainUnavailable | Self::DiscordUnavailable => 2,
            _ => return,
        };
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(wait));
    }
}

/// Whole seconds, rounded up, so that whoever waits that long is let in.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code(), "message": self.message() } });
        let mut response = Json(body).into_response();
        self.set_status_and_retry_after(&mut response);
        // For `layers::show_refusals`.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<anyhow::Error> for WebError {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a request failed");
        Self::Internal
    }
}

/// A link that does not work, by its reason; `Ok` for one that does.
pub(super) fn link_works(usable: Usable) -> Result<(), WebError> {
    match usable {
        Usable::Yes => Ok(()),
        Usable::Unknown => Err(WebError::LinkUnknown),
        Usable::Expired => Err(WebError::LinkExpired),
        Usable::Used => Err(WebError::LinkUsed),
        Usable::Replaced => Err(WebError::LinkReplaced),
    }
}

/// `Ok` for the one verdict that lets a link through. `chain_id` is where contract wallets are asked.
pub(super) fn signature_holds(verdict: SignatureVerdict, chain_id: u64) -> Result<(), WebError> {
    match verdict {
        SignatureVerdict::Valid => Ok(()),
        SignatureVerdict::OtherKey => Err(WebError::SignatureOfAnotherKey),
        SignatureVerdict::Malformed => Err(WebError::SignatureMalformed),
        SignatureVerdict::NotDeployed => Err(WebError::WalletNotDeployed(chain_id)),
        SignatureVerdict::RefusedByContract => Err(WebError::RefusedByContract),
        SignatureVerdict::OutOfGas => Err(WebError::WalletOutOfGas),
        SignatureVerdict::CannotCheck => Err(WebError::ChainCannotCheck(chain_id)),
        SignatureVerdict::Unavailable => Err(WebError::ChainUnavailable),
    }
}
