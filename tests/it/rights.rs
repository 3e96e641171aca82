//! Who may do what: managers, servers, roles, a merchant's wallet, modules and plans.

mod isolation;
mod managers;
mod modules;
mod roles;
mod servers;
