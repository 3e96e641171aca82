//! What merchants and the managers of servers may do: for the dashboard, its JSON and `/amser setup`.
//!
//! | question | file |
//! |---|---|
//! | what it works with | `handle` |
//! | what contracts said before | `known` |
//! | who manages a server, what a gate may not give | `rights` |
//! | which servers are connected | `servers` |
//! | where the bot can be added | `names` |
//! | which roles can be given, and a new one | `roles` |
//! | the merchant's wallet and the modules that are theirs | `wallet` |
//! | plans with names and prices | `plans` |
//! | gates: make, change, delete, undo | `gates` |
//! | what a gate would change | `preview` |
//! | members, stopped removals | `members` |
//! | an invite for who paid and is not in the server | `invite` |
//! | what happened, and its numbers day by day | `journal`, `series` |
//! | who will fail to renew | `forecast` |
//! | a gate tried on the caller | `test` |
//! | a server's own policy and channels | `settings` |

mod forecast;
mod gates;
mod handle;
mod invite;
mod journal;
mod known;
mod members;
mod names;
mod plans;
mod preview;
mod refusal;
mod rights;
mod roles;
mod series;
mod servers;
mod settings;
mod test;
mod wallet;

pub use self::handle::{Inputs, Merchants};
pub use self::journal::{JournalPage, JournalRow};
pub use self::known::OUTLOOK_KEPT;
pub use self::refusal::Refusal;
pub use self::rights::{Manager, dangerous, raises_its_maker};
pub use self::roles::RoleRow;
pub use self::series::{Day, Latency, Series};
pub use self::servers::{Gone, Server};
pub use self::test::{TestOutcome, TestedRole};
pub use crate::domain::PlanRow;
