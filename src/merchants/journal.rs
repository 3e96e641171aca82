//! The journal of a server: role changes and the managers' own acts.

use std::collections::{BTreeMap, BTreeSet};

use super::{Manager, Merchants, Refusal};
use crate::domain::{GuildId, Happened, Question, Timestamp, UserId};

/// Rows of a page.
const PAGE: usize = 100;
/// Managers whose names are read for one page.
const MOST_MANAGERS: usize = 10;

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
        let mut names = names.await?;
        self.name_managers(guild, &happened, &mut names).await;
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

    /// Adds what managers are called, of whom no roles of ours tell.
    async fn name_managers(
        &self,
        guild: GuildId,
        happened: &[(u64, Happened)],
        names: &mut BTreeMap<UserId, String>,
    ) {
        let acts = happened.iter().filter_map(|(_, one)| match one {
            Happened::Act(entry) => entry.by,
            Happened::Role(_) => None,
        });
        // Of the user 0, who asked to be forgotten, nothing can be read.
        let unnamed = |user: &UserId| user.0 != 0 && !names.contains_key(user);
        let managers: BTreeSet<_> = acts.filter(unnamed).collect();
        let discord = &self.inputs().discord;
        for user in managers.into_iter().take(MOST_MANAGERS) {
            if discord.known_name(guild, user).is_none() {
                // Whoever cannot be read stays without a name.
                let _unread = discord.held_by(guild, user).await;
            }
            let name = discord.known_name(guild, user);
            names.extend(name.map(|name| (user, name.to_string())));
        }
    }
}

/// The member or the manager.
fn whose(happened: &Happened) -> Option<UserId> {
    match happened {
        Happened::Role(entry) => Some(entry.change.user),
        Happened::Act(entry) => entry.by,
    }
}
