//! Sign-In with Ethereum (ERC-4361): the one text that a member is asked to sign, and every check of what comes back.
//!
//! <https://eips.ethereum.org/EIPS/eip-4361>. The `siwe` crate parses and writes; its own verification treats an absent
//! domain or nonce as "not checked", so none of it is used.

use siwe::Message;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use url::Url;

use super::link::under;
use crate::domain::{Timestamp, Wallet};

/// Longest text that is looked at, in bytes.
pub(super) const LONGEST_MESSAGE: usize = 8 * 1024;

/// What the text says beyond the standard's fixed words. Nothing here is optional.
#[derive(Clone, Debug)]
pub(super) struct Terms<'a> {
    /// Where the page lives; gives domain and URI.
    pub(super) public_url: &'a Url,
    /// Whose signature is asked for.
    pub(super) wallet: Wallet,
    /// What the member agrees to, see [`plain`].
    pub(super) statement: String,
    /// The chain on which contract wallets are asked.
    pub(super) chain_id: u64,
    /// Single use, alphanumeric.
    pub(super) nonce: &'a str,
    /// Names the link without giving it away.
    pub(super) request_id: String,
    /// Now.
    pub(super) issued_at: Timestamp,
    /// The first second in which it no longer works.
    pub(super) expires_at: Timestamp,
}

/// Why a text is not the one that was given out. In the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// Longer than [`LONGEST_MESSAGE`].
    TooLong,
    /// Not an ERC-4361 message.
    NotSiwe,
    /// For another site.
    Domain,
    /// For another page.
    Uri,
    /// For another chain.
    ChainId,
    /// Its time is over, or it names none.
    Expired,
    /// By another wallet.
    Address,
    /// Another nonce.
    Nonce,
    /// For another link.
    RequestId,
    /// Another statement.
    Statement,
    /// Any other difference, be it one space.
    Edited,
}

/// The host, with its port unless it is the scheme's own (RFC 3986 authority).
pub(super) fn domain(public_url: &Url) -> String {
    let host = public_url.host_str().unwrap_or_default();
    match public_url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn uri(public_url: &Url) -> String {
    under(public_url, "verify").into()
}

/// A name as the standard allows it in a statement: its letters, digits and marks; anything else becomes `_`.
pub(super) fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .take(100)
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    plain.trim().to_owned()
}

/// Writes the text to sign.
///
/// # Errors
/// When the public URL has no host, or a time is beyond the year 9999.
pub(super) fn write(terms: &Terms<'_>) -> anyhow::Result<String> {
    let moment = |at: Timestamp| -> anyhow::Result<siwe::TimeStamp> {
        Ok(OffsetDateTime::from_unix_timestamp(i64::try_from(at.0)?)?.into())
    };
    let message = Message {
        domain: domain(terms.public_url).parse()?,
        address: terms.wallet.0.into(),
        statement: Some(terms.statement.clone()),
        uri: uri(terms.public_url).parse()?,
        version: siwe::Version::V1,
        chain_id: terms.chain_id,
        nonce: terms.nonce.to_owned(),
        issued_at: moment(terms.issued_at)?,
        expiration_time: Some(moment(terms.expires_at)?),
        not_before: None,
        request_id: Some(terms.request_id.clone()),
        resources: Vec::new(),
    };
    let text = message.to_string();
    anyhow::ensure!(parse(&text).is_some(), "the text to sign breaks ERC-4361");
    Ok(text)
}

/// A text as the standard has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// `https` in `https://example.com wants you to sign in …`; ours has none.
    scheme: Option<String>,
    message: Message,
}

/// Parses a text as the standard has it; stricter than the crate, which lets a filled line pass where an empty one
/// belongs, and any nonce of eight bytes; and more complete, since the crate does not know the scheme.
pub(super) fn parse(text: &str) -> Option<Parsed> {
    let first = text.split('\n').next().unwrap_or_default();
    let (scheme, rest) = match first.split_once("://") {
        Some((scheme, after)) => (Some(scheme), &text[first.len() - after.len()..]),
        None => (None, text),
    };
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let message: Message = rest.parse().ok()?;
    let statement_fits = message
        .statement
        .as_ref()
        .is_none_or(|statement| statement.chars().all(is_plain));
    let nonce_fits = message.nonce.bytes().all(|b| b.is_ascii_alphanumeric());
    // Whatever the crate overlooked comes out different when it is written again. It leaves a list without resources out,
    // which the standard allows.
    let written = message.to_string();
    let without_list = rest.strip_suffix("\nResources:");
    let same = written == rest || without_list.is_some_and(|rest| written == rest);
    (scheme.is_none_or(is_scheme) && statement_fits && nonce_fits && same).then(|| Parsed {
        scheme: scheme.map(str::to_owned),
        message,
    })
}

/// The characters of a statement (the standard's `reserved`, `unreserved` and the space).
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " -._~:/?#[]@!$&'()*+,;=".contains(c)
}

/// Compares a text that came back with the one that was given out to this link, field by field so that each difference
/// has its own name, then as a whole.
///
/// # Errors
/// The first [`Mismatch`].
pub(super) fn check(given_out: &str, came_back: &str, now: Timestamp) -> Result<(), Mismatch> {
    if came_back.len() > LONGEST_MESSAGE {
        return Err(Mismatch::TooLong);
    }
    let back = parse(came_back).ok_or(Mismatch::NotSiwe)?;
    let out = parse(given_out).ok_or(Mismatch::Edited)?;
    let same_scheme = back.scheme == out.scheme;
    let (back, out) = (back.message, out.message);
    let unless = |same: bool, mismatch| if same { Ok(()) } else { Err(mismatch) };
    unless(same_scheme && back.domain == out.domain, Mismatch::Domain)?;
    unless(back.uri == out.uri, Mismatch::Uri)?;
    unless(back.chain_id == out.chain_id, Mismatch::ChainId)?;
    unless(is_live(&back, now), Mismatch::Expired)?;
    unless(back.address == out.address, Mismatch::Address)?;
    unless(same(&back.nonce, &out.nonce), Mismatch::Nonce)?;
    unless(back.request_id == out.request_id, Mismatch::RequestId)?;
    unless(back.statement == out.statement, Mismatch::Statement)?;
    unless(same(came_back, given_out), Mismatch::Edited)
}

/// Whether the text's own times allow it now. One without an end is never live.
fn is_live(message: &Message, now: Timestamp) -> bool {
    let Some(now) = i64::try_from(now.0)
        .ok()
        .and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok())
    else {
        return false;
    };
    let ends = message.expiration_time.as_ref();
    let starts = message.not_before.as_ref();
    ends.is_some_and(|end| now < *end.as_ref()) && starts.is_none_or(|start| now >= *start.as_ref())
}

fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// The nonce that a text names, for telling a used one from an unknown one.
pub(super) fn nonce(text: &str) -> Option<String> {
    parse(text).map(|parsed| parsed.message.nonce)
}

/// The address and the statement that a text names.
pub(super) fn address_and_statement(text: &str) -> Option<(Wallet, String)> {
    let message = parse(text)?.message;
    Some((Wallet(message.address.into()), message.statement?))
}

#[cfg(test)]
mod tests;
