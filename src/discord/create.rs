//! Makes a role.

use reqwest::Method;
use serde_json::json;

use super::Discord;
use super::error::Failure;
use super::member::Object;
use super::rest::because;
use crate::domain::{GuildId, RoleId};

impl Discord {
    /// Makes a role in a server, without permissions and colour, once: a request whose answer is lost is not sent again. `name`:
    /// 1 to 100 characters; `reason`: for the server's audit log, printable ASCII without `%`.
    ///
    /// # Errors
    /// When Discord refuses or cannot be reached.
    pub async fn create_role(
        &self,
        guild: GuildId,
        name: &str,
        reason: &str,
    ) -> Result<RoleId, Failure> {
        // Without "permissions" Discord gives a new role those of @everyone.
        let body = json!({ "name": name, "permissions": "0" });
        let request = self.request(Method::POST, format!("guilds/{guild}/roles"));
        let made: Object<_> = self.call(because(request, reason).json(&body)).await?;
        Ok(made.id)
    }
}
