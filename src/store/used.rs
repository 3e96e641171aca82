//! Uses up a text that a wallet signed for another purpose than a link: a merchant's wallet.

use redb::ReadableTable as _;

use super::codec::{encode, read};
use super::tables::{CHALLENGES, LINK_REQUESTS};
use super::{Challenge, LinkRequest, RequestState, Store, Usable};
use crate::domain::{Timestamp, UserId};

impl Store {
    /// Uses up a request and its challenge in one transaction, so that a signed text works once. Whether it worked: if not,
    /// nothing changes.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn use_request(
        &self,
        request: &[u8; 32],
        nonce: &str,
        user: UserId,
        now: Timestamp,
    ) -> anyhow::Result<Usable> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let mut challenges = transaction.open_table(CHALLENGES)?;
            let row: Option<LinkRequest> = read(requests.get(request)?)?;
            let stored: Option<Challenge> = read(challenges.get(nonce)?)?;
            let (Some(mut row), Some(mut stored)) = (
                row.filter(|row| row.user == user && row.nonce.as_deref() == Some(nonce)),
                stored.filter(|stored| stored.request == *request),
            ) else {
                return Ok(Usable::Unknown);
            };
            for usable in [row.usable(now), stored.usable(now)] {
                if usable != Usable::Yes {
                    return Ok(usable);
                }
            }
            row.state = RequestState::Used;
            stored.state = RequestState::Used;
            requests.insert(request, encode(&row).as_slice())?;
            challenges.insert(nonce, encode(&stored).as_slice())?;
        }
        transaction.commit()?;
        Ok(Usable::Yes)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{GuildId, Wallet};

    #[test]
    fn a_signed_text_is_used_up_once_by_its_user_and_in_time() {
        let store = Store::in_memory().unwrap();
        let (key, user, now) = ([1; 32], UserId(7), Timestamp(100));
        let end = now.plus(10);
        store.open_request(&key, user, GuildId(0), end).unwrap();
        let challenge = Challenge {
            request: key,
            user,
            nonce: "abc".to_owned(),
            wallet: Wallet(Address::ZERO),
            message: "text".to_owned(),
            expires_at: end,
            state: RequestState::Open,
        };
        store.put_challenge(&challenge, now).unwrap();
        let uses = |user, nonce, now| store.use_request(&key, nonce, user, now).unwrap();
        assert_eq!(uses(UserId(8), "abc", now), Usable::Unknown);
        assert_eq!(uses(user, "abd", now), Usable::Unknown);
        assert_eq!(uses(user, "abc", end), Usable::Expired);
        assert_eq!(uses(user, "abc", now), Usable::Yes);
        assert_eq!(uses(user, "abc", now), Usable::Used);
    }
}
