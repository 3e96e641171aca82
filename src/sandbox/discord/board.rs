//! What the page shows besides Discord's own state: facts, notes on members, and the log of what happened.
use std::collections::{BTreeMap, VecDeque};

use time::OffsetDateTime;

use crate::domain::UserId;

/// What kind of thing happened; the page gives each a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The bot gave a role.
    Granted,
    /// The bot took a role.
    Revoked,
    /// Somebody did something on Discord.
    Person,
    /// Something happened on the chain.
    Chain,
    /// Something could not be done.
    Refused,
}

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: OffsetDateTime,
    pub(crate) kind: Happening,
    pub(crate) text: String,
}

/// The board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    /// Facts for the header, in order: label and value.
    pub(crate) facts: Vec<(String, String)>,
    /// What is known of a member: a line each.
    pub(crate) notes: BTreeMap<UserId, Vec<String>>,
    /// Newest first.
    pub(crate) lines: VecDeque<Line>,
}
