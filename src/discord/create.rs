//! Makes a role.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use serenity::http::{LightMethod, Request, Route};

use super::Discord;
use super::error::Failure;
use super::shared::snowflake;
use crate::domain::{GuildId, RoleId};

pub(super) const AUDIT_LOG_REASON: HeaderName = HeaderName::from_static("x-audit-log-reason");

/// A role that is to be made. It carries no permissions and has no colour.
#[derive(Clone, Copy, Debug)]
pub struct NewRole<'a> {
    /// Its name, 1 to 100 characters.
    pub name: &'a str,
    /// For the server's audit log; printable ASCII without `%`.
    pub reason: &'a str,
}

#[derive(Deserialize)]
struct Made {
    id: RoleId,
}

impl Discord {
    /// Makes a role in a server, once: a request whose answer is lost is not sent again.
    ///
    /// # Errors
    /// When Discord refuses or cannot be reached.
    pub async fn create_role(&self, guild: GuildId, new: &NewRole<'_>) -> Result<RoleId, Failure> {
        // Without "permissions" Discord gives a new role those of @everyone.
        let body = json!({ "name": new.name, "permissions": "0" });
        let reason = HeaderValue::try_from(new.reason).ok();
        let headers: HeaderMap = reason
            .map(|reason| (AUDIT_LOG_REASON, reason))
            .into_iter()
            .collect();
        let route = Route::GuildRoles {
            guild_id: snowflake(guild.0).into(),
        };
        let request = Request::new(route, LightMethod::Post)
            .headers(Some(headers))
            .body(Some(body.to_string().into_bytes()));
        Ok(self.call::<Made>(request).await?.id)
    }
}
