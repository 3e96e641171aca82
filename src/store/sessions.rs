//! Sign-ins of visitors: known by the SHA-256 of an id that only their browser has.

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::Store;
use super::codec::{decode, encode, read};
use super::tables::SESSIONS;
use crate::domain::{GuildId, Timestamp, UserId};

/// A session that use prolongs is written again when this many seconds of its idle time are used up: each write costs an
/// fsync, and a page makes several requests.
const WRITE_AFTER: u64 = 300;

/// A visitor who signed in to Discord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who signed in.
    pub user: UserId,
    /// Servers that Discord said the user manages, where the sign-in asked for them.
    pub servers: Vec<GuildId>,
    /// Proves that a request comes from one of our pages.
    pub csrf: String,
    /// The first second in which it no longer counts.
    pub expires_at: Timestamp,
    /// Each use lets it last this many seconds from then on; `None`: it ends at `expires_at` whatever is done with it.
    pub idle_seconds: Option<u64>,
    /// The one link (SHA-256 of its token) that this session is for: it was handed over to a wallet's browser.
    pub link: Option<[u8; 32]>,
}

impl Store {
    /// Starts a session under the SHA-256 of its id; that of the same browser before it ends.
    pub fn start_session(
        &self,
        key: &[u8; 32],
        session: &Session,
        replaced: Option<&[u8; 32]>,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut sessions = transaction.open_table(SESSIONS)?;
            if let Some(replaced) = replaced {
                sessions.remove(replaced)?;
            }
            sessions.insert(key, encode(session).as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The session under the SHA-256 of its id, if it still counts at `now`. Its use is noted.
    pub fn use_session(&self, key: &[u8; 32], now: Timestamp) -> anyhow::Result<Option<Session>> {
        let session: Option<Session> = {
            let transaction = self.database.begin_read()?;
            read(transaction.open_table(SESSIONS)?.get(key)?)?
        };
        let Some(mut session) = session.filter(|session| now < session.expires_at) else {
            return Ok(None);
        };
        let until = session.idle_seconds.map(|seconds| now.plus(seconds));
        if let Some(until) = until.filter(|until| *until >= session.expires_at.plus(WRITE_AFTER)) {
            session.expires_at = until;
            let transaction = self.database.begin_write()?;
            {
                let mut sessions = transaction.open_table(SESSIONS)?;
                // Ended since it was read: that stands.
                if sessions.get(key)?.is_none() {
                    return Ok(None);
                }
                sessions.insert(key, encode(&session).as_slice())?;
            }
            transaction.commit()?;
        }
        Ok(Some(session))
    }

    /// Ends a session.
    pub fn end_session(&self, key: &[u8; 32]) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(SESSIONS)?.remove(key)?;
        transaction.commit()?;
        Ok(())
    }

    /// A member's sessions (`/privacy export`). Reads all sessions.
    pub fn sessions_of(&self, user: UserId) -> anyhow::Result<Vec<Session>> {
        let transaction = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in transaction.open_table(SESSIONS)?.iter()? {
            let session: Session = decode(row?.1.value())?;
            if session.user == user {
                found.push(session);
            }
        }
        Ok(found)
    }

    /// Removes the sessions that have ended at `now`; how many. Reads all sessions.
    pub(super) fn forget_ended_sessions(&self, now: Timestamp) -> anyhow::Result<usize> {
        let mut ended = Vec::new();
        {
            let transaction = self.database.begin_read()?;
            for row in transaction.open_table(SESSIONS)?.iter()? {
                let (key, session) = row?;
                if decode::<Session>(session.value())?.expires_at <= now {
                    ended.push(*key.value());
                }
            }
        }
        // A commit costs an fsync, so there is none for nothing.
        if !ended.is_empty() {
            let transaction = self.database.begin_write()?;
            remove(&transaction, &ended)?;
            transaction.commit()?;
        }
        Ok(ended.len())
    }
}

/// Ends every session of a member.
pub(super) fn end_of(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut theirs = Vec::new();
    for row in transaction.open_table(SESSIONS)?.iter()? {
        let (key, session) = row?;
        if decode::<Session>(session.value())?.user == user {
            theirs.push(*key.value());
        }
    }
    remove(transaction, &theirs)
}

fn remove(transaction: &WriteTransaction, keys: &[[u8; 32]]) -> anyhow::Result<()> {
    let mut sessions = transaction.open_table(SESSIONS)?;
    for key in keys {
        sessions.remove(key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 32] = [1; 32];

    fn session(user: u64, idle_seconds: Option<u64>) -> Session {
        Session {
            user: UserId(user),
            servers: vec![GuildId(7)],
            csrf: "token".to_owned(),
            expires_at: Timestamp(10_000),
            idle_seconds,
            link: None,
        }
    }

    #[test]
    fn a_session_counts_until_its_end_or_its_logout() {
        let store = Store::in_memory().unwrap();
        store.start_session(&ID, &session(5, None), None).unwrap();
        let used = |at| store.use_session(&ID, Timestamp(at)).unwrap();
        assert_eq!(used(9_999), Some(session(5, None)));
        assert_eq!(used(10_000), None);
        store.end_session(&ID).unwrap();
        assert_eq!(used(9_999), None);
    }

    #[test]
    fn use_prolongs_a_session_that_ends_when_idle() {
        let store = Store::in_memory().unwrap();
        store
            .start_session(&ID, &session(5, Some(1_000)), None)
            .unwrap();
        let end = |at| {
            let used = store.use_session(&ID, Timestamp(at)).unwrap();
            used.map(|session| session.expires_at.0)
        };
        assert_eq!(end(9_299), Some(10_000), "not worth a write yet");
        assert_eq!(end(9_300), Some(10_300));
        assert_eq!(end(10_299), Some(11_299));
        assert_eq!(end(11_299), None);
    }

    #[test]
    fn a_sign_in_ends_the_browsers_session_before_it() {
        let store = Store::in_memory().unwrap();
        store.start_session(&ID, &session(5, None), None).unwrap();
        store
            .start_session(&[2; 32], &session(6, None), Some(&ID))
            .unwrap();
        assert_eq!(store.use_session(&ID, Timestamp(0)).unwrap(), None);
        assert!(store.use_session(&[2; 32], Timestamp(0)).unwrap().is_some());
    }

    #[test]
    fn ended_sessions_and_those_of_a_member_to_forget_are_removed() {
        let store = Store::in_memory().unwrap();
        store.start_session(&ID, &session(5, None), None).unwrap();
        let other = Session {
            expires_at: Timestamp(20_000),
            ..session(6, None)
        };
        store.start_session(&[2; 32], &other, None).unwrap();
        assert_eq!(store.forget_old(Timestamp(10_000)).unwrap(), 1);
        assert_eq!(store.sessions_of(UserId(5)).unwrap(), []);
        store.forget_member(UserId(5)).unwrap();
        assert_eq!(store.sessions_of(UserId(6)).unwrap(), [other]);
        store.forget_member(UserId(6)).unwrap();
        assert_eq!(store.sessions_of(UserId(6)).unwrap(), []);
    }
}
