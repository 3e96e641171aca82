//! What a test looks at and waits for, and what it lets go wrong.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use serenity::model::id::{ChannelId, MessageId};

use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::LocalDiscord;
use crate::sandbox::discord::fault::{Fault, Times};
use crate::sandbox::discord::interaction::SeenMessage;
use crate::sandbox::discord::limits::RateLimits;
use crate::sandbox::discord::log::{RequestRecord, Violation};
use crate::sandbox::discord::route::Route;

impl LocalDiscord {
    /// What can be read in a channel, oldest first, without ephemeral messages.
    pub fn messages(&self, channel: ChannelId) -> Vec<SeenMessage> {
        self.shared.read(|world| {
            let all = world
                .messages
                .range((channel, MessageId::new(1))..=(channel, MessageId::new(u64::MAX)));
            let seen = all.map(|((_, id), message)| SeenMessage::new(*id, message));
            seen.filter(|message| !message.ephemeral).collect()
        })
    }

    /// The bot's direct messages to a user, oldest first.
    pub fn direct_messages(&self, user: UserId) -> Vec<SeenMessage> {
        let channel = self.shared.change(|world| world.direct_channel(user));
        self.messages(channel)
    }

    /// The commands registered for a guild (or `None`: globally), as JSON.
    pub fn commands(&self, guild: Option<GuildId>) -> Vec<Value> {
        self.shared
            .read(|world| world.commands_in(guild).cloned().collect())
    }

    /// Switches a fault on for a route (`None`: for all).
    pub fn inject(&self, route: Option<Route>, fault: Fault, times: Times) {
        self.shared.faults(|faults| faults.add(route, fault, times));
    }

    /// Switches a route's faults off (`None`: all of them).
    pub fn clear_faults(&self, route: Option<Route>) {
        self.shared.faults(|faults| faults.clear(route));
    }

    /// Changes the rate limits.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.shared
            .change(|world| world.options.rate_limits = limits);
    }

    /// Changes how long an interaction waits for its first answer, and how long its token works; also of those that are open.
    pub fn set_interaction_times(&self, deadline: Duration, lifetime: Duration) {
        self.shared.change(|world| {
            world.options.interaction_deadline = deadline;
            world.options.interaction_lifetime = lifetime;
        });
    }

    /// The requests so far (the last 50,000), in order of arrival.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log(|log| log.requests())
    }

    /// How many requests a route had.
    pub fn count(&self, route: Route) -> u64 {
        self.shared.log(|log| log.count(route))
    }

    /// How many requests every route had that had any.
    pub fn counts(&self) -> BTreeMap<Route, u64> {
        self.shared.log(|log| log.counts())
    }

    /// The rules that clients broke. Tests assert that there are none.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.log(|log| log.violations())
    }

    /// Invalid answers (401, 403, 429) in the last ten minutes; at 10,000 Discord blocks the address.
    pub fn invalid_requests(&self) -> u32 {
        self.shared
            .limiter(|limiter, now| limiter.invalid_requests(now))
    }

    /// Forgets requests, counters and violations.
    pub fn clear_log(&self) {
        self.shared.log(|log| log.clear());
    }

    /// Waits until `condition` holds; looks again after every change of the state, request or violation. `what` names
    /// the condition in the error.
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let mut news = self.shared.news();
        let met = async {
            loop {
                news.borrow_and_update();
                if condition(self) {
                    return;
                }
                if news.changed().await.is_err() {
                    // The sender lives in `self`.
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(deadline, met).await;
        waited.with_context(|| format!("waited {deadline:?} in vain until {what}"))
    }
}
