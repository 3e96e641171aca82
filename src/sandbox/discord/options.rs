//! What the local Discord is told when it starts: the application, its secrets, its limits.
use std::time::Duration;

use crate::domain::UserId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serenity::model::gateway::GatewayIntents;
use serenity::model::id::ApplicationId;

use super::limits::{Allowance, RateLimits};

/// The application that is registered on the local Discord, and how strict that Discord is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The application's id, which is also its bot user's id.
    pub application_id: ApplicationId,
    /// The application's and its bot's name.
    pub name: String,
    /// The bot token that requests and IDENTIFY must carry (without the `Bot ` prefix).
    pub token: String,
    /// The OAuth client secret.
    pub client_secret: String,
    /// The registered OAuth redirect addresses; compared exactly, as Discord does.
    pub redirect_uris: Vec<String>,
    /// Whether anyone may add the bot to a server ("Public Bot").
    pub public_bot: bool,
    /// The privileged intents that are switched on for the application.
    pub privileged_intents: GatewayIntents,
    /// How often HELLO asks for heartbeats. Discord says 41.25 s.
    pub heartbeat_interval: Duration,
    /// How long after an IDENTIFY the next one may come. Discord says 5 s (at a concurrency of 1).
    pub identify_gap: Duration,
    /// How many IDENTIFYs may come in how long. Discord says 1,000 in a day.
    pub session_starts: Allowance,
    /// The rate limits in force.
    pub rate_limits: RateLimits,
    /// How long an interaction waits for its first answer. Discord says 3 s.
    pub interaction_deadline: Duration,
    /// How long an interaction's token works afterwards. Discord says 15 min.
    pub interaction_lifetime: Duration,
    /// How long an OAuth code can be exchanged. Discord says 10 min.
    pub code_lifetime: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let application_id = ApplicationId::new(1_100_000_000_000_000_001);
        Self {
            application_id,
            name: "amser-roles".to_owned(),
            token: local_token(application_id),
            client_secret: "local-client-secret".to_owned(),
            redirect_uris: Vec::new(),
            public_bot: false,
            privileged_intents: GatewayIntents::GUILD_MEMBERS,
            heartbeat_interval: Duration::from_millis(41_250),
            identify_gap: Duration::from_secs(5),
            session_starts: Allowance::new(1_000, 24 * 3_600),
            rate_limits: RateLimits::generous(),
            interaction_deadline: Duration::from_secs(3),
            interaction_lifetime: Duration::from_secs(15 * 60),
            code_lifetime: Duration::from_secs(10 * 60),
        }
    }
}

impl Options {
    /// The bot's user id.
    pub fn bot_id(&self) -> UserId {
        UserId(self.application_id.get())
    }
}

/// A token of the shape Discord gives out (the user id in base64, then two opaque parts), so that clients which look
/// at the shape accept it.
fn local_token(application_id: ApplicationId) -> String {
    let user = STANDARD_NO_PAD.encode(application_id.to_string());
    format!("{user}.Glocal.{}", "local-discord-token-".repeat(2))
}
