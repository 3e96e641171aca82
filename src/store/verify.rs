//! `/verify` links and the texts to sign: made, replaced, used once, forgotten.
//!
//! A link is known by the SHA-256 of its token alone, so that whoever reads the file cannot open one.

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode, read};
use super::links::{link_within, saw_within};
use super::tables::{CHALLENGES, FORGET_AT, HANDOVERS, LINK_REQUESTS, LINKS, NEWEST_REQUEST};
use super::{LinkOutcome, Store};
use crate::domain::{GuildId, Link, Timestamp, UserId, Wallet};

/// How long a row outlives its expiry, so that a late visitor learns what happened. Seconds.
const REMEMBERED: u64 = 3600;

/// How long a used link's page shows its outcome after the link's time. Seconds.
const OUTCOME: u64 = 600;

/// Rows forgotten in one transaction: few enough that a new link does not wait for a rush of old ones.
const FORGOTTEN_AT_ONCE: usize = 256;

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
    /// Who is asked to sign it.
    pub user: UserId,
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

    /// Whether it linked a wallet so recently that its page still shows what came of it.
    pub fn has_outcome(&self, now: Timestamp) -> bool {
        self.state == RequestState::Used && now < self.expires_at.plus(OUTCOME)
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
    /// token, or a merchant's key, which is opened again for each text.
    pub fn open_request(
        &self,
        request: &[u8; 32],
        user: UserId,
        guild: GuildId,
        expires_at: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut newest = transaction.open_table(NEWEST_REQUEST)?;
            let before: Option<LinkRequest> = read(requests.get(request)?)?;
            if let Some(before) = &before {
                // It is remembered for its new time alone.
                let at = remembered_until(before.expires_at);
                transaction
                    .open_table(FORGET_AT)?
                    .remove((at, request.as_slice()))?;
            }
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
                // The next challenge replaces the one given out before under the same key.
                nonce: before
                    .filter(|before| before.state == RequestState::Open)
                    .and_then(|before| before.nonce),
            };
            requests.insert(request, encode(&row).as_slice())?;
        }
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
            let Some(mut row) = row.filter(|row| row.user == challenge.user) else {
                return Ok(Usable::Unknown);
            };
            match row.usable(now) {
                Usable::Yes => {}
                other => return Ok(other),
            }
            // Its link's time: nothing of a run outlives the rest.
            let nonce = challenge.nonce.as_bytes();
            remember_until(&transaction, row.expires_at, nonce)?;
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
            saw_within(&transaction, link.user, row.guild)?;
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

    /// Forgets every link request and challenge of a member (`/privacy delete`). Reads all of the last hour's.
    pub fn forget_requests(&self, user: UserId) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut gone = BTreeSet::new();
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            for row in requests.iter()? {
                let (key, value) = row?;
                if decode::<LinkRequest>(value.value())?.user == user {
                    gone.insert(key.value().to_vec());
                }
            }
            requests.retain(|key, _| !gone.contains(key.as_slice()))?;
            let mut handovers = transaction.open_table(HANDOVERS)?;
            handovers.retain(|key, _| !gone.contains(key.as_slice()))?;
            let mut challenges = transaction.open_table(CHALLENGES)?;
            for row in challenges.iter()? {
                let (nonce, value) = row?;
                if decode::<Challenge>(value.value())?.user == user {
                    gone.insert(nonce.value().as_bytes().to_vec());
                }
            }
            challenges.retain(|nonce, _| !gone.contains(nonce.as_bytes()))?;
            transaction
                .open_table(FORGET_AT)?
                .retain(|(_, key), ()| !gone.contains(key))?;
            transaction
                .open_table(NEWEST_REQUEST)?
                .retain(|(of, _), _| of != user.0)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Forgets the links and challenges whose time of remembrance is over at `now`, and the sessions that have ended; how
    /// many rows that were.
    pub fn forget_old(&self, now: Timestamp) -> anyhow::Result<usize> {
        let mut forgotten = self.forget_ended_sessions(now)?;
        loop {
            let due = self.due(now)?;
            if due.is_empty() {
                return Ok(forgotten);
            }
            let transaction = self.database.begin_write()?;
            forgotten += forget(&transaction, &due)?;
            transaction.commit()?;
        }
    }

    /// The next rows to forget.
    fn due(&self, now: Timestamp) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(FORGET_AT)?;
        let due = table.range(..(now.0, [].as_slice()))?.map(|row| {
            let (key, _) = row?;
            let (at, key) = key.value();
            Ok((at, key.to_vec()))
        });
        due.take(FORGOTTEN_AT_ONCE).collect()
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

pub(super) fn remember_until(
    transaction: &WriteTransaction,
    expires_at: Timestamp,
    key: &[u8],
) -> anyhow::Result<()> {
    let at = remembered_until(expires_at);
    transaction.open_table(FORGET_AT)?.insert((at, key), ())?;
    Ok(())
}

/// Until when what expires then is remembered, Unix seconds.
pub(super) fn remembered_until(expires_at: Timestamp) -> u64 {
    expires_at.plus(REMEMBERED).0
}

/// Removes the rows; how many there were.
fn forget(transaction: &WriteTransaction, due: &[(u64, Vec<u8>)]) -> anyhow::Result<usize> {
    let mut forget_at = transaction.open_table(FORGET_AT)?;
    let mut requests = transaction.open_table(LINK_REQUESTS)?;
    let mut challenges = transaction.open_table(CHALLENGES)?;
    let mut newest = transaction.open_table(NEWEST_REQUEST)?;
    let mut handovers = transaction.open_table(HANDOVERS)?;
    for (at, key) in due {
        forget_at.remove((*at, key.as_slice()))?;
        if let Ok(request) = <&[u8; 32]>::try_from(key.as_slice()) {
            handovers.remove(request)?;
            let row: Option<LinkRequest> = read(requests.remove(request)?)?;
            if let Some(row) = row {
                let of = (row.user.0, row.guild.0);
                let is_newest = newest.get(of)?.is_some_and(|key| key.value() == request);
                if is_newest {
                    newest.remove(of)?;
                }
            }
        } else if let Ok(nonce) = str::from_utf8(key) {
            challenges.remove(nonce)?;
        }
    }
    Ok(due.len())
}

#[cfg(test)]
mod tests;
