//! Why Discord closed a connection, told apart by what must happen next.
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>

/// What must happen after the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Connect again and resume the session.
    Resume,
    /// Connect again and begin a new session.
    Identify,
    /// Ask again where the gateway is and how many shards there are to be.
    FindAgain,
    /// Go on without the privileged intent.
    WithoutIntent,
    /// The bot token is not valid.
    TokenRefused,
    /// Nothing: the connection was to end.
    Stop,
    /// Another try changes nothing.
    Refused(u16),
}

/// What a close code asks for; `None` is a close without one, or a connection that merely broke.
pub(super) fn next(code: Option<u16>) -> Next {
    match code {
        // Not authenticated, invalid sequence number, session timed out: the session is gone.
        Some(4003 | 4007 | 4009) => Next::Identify,
        Some(4004) => Next::TokenRefused,
        // Invalid shard, sharding required.
        Some(4010 | 4011) => Next::FindAgain,
        // Invalid API version, invalid intents.
        Some(code @ (4012 | 4013)) => Next::Refused(code),
        Some(4014) => Next::WithoutIntent,
        // Where the session is gone all the same, Discord answers the resume with an invalid session.
        _ => Next::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_code_leads_to_what_discord_documents() {
        for code in [
            None,
            Some(1000),
            Some(1006),
            Some(4000),
            Some(4008),
            Some(4999),
        ] {
            assert_eq!(next(code), Next::Resume, "{code:?}");
        }
        for code in [4003, 4007, 4009] {
            assert_eq!(next(Some(code)), Next::Identify, "{code}");
        }
        assert_eq!(next(Some(4004)), Next::TokenRefused);
        assert_eq!([4010, 4011].map(Some).map(next), [Next::FindAgain; 2]);
        assert_eq!(next(Some(4014)), Next::WithoutIntent);
        for code in [4012, 4013] {
            assert_eq!(next(Some(code)), Next::Refused(code));
        }
    }
}
