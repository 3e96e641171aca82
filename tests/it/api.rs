//! `/api/v1`, as scripts drive it.

mod bodies;
mod isolation;
mod merchant;
mod stream;
mod trouble;
