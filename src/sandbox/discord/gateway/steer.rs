//! What a test does to the gateway: drops, reconnects, lost sessions, zombies.
use std::time::Duration;

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
