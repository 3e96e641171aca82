//! `/privacy`: everything stored about a member, shown to them or deleted.

use serde_json::{Value, json};

use super::answer::{Answer, Button};
use super::ids;
use super::running::Data;
use crate::domain::{
    ActEntry, ActiveQuestion, Applied, CheckRow, DirectMessages, Grant, GuildId, JournalEntry,
    Link, LinkEnd, ModuleAddress, START_NOTICES, STOP_NOTICES, SubscriptionId, Timestamp, UserId,
    Wallet,
};
use crate::store::{
    Challenge, LinkRequest, MerchantWallet, Notice, RequestState, ServerRecord, Session, Store,
};
use crate::text;

/// The name of the attached file.
const EXPORT: &str = "export.json";

pub(super) async fn export(commands: Data, user: UserId) -> anyhow::Result<Answer> {
    let (stored, messages) = commands
        .with_store(move |store| Ok((everything(store, user)?, store.direct_messages(user)?)))
        .await?;
    let stored = serde_json::to_vec_pretty(&stored)?;
    let is_on = !messages.opted_out;
    let said = format!(
        "{}\n{}",
        text::export(),
        text::notices_state(messages.opted_out)
    );
    let answer = Answer::text(said).attach(EXPORT, stored);
    Ok(answer.with([notices_button(is_on)]))
}

/// The button that switches direct messages.
fn notices_button(is_on: bool) -> Button {
    let (label, id) = match is_on {
        true => (text::stop_notices_button(), STOP_NOTICES),
        false => (text::start_notices_button(), START_NOTICES),
    };
    ids::press(label, id.to_owned(), false)
}

/// The member wants no direct messages any more, or wants them again.
pub(super) async fn switch_notices(
    commands: Data,
    user: UserId,
    on: bool,
) -> anyhow::Result<Answer> {
    commands
        .with_store(move |store| store.opt_out(user, !on))
        .await?;
    Ok(Answer::text(text::notices_switched(on)).with([notices_button(on)]))
}

pub(super) async fn forget(commands: Data, user: UserId) -> anyhow::Result<Answer> {
    let wallets = commands
        .with_store(move |store| store.forget_member(user))
        .await?;
    Ok(Answer::text(text::forgotten(wallets)))
}

fn everything(store: &Store, user: UserId) -> anyhow::Result<Value> {
    let links: Vec<_> = store.links_of(user)?.iter().map(link).collect();
    let requests: Vec<_> = store.requests_of(user)?.iter().map(request).collect();
    let challenges: Vec<_> = store.challenges_of(user)?.iter().map(challenge).collect();
    let sessions: Vec<_> = store.sessions_of(user)?.iter().map(session).collect();
    let notices = store.notices_of(user)?;
    let notices: Vec<_> = notices.iter().map(notice).collect();
    let warned = store.warned_of(user)?;
    let warned: Vec<_> = warned.iter().map(warning).collect();
    let seen_in = store.seen_in(user)?;
    let acts: Vec<_> = store.acts_by(user)?.iter().map(act).collect();
    let mut connected = store.connected_servers()?;
    connected.retain(|_, server| server.by == user);
    let connected: Vec<_> = connected.iter().map(connected_server).collect();
    let ended = store.ended_links_of(user)?;
    let ended: Vec<_> = ended.iter().map(ended_link).collect();
    let grants = store.grants_of(user)?;
    let grants: Vec<_> = grants.iter().map(grant).collect();
    let roles: Vec<_> = store.applied_of(user)?.iter().map(applied).collect();
    let checks = store.checks_of(&store.wallets_of(user)?)?;
    let checks: Vec<_> = checks.iter().map(check).collect();
    let mut journal = store.journal_of(user, usize::MAX)?;
    journal.reverse();
    let journal: Vec<_> = journal.iter().map(entry).collect();
    Ok(json!({
        "user_id": user,
        "wallets": links,
        "verify_links": requests,
        "texts_to_sign": challenges,
        "sign_ins": sessions,
        "moved_wallets_to_tell": notices,
        "direct_messages": direct_messages(&store.direct_messages(user)?),
        "warned_of": warned,
        "checks": checks,
        "ended_links": ended,
        "seen_in": seen_in,
        "in_no_server_since": store.absent_since(user)?.map(|since| since.to_string()),
        "merchant_wallet": store.merchant_wallet(user)?.as_ref().map(merchant_wallet),
        "merchant_modules": store.modules_of_merchant(user)?,
        "connected_servers": connected,
        "acts": acts,
        "roles": roles,
        "given_for_a_time": grants,
        "journal": journal,
    }))
}

fn link(link: &Link) -> Value {
    json!({
        "wallet": link.wallet,
        "linked_at": link.linked_at.to_string(),
        "message": link.proof.as_ref().map(|(message, _)| message),
        "signature": link.proof.as_ref().map(|(_, signature)| format!("0x{}", hex::encode(signature))),
    })
}

/// What second sources said of a wallet.
fn check((question, row): &(ActiveQuestion, CheckRow)) -> Value {
    json!({
        "wallet": question.wallet,
        "module": question.module,
        "plan_id": question.plan,
        "api": row.api,
        "contract_answered_at": row.contract_at.map(|at| at.to_string()),
    })
}

fn merchant_wallet(shown: &MerchantWallet) -> Value {
    json!({
        "wallet": shown.wallet,
        "shown_at": shown.at.to_string(),
        "message": shown.message,
        "signature": format!("0x{}", hex::encode(&shown.signature)),
    })
}

fn connected_server((guild, server): (&GuildId, &ServerRecord)) -> Value {
    json!({ "guild_id": guild, "at": server.at.to_string() })
}

fn request(request: &LinkRequest) -> Value {
    json!({
        "guild_id": request.guild,
        "expires_at": request.expires_at.to_string(),
        "state": request.state,
    })
}

/// An open one without its text, which holds the nonce: whoever reads the export over a shoulder must not be able to use
/// it.
fn challenge(challenge: &Challenge) -> Value {
    let is_over = challenge.state != RequestState::Open;
    json!({
        "wallet": challenge.wallet,
        "expires_at": challenge.expires_at.to_string(),
        "state": challenge.state,
        "message": is_over.then_some(&challenge.message),
    })
}

fn session(session: &Session) -> Value {
    json!({
        "expires_at": session.expires_at.to_string(),
        "servers": session.servers,
    })
}

fn notice(notice: &Notice) -> Value {
    json!({
        "wallet": notice.wallet,
        "moved_at": notice.moved_at.to_string(),
    })
}

fn direct_messages(messages: &DirectMessages) -> Value {
    json!({
        "opted_out": messages.opted_out,
        "closed_until": messages.closed_until.to_string(),
        "channel_id": messages.channel,
    })
}

fn warning((module, subscription, due_at): &(ModuleAddress, SubscriptionId, Timestamp)) -> Value {
    json!({
        "module": module,
        "subscription": subscription.to_string(),
        "due_at": due_at.to_string(),
    })
}

fn act(entry: &ActEntry) -> Value {
    json!({
        "at": entry.at.to_string(),
        "guild_id": entry.guild,
        "act": entry.act,
    })
}

/// Kept while a role is left that the wallet gave.
fn ended_link((wallet, end): &(Wallet, LinkEnd)) -> Value {
    json!({
        "wallet": wallet,
        "end": match end {
            LinkEnd::Unlinked => "unlinked",
            LinkEnd::Moved => "linked_by_another_member",
        },
    })
}

fn grant(grant: &Grant) -> Value {
    let terms = &grant.terms;
    json!({
        "guild_id": grant.guild,
        "role_id": grant.role,
        "by": terms.by,
        "at": terms.at.to_string(),
        "until": terms.until.to_string(),
        "reason": terms.reason,
    })
}

fn applied(applied: &Applied) -> Value {
    json!({
        "guild_id": applied.guild,
        "role_id": applied.role,
        "state": applied.state,
        "cause": applied.cause,
    })
}

fn entry(entry: &JournalEntry) -> Value {
    json!({
        "at": entry.at.to_string(),
        "block": entry.block,
        "action": entry.change.action,
        "guild_id": entry.change.guild,
        "role_id": entry.change.role,
        "cause": entry.change.cause,
        "outcome": entry.outcome,
    })
}
