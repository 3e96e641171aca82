//! Who the visitor's browser was last on the local Discord.
use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::domain::UserId;

/// The cookie that says who the visitor is; the query parameter `as` of the authorize endpoint does the same. Cookies know no
/// ports, so every server of this machine gets it.
const COOKIE_NAME: &str = "local_discord_user";

/// The cookies of a request.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let all = headers.get_all(COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

/// Who the visitor is, as the cookie says.
pub(crate) fn visitor(headers: &HeaderMap) -> Option<UserId> {
    let (_, id) = cookies(headers).find(|(name, _)| *name == COOKIE_NAME)?;
    id.parse().ok()
}

/// The value of `Set-Cookie` that makes the visitor this user.
pub(crate) fn remember(user: UserId) -> String {
    format!("{COOKIE_NAME}={user}; Path=/; SameSite=Lax")
}
