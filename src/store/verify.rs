//! `/verify` links and the texts to sign: made, replaced, used once, forgotten.
//!
//! A link is known by the SHA-256 of its token alone, so that whoever reads the file cannot open one.

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::links::link_within;
use super::tables::{CHALLENGES, FORGET_AT, LINK_REQUESTS, LINKS, NEWEST_REQUEST};
use super::{LinkOutcome, Store};
use crate::domain::{GuildId, Link, Timestamp, UserId, Wallet};

/// How long a row outlives its expiry, so that a late visitor learns what happened. Seconds.
const REMEMBERED: u64 = 3600;

/// Rows forgotten with each new one: more than one, so that the tables shrink after a rush.
const FORGOTTEN_AT_ONCE: usize = 16;

/// One run of `/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRequest {
    /// Who ran it.
    pub user: UserId,
    /// Where.
    pub guild: GuildId,
    /// The first second in which it no longer works.
    pub expires_at: Timestamp,
    /// Whether it was used or replaced.
    pub state: RequestState,
    /// The nonce of the newest challenge.
    pub nonce: Option<String>,
}

/// What became of a link or a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    /// Not used yet.
    Open,
    /// It linked a wallet.
    Used,
    /// A newer one took its place.
    Replaced,
}

/// Whether a link or challenge still works, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It works.
    Yes,
    /// There is none (any more).
    Unknown,
    /// Its time is over.
    Expired,
    /// It linked a wallet.
    Used,
    /// A newer one took its place.
    Replaced,
}

/// A text that a wallet is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// SHA-256 of the token of the link it belongs to.
    pub request: [u8; 32],
    /// Single use.
    pub nonce: String,
    /// Who shall sign.
    pub wallet: Wallet,
    /// The exact ERC-4361 text.
    pub message: String,
    /// The first second in which it no longer works.
    pub expires_at: Timestamp,
    /// Whether it was used or replaced.
    pub state: RequestState,
}

/// What came of [`Store::complete_request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// The wallet belongs to the member now, and link and challenge are used up.
    Linked(LinkOutcome),
    /// The link does not work (any more); nothing changed.
    Request(Usable),
    /// The challenge does not work (any more); nothing changed.
    Challenge(Usable),
}

impl LinkRequest {
    /// Whether it works at `now`.
    pub fn usable(&self, now: Timestamp) -> Usable {
        usable(self.state, self.expires_at, now)
    }
}

impl Challenge {
    /// Whether it works at `now`.
    pub fn usable(&self, now: Timestamp) -> Usable {
        usable(self.state, self.expires_at, now)
    }
}

fn usable(state: RequestState, expires_at: Timestamp, now: Timestamp) -> Usable {
    match state {
        RequestState::Used => Usable::Used,
        RequestState::Replaced => Usable::Replaced,
        RequestState::Open if now >= expires_at => Usable::Expired,
        RequestState::Open => Usable::Yes,
    }
}

impl Store {
    /// Opens a link for a member in a server; an older one of theirs stops working. `request` is the SHA-256 of its
    /// token.
    pub fn open_request(
        &self,
        request: &[u8; 32],
        user: UserId,
        guild: GuildId,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut newest = transaction.open_table(NEWEST_REQUEST)?;
            let older = newest
                .insert((user.0, guild.0), request)?
                .map(|key| *key.value());
            if let Some(older) = older {
                let row = read(requests.get(&older)?)?;
                if let Some(mut row) =
                    row.filter(|row: &LinkRequest| row.state == RequestState::Open)
                {
                    row.state = RequestState::Replaced;
                    requests.insert(&older, encode(&row).as_slice())?;
                }
            }
            let row = LinkRequest {
                user,
                guild,
                expires_at,
                state: RequestState::Open,
                nonce: None,
            };
            requests.insert(request, encode(&row).as_slice())?;
        }
        forget_old(&transaction, now)?;
        remember_until(&transaction, expires_at, request)?;
        transaction.commit()?;
        Ok(())
    }

    /// A link by the SHA-256 of its token.
    pub fn request(&self, request: &[u8; 32]) -> anyhow::Result<Option<LinkRequest>> {
        let transaction = self.database.begin_read()?;
        read(transaction.open_table(LINK_REQUESTS)?.get(request)?)
    }

    /// Stores the text that a wallet shall sign; an older one of the same link stops working. Whether the link works:
    /// if not, nothing is stored.
    pub fn put_challenge(&self, challenge: &Challenge, now: Timestamp) -> anyhow::Result<Usable> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut challenges = transaction.open_table(CHALLENGES)?;
            let row: Option<LinkRequest> = read(requests.get(&challenge.request)?)?;
            let Some(mut row) = row else {
                return Ok(Usable::Unknown);
            };
            match row.usable(now) {
                Usable::Yes => {}
                other => return Ok(other),
            }
            let older = row.nonce.replace(challenge.nonce.clone());
            if let Some(older) = older {
                let stored: Option<Challenge> = read(challenges.get(older.as_str())?)?;
                if let Some(mut stored) = stored {
                    stored.state = RequestState::Replaced;
                    challenges.insert(older.as_str(), encode(&stored).as_slice())?;
                }
            }
            requests.insert(&challenge.request, encode(&row).as_slice())?;
            challenges.insert(challenge.nonce.as_str(), encode(challenge).as_slice())?;
        }
        remember_until(
            &transaction,
            challenge.expires_at,
            challenge.nonce.as_bytes(),
        )?;
        transaction.commit()?;
        Ok(Usable::Yes)
    }

    /// A challenge by its nonce.
    pub fn challenge(&self, nonce: &str) -> anyhow::Result<Option<Challenge>> {
        let transaction = self.database.begin_read()?;
        read(transaction.open_table(CHALLENGES)?.get(nonce)?)
    }

    /// Uses up a link and its challenge and links the wallet, in one transaction: two answers that arrive at the same
    /// moment cannot both link. `link.user` and `link.wallet` must be the request's and the challenge's.
    pub fn complete_request(
        &self,
        request: &[u8; 32],
        nonce: &str,
        link: &Link,
        limit: usize,
        now: Timestamp,
    ) -> anyhow::Result<Completed> {
        let transaction = self.database.begin_write()?;
        let (outcome, touched) = {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut challenges = transaction.open_table(CHALLENGES)?;
            let row: Option<LinkRequest> = read(requests.get(request)?)?;
            let Some(mut row) = row.filter(|row| row.user == link.user) else {
                return Ok(Completed::Request(Usable::Unknown));
            };
            match row.usable(now) {
                Usable::Yes => {}
                other => return Ok(Completed::Request(other)),
            }
            let stored: Option<Challenge> = read(challenges.get(nonce)?)?;
            let stored =
                stored.filter(|stored| stored.request == *request && stored.wallet == link.wallet);
            let Some(mut stored) = stored else {
                return Ok(Completed::Challenge(Usable::Unknown));
            };
            match stored.usable(now) {
                Usable::Yes => {}
                other => return Ok(Completed::Challenge(other)),
            }
            let (outcome, touched) = link_within(&transaction, link, limit)?;
            if outcome == LinkOutcome::TooMany {
                return Ok(Completed::Linked(outcome));
            }
            row.state = RequestState::Used;
            stored.state = RequestState::Used;
            requests.insert(request, encode(&row).as_slice())?;
            challenges.insert(nonce, encode(&stored).as_slice())?;
            (outcome, touched)
        };
        transaction.commit()?;
        self.linked(touched);
        Ok(Completed::Linked(outcome))
    }

    /// Forgets every link request and challenge of a member (`/privacy delete`).
    pub fn forget_requests(&self, user: UserId) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut gone = Vec::new();
            for row in requests.iter()? {
                let (key, value) = row?;
                if decode::<LinkRequest>(value.value())?.user == user {
                    gone.push(*key.value());
                }
            }
            for key in &gone {
                requests.remove(key)?;
            }
            transaction.open_table(CHALLENGES)?.retain(|_, value| {
                decode::<Challenge>(value).is_ok_and(|row| !gone.contains(&row.request))
            })?;
            transaction
                .open_table(NEWEST_REQUEST)?
                .retain(|(of, _), _| of != user.0)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Whether one more wallet would be too many for this member. A wallet of theirs never is.
    pub fn is_full(&self, user: UserId, wallet: Wallet, limit: usize) -> anyhow::Result<bool> {
        let held = self.wallets_of(user)?;
        Ok(!held.contains(&wallet) && held.len() >= limit)
    }

    /// All links of a member with their proofs (`/privacy export`).
    pub fn links_of(&self, user: UserId) -> anyhow::Result<Vec<Link>> {
        let wallets = self.wallets_of(user)?;
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(LINKS)?;
        let links = wallets.iter().map(|wallet| read(table.get(&wallet.0.0.0)?));
        links.filter_map(Result::transpose).collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(
    row: Option<redb::AccessGuard<'_, &[u8]>>,
) -> anyhow::Result<Option<T>> {
    row.map(|bytes| decode(bytes.value())).transpose()
}

fn remember_until(
    transaction: &WriteTransaction,
    expires_at: Timestamp,
    key: &[u8],
) -> anyhow::Result<()> {
    let at = expires_at.plus(REMEMBERED).0;
    transaction.open_table(FORGET_AT)?.insert((at, key), ())?;
    Ok(())
}

/// Removes some rows whose time of remembrance is over.
fn forget_old(transaction: &WriteTransaction, now: Timestamp) -> anyhow::Result<()> {
    let mut due = transaction.open_table(FORGET_AT)?;
    let mut gone = Vec::new();
    for row in due.range(..(now.0, [].as_slice()))?.take(FORGOTTEN_AT_ONCE) {
        let (key, ()) = row.map(|(key, _)| (key, ()))?;
        let (at, key) = key.value();
        gone.push((at, key.to_vec()));
    }
    let mut requests = transaction.open_table(LINK_REQUESTS)?;
    let mut challenges = transaction.open_table(CHALLENGES)?;
    let mut newest = transaction.open_table(NEWEST_REQUEST)?;
    for (at, key) in gone {
        due.remove((at, key.as_slice()))?;
        if let Ok(request) = <&[u8; 32]>::try_from(key.as_slice()) {
            let row: Option<LinkRequest> = read(requests.remove(request)?)?;
            if let Some(row) = row {
                let of = (row.user.0, row.guild.0);
                let is_newest = newest.get(of)?.is_some_and(|key| key.value() == request);
                if is_newest {
                    newest.remove(of)?;
                }
            }
        } else if let Ok(nonce) = str::from_utf8(&key) {
            challenges.remove(nonce)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
