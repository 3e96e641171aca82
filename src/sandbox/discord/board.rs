//! What the page shows besides Discord's own state: facts, what is known of members, the guided ways, and the time line.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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

/// A block that something happened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InBlock {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// An entry of the time line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: OffsetDateTime,
    pub(crate) kind: Happening,
    pub(crate) text: String,
    /// The block, for what a contract logged.
    pub(crate) block: Option<InBlock>,
    /// The chain was reorganised, and this did not happen after all.
    pub(crate) undone: bool,
}

/// What a button or link of the page does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Posts this action.
    Act(String),
    /// Types this command as the member.
    Type(String),
    /// Leads here.
    Open(String),
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What stands on it.
    pub label: String,
    /// What it does, in a sentence; empty when the label says all.
    pub says: String,
    /// What it does.
    pub what: Does,
}

/// A step of a guided way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is to be done.
    pub title: String,
    /// What happens then, and why (Discord's Markdown).
    pub why: String,
    /// It is behind us.
    pub done: bool,
    /// How it is done.
    pub offers: Vec<Offer>,
}

/// What is known of a member besides their roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// How they stand, a line each (Discord's Markdown).
    pub lines: Vec<String>,
    /// What they can do now.
    pub offers: Vec<Offer>,
    /// Their guided way.
    pub steps: Vec<Step>,
}

/// A plan that the checkout sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOffer {
    /// The module's address.
    pub module: String,
    /// The plan's id.
    pub plan_id: String,
    /// Its name, as amser's API knows it.
    pub name: String,
    /// Price, interval and grace.
    pub terms: String,
}

/// All of it that follows the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Facts for the header, in order: label and value (Discord's Markdown).
    pub facts: Vec<(String, String)>,
    /// The newest block's number.
    pub head: u64,
    /// Blocks on top of an event's block before it counts.
    pub confirmations: u64,
    /// How far time can be made to pass: label, seconds, and what that ends.
    pub passing: Vec<(String, u64, String)>,
    /// By member.
    pub people: BTreeMap<UserId, Person>,
    /// What the checkout sells.
    pub plans: Vec<PlanOffer>,
    /// The member whose wallet made the plans.
    pub merchant: Option<UserId>,
    /// Where the service's own pages are, without a path.
    pub service: String,
}

/// The board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    pub(crate) picture: Picture,
    /// Newest first.
    pub(crate) lines: VecDeque<Line>,
    /// Which commands were typed by whom.
    pub(crate) typed: BTreeSet<(UserId, String)>,
}
