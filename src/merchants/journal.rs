//! The journal of a server: role changes and the managers' own acts.

use super::{Manager, Merchants, Refusal};
use crate::domain::{Happened, Question, Timestamp, UserId};

/// Rows of a page.
const PAGE: usize = 100;

/// A page of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPage {
    /// Newest first, at most 100.
    pub rows: Vec<JournalRow>,
    /// What to pass as `after` for the next page; `None`: this is the last one.
    pub next: Option<u64>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its place in the journal; grows with time.
    pub sequence: u64,
    /// When (machine clock).
    pub at: Timestamp,
    /// The name of the member whose role changed, or of the manager who acted; `None` where it is not known.
    pub name: Option<String>,
    /// What happened.
    pub happened: Happened,
}

impl Merchants {
    /// A page of the journal, newest first. `after`: what the page before gave as `next`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn journal(
        &self,
        manager: &Manager,
        after: Option<u64>,
    ) -> Result<JournalPage, Refusal> {
        let guild = manager.guild;
        let before = after.unwrap_or(u64::MAX);
        let mut happened = self
            .with_store(move |store| store.happened_in(guild, before, PAGE + 1))
            .await?;
        let has_more = happened.len() > PAGE;
        happened.truncate(PAGE);
        let users = happened.iter().filter_map(|(_, one)| whose(one)).collect();
        let names = self.ask(|answer| Question::Names {
            guild,
            users,
            answer,
        });
        let names = names.await?;
        let rows: Vec<_> = happened
            .into_iter()
            .map(|(sequence, happened)| JournalRow {
                sequence,
                at: match &happened {
                    Happened::Role(entry) => entry.at,
                    Happened::Act(entry) => entry.at,
                },
                name: whose(&happened).and_then(|user| names.get(&user).cloned()),
                happened,
            })
            .collect();
        let last = rows.last().map(|row| row.sequence);
        Ok(JournalPage {
            next: last.filter(|_| has_more),
            rows,
        })
    }
}

/// The member or the manager.
fn whose(happened: &Happened) -> Option<UserId> {
    match happened {
        Happened::Role(entry) => Some(entry.change.user),
        Happened::Act(entry) => entry.by,
    }
}
