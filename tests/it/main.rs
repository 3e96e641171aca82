//! The one integration binary: a file per story.
mod discord_apply;
mod local_discord;
