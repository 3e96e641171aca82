//! `/api/v1`, as scripts drive it.

mod isolation;
mod merchant;
mod stream;
mod trouble;
