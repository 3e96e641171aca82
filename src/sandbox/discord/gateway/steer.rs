//! What a test does to the gateway: drops, reconnects, lost sessions, zombies.
use std::time::Duration;

use serenity::model::gateway::GatewayIntents;

use crate::domain::UserId;
use crate::sandbox::discord::LocalDiscord;
use crate::sandbox::discord::gateway::Close;
use crate::sandbox::discord::gateway::session::Order;

impl LocalDiscord {
    /// Gateway connections that have identified or resumed.
    pub fn gateway_connections(&self) -> usize {
        self.shared.read(|world| world.sessions.connected())
    }

    /// Sessions begun by IDENTIFY so far.
    pub fn identified(&self) -> u64 {
        self.shared.read(|world| world.sessions.identified)
    }

    /// RESUMEs that succeeded so far.
    pub fn resumed(&self) -> u64 {
        self.shared.read(|world| world.sessions.resumed)
    }

    /// Requests for members (opcode 8) that were answered so far.
    pub fn member_requests(&self) -> u64 {
        self.shared.read(|world| world.sessions.member_requests)
    }

    /// How many of them named this user.
    pub fn member_requests_for(&self, user: UserId) -> u64 {
        let counted = |count: Option<&u64>| count.copied().unwrap_or(0);
        self.shared
            .read(|world| counted(world.sessions.members_requested.get(&user)))
    }

    /// Answers the next request for members with RATE_LIMITED.
    pub fn limit_member_requests(&self, retry_after: Duration) {
        self.shared
            .change(|world| world.sessions.member_requests_limited = Some(retry_after));
    }

    /// Drops every gateway connection without a close frame; sessions can be resumed.
    pub fn drop_gateway(&self) {
        self.shared
            .change(|world| world.sessions.order_all(&Order::Drop));
    }

    /// Closes every gateway connection with a code, as Discord does (4000 can be resumed, 4009 cannot…).
    pub fn close_gateway(&self, code: u16) {
        let close = Close(code, "Closed by the test.");
        self.shared
            .change(|world| world.sessions.order_all(&Order::Close(close)));
    }

    /// Closes every gateway connection without a code.
    pub fn close_gateway_without_code(&self) {
        self.shared
            .change(|world| world.sessions.order_all(&Order::CloseWithoutCode));
    }

    /// RESUMEs that succeeded so far at the address that READY named.
    pub fn resumed_where_told(&self) -> u64 {
        self.shared.read(|world| world.sessions.resumed_where_told)
    }

    /// Never answers the next so many handshakes at the gateway.
    pub fn hang_handshakes(&self, count: u32) {
        self.shared.change(|world| world.hanging_handshakes = count);
    }

    /// The bot has grown: sessions of fewer shards are closed with 4011 from now on, those that are open as well.
    pub fn require_shards(&self, shards: u32) {
        self.set_recommended_shards(shards);
        self.shared.change(|world| {
            world.required_shards = shards;
            let close = Order::Close(Close::SHARDING_REQUIRED);
            world.sessions.order_all(&close);
            world.sessions.forget_all();
        });
    }

    /// Switches the privileged members intent off for the application; sessions that use it are closed with 4014.
    pub fn withdraw_members_intent(&self) {
        let intent = GatewayIntents::GUILD_MEMBERS;
        self.shared.change(|world| {
            world.options.privileged_intents.remove(intent);
            world.sessions.end_with(intent, Close::DISALLOWED_INTENTS);
        });
    }

    /// Asks every client to reconnect and resume (opcode 7).
    pub fn ask_to_reconnect(&self) {
        let payload = r#"{"op":7,"d":null}"#.into();
        self.shared
            .change(|world| world.sessions.order_all(&Order::Send(payload)));
    }

    /// Tells every client that its session is invalid (opcode 9) and forgets the sessions, so that a RESUME fails too.
    pub fn invalidate_sessions(&self) {
        let payload = r#"{"op":9,"d":false}"#.into();
        self.shared.change(|world| {
            world.sessions.order_all(&Order::Send(payload));
            world.sessions.forget_all();
        });
    }

    /// Stops (or begins again) to acknowledge heartbeats: the connection is open but dead.
    pub fn set_deaf(&self, deaf: bool) {
        self.shared.change(|world| world.sessions.deaf = deaf);
    }

    /// How many shards `/gateway/bot` recommends.
    pub fn set_recommended_shards(&self, shards: u32) {
        self.shared.change(|world| world.shards = shards.max(1));
    }
}
