//! A link that its member continues in another browser.

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::Store;
use super::codec::{encode, read};
use super::tables::{FORGET_AT, HANDOVERS, LINK_REQUESTS, NEWEST_REQUEST};
use super::verify::{LinkRequest, Usable, remember_until, remembered_until};
use crate::domain::{Timestamp, UserId};

impl Store {
    /// Lets a link that works do so until `until` at least: its member opened it, signed in.
    pub fn extend_request(
        &self,
        request: &[u8; 32],
        until: Timestamp,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut requests = transaction.open_table(LINK_REQUESTS)?;
            let row: Option<LinkRequest> = read(requests.get(request)?)?;
            let row = row.filter(|row| row.usable(now) == Usable::Yes && row.expires_at < until);
            let Some(mut row) = row else {
                return Ok(());
            };
            let old = remembered_until(row.expires_at);
            transaction
                .open_table(FORGET_AT)?
                .remove((old, request.as_slice()))?;
            row.expires_at = until;
            requests.insert(request, encode(&row).as_slice())?;
        }
        remember_until(&transaction, until, request)?;
        transaction.commit()?;
        Ok(())
    }

    /// The newest link of a member that works: the one that works the longest. What a merchant signs is of no server, and is none.
    pub fn newest_request_of(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> anyhow::Result<Option<LinkRequest>> {
        let transaction = self.database.begin_read()?;
        let requests = transaction.open_table(LINK_REQUESTS)?;
        let newest = transaction.open_table(NEWEST_REQUEST)?;
        let mut found: Option<LinkRequest> = None;
        for row in newest.range((user.0, 1)..=(user.0, u64::MAX))? {
            let request: Option<LinkRequest> = read(requests.get(row?.1.value())?)?;
            let request = request.filter(|request| request.usable(now) == Usable::Yes);
            found = found
                .into_iter()
                .chain(request)
                .max_by_key(|r| r.expires_at);
        }
        Ok(found)
    }

    /// Stores the SHA-256 of a code with which this link is continued in another browser; an older one stops working.
    pub fn offer_handover(
        &self,
        request: &[u8; 32],
        code: &[u8; 32],
        expires_at: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction
            .open_table(HANDOVERS)?
            .insert(request, (code, expires_at.0))?;
        transaction.commit()?;
        Ok(())
    }

    /// Whether a code (its SHA-256) continues this link at `now`.
    pub fn is_handover(
        &self,
        request: &[u8; 32],
        code: &[u8; 32],
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        let transaction = self.database.begin_read()?;
        let offered = transaction.open_table(HANDOVERS)?.get(request)?;
        Ok(offered.is_some_and(|offered| works(offered.value(), code, now)))
    }

    /// As [`Store::is_handover`], and uses the code up.
    pub fn take_handover(
        &self,
        request: &[u8; 32],
        code: &[u8; 32],
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        let transaction = self.database.begin_write()?;
        {
            let mut handovers = transaction.open_table(HANDOVERS)?;
            let offered = handovers.get(request)?;
            if !offered.is_some_and(|offered| works(offered.value(), code, now)) {
                return Ok(false);
            }
            handovers.remove(request)?;
        }
        transaction.commit()?;
        Ok(true)
    }
}

/// Hashes of secrets are compared: how long that takes tells nothing of the secret.
fn works((offered, expires_at): (&[u8; 32], u64), code: &[u8; 32], now: Timestamp) -> bool {
    offered == code && now.0 < expires_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GuildId;

    const USER: UserId = UserId(5);
    const KEY: [u8; 32] = [1; 32];
    const CODE: [u8; 32] = [2; 32];

    fn store() -> Store {
        let store = Store::in_memory().unwrap();
        open(&store, KEY, 7, 600);
        store
    }

    fn open(store: &Store, key: [u8; 32], guild: u64, expires_at: u64) {
        store
            .open_request(&key, USER, GuildId(guild), Timestamp(expires_at))
            .unwrap();
    }

    #[test]
    fn what_a_merchant_signs_is_no_link_of_a_member() {
        let store = Store::in_memory().unwrap();
        open(&store, KEY, 0, 600);
        let newest = || store.newest_request_of(USER, Timestamp(1)).unwrap();
        assert_eq!(newest(), None);
        open(&store, [7; 32], 7, 300);
        assert_eq!(newest().map(|link| link.guild), Some(GuildId(7)));
    }

    #[test]
    fn an_extended_link_works_longer_and_is_remembered_longer() {
        let store = store();
        store
            .extend_request(&KEY, Timestamp(4_000), Timestamp(400))
            .unwrap();
        // Never shorter.
        store
            .extend_request(&KEY, Timestamp(3_000), Timestamp(400))
            .unwrap();
        let usable = |at| {
            let row = store.request(&KEY).unwrap();
            row.map(|row| row.usable(Timestamp(at)))
        };
        assert_eq!(usable(3_999), Some(Usable::Yes));
        assert_eq!(usable(4_000), Some(Usable::Expired));
        assert_eq!(store.forget_old(Timestamp(7_600)).unwrap(), 0);
        assert_eq!(store.forget_old(Timestamp(7_601)).unwrap(), 1);
        assert_eq!(usable(0), None);
    }

    #[test]
    fn a_link_that_is_over_or_replaced_is_not_extended() {
        let store = store();
        store
            .extend_request(&KEY, Timestamp(4_000), Timestamp(600))
            .unwrap();
        open(&store, [3; 32], 8, 700);
        open(&store, [4; 32], 8, 700);
        store
            .extend_request(&[3; 32], Timestamp(4_000), Timestamp(0))
            .unwrap();
        for key in [KEY, [3; 32]] {
            assert!(store.request(&key).unwrap().unwrap().expires_at.0 <= 700);
        }
    }

    #[test]
    fn the_newest_link_of_a_member_is_the_one_that_works_longest() {
        let store = store();
        assert_eq!(
            store.newest_request_of(UserId(6), Timestamp(0)).unwrap(),
            None
        );
        open(&store, [3; 32], 8, 700);
        let newest = |at| store.newest_request_of(USER, Timestamp(at)).unwrap();
        assert_eq!(newest(0).unwrap().guild, GuildId(8));
        assert_eq!(newest(650).unwrap().guild, GuildId(8));
        assert_eq!(newest(700), None);
    }

    #[test]
    fn a_code_continues_its_own_link_once_and_for_its_time() {
        let store = store();
        let now = Timestamp(100);
        assert!(!store.take_handover(&KEY, &CODE, now).unwrap());
        store.offer_handover(&KEY, &CODE, Timestamp(220)).unwrap();
        assert!(!store.is_handover(&KEY, &[9; 32], now).unwrap());
        assert!(!store.is_handover(&[3; 32], &CODE, now).unwrap());
        assert!(!store.is_handover(&KEY, &CODE, Timestamp(220)).unwrap());
        assert!(!store.take_handover(&KEY, &[9; 32], now).unwrap());
        assert!(store.is_handover(&KEY, &CODE, now).unwrap());
        assert!(store.take_handover(&KEY, &CODE, now).unwrap());
        assert!(!store.take_handover(&KEY, &CODE, now).unwrap());
        store.offer_handover(&KEY, &CODE, Timestamp(220)).unwrap();
        store
            .offer_handover(&KEY, &[4; 32], Timestamp(220))
            .unwrap();
        assert!(!store.is_handover(&KEY, &CODE, now).unwrap());
    }

    #[test]
    fn a_code_is_forgotten_with_its_link() {
        let store = store();
        store.offer_handover(&KEY, &CODE, Timestamp(9_000)).unwrap();
        store.forget_requests(USER).unwrap();
        assert!(!store.is_handover(&KEY, &CODE, Timestamp(0)).unwrap());
        open(&store, KEY, 7, 600);
        store.offer_handover(&KEY, &CODE, Timestamp(9_000)).unwrap();
        store.forget_old(Timestamp(4_201)).unwrap();
        assert!(!store.is_handover(&KEY, &CODE, Timestamp(0)).unwrap());
    }
}
