//! The gateway: sessions that survive their connections, and the websocket protocol on top.
//!
//! As documented at <https://discord.com/developers/docs/events/gateway>; JSON encoding, payload compression.
pub(crate) mod connection;
pub(crate) mod identify;
pub(crate) mod members;
pub(crate) mod session;
pub(crate) mod starts;
mod steer;

/// A reason to close a connection: Discord's close codes.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close(pub(crate) u16, pub(crate) &'static str);

impl Close {
    pub(crate) const UNKNOWN_OPCODE: Self = Self(4001, "Unknown opcode.");
    pub(crate) const DECODE_ERROR: Self = Self(4002, "Error while decoding payload.");
    pub(crate) const NOT_AUTHENTICATED: Self = Self(4003, "Not authenticated.");
    pub(crate) const AUTHENTICATION_FAILED: Self = Self(4004, "Authentication failed.");
    pub(crate) const ALREADY_AUTHENTICATED: Self = Self(4005, "Already authenticated.");
    pub(crate) const RATE_LIMITED: Self = Self(4008, "Rate limited.");
    pub(crate) const SESSION_TIMED_OUT: Self = Self(4009, "Session timed out.");
    pub(crate) const INVALID_SHARD: Self = Self(4010, "Invalid shard.");
    pub(crate) const SHARDING_REQUIRED: Self = Self(4011, "Sharding required.");
    pub(crate) const INVALID_INTENTS: Self = Self(4013, "Invalid intent(s).");
    pub(crate) const DISALLOWED_INTENTS: Self = Self(4014, "Disallowed intent(s).");
}
