//! The one integration binary: a file per story.
mod local_discord;
