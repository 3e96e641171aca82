//! The one table of REST routes: method, path, who may call, which rate limit. The handlers are in `rest/table.rs`.
use std::collections::BTreeMap;

use axum::http::Method;

use super::limits::{Bucket, Lane};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The bot alone.
    Bot,
    /// The bot, or a user through an OAuth token.
    BotOrBearer,
    /// A token in the path opens it; an `Authorization` is not looked at.
    Open,
}

macro_rules! routes {
    ($( $name:ident $method:ident $path:literal $access:ident $bucket:ident; )+) => {
        /// A REST route below `/api/v10`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Route {
            $(
                #[doc = concat!("`", stringify!($method), " ", $path, "`")]
                $name,
            )+
        }

        impl Route {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The method.
            pub fn method(self) -> Method {
                match self { $(Self::$name => Method::$method,)+ }
            }

            /// The path below `/api/v10`, with `{names}` for parameters.
            pub fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            /// The rate limit bucket.
            pub fn bucket(self) -> Bucket {
                match self { $(Self::$name => Bucket::$bucket,)+ }
            }

            pub(crate) fn access(self) -> Access {
                match self { $(Self::$name => Access::$access,)+ }
            }
        }
    };
}

routes! {
    GetGateway GET "/gateway" Open GlobalOnly;
    GetGatewayBot GET "/gateway/bot" Bot GlobalOnly;
    GetCurrentUser GET "/users/@me" BotOrBearer GlobalOnly;
    GetUser GET "/users/{user_id}" Bot GlobalOnly;
    GetCurrentUserGuilds GET "/users/@me/guilds" BotOrBearer GlobalOnly;
    CreateDirectChannel POST "/users/@me/channels" Bot Messages;
    GetCurrentApplication GET "/applications/@me" Bot GlobalOnly;
    GetOauthApplication GET "/oauth2/applications/@me" Bot GlobalOnly;
    ExchangeToken POST "/oauth2/token" Open Unlimited;
    RevokeToken POST "/oauth2/token/revoke" Open Unlimited;
    GetGuild GET "/guilds/{guild_id}" Bot GlobalOnly;
    GetGuildRoles GET "/guilds/{guild_id}/roles" Bot GlobalOnly;
    GetGuildRole GET "/guilds/{guild_id}/roles/{role_id}" Bot GlobalOnly;
    GetRoleMemberCounts GET "/guilds/{guild_id}/roles/member-counts" Bot GlobalOnly;
    CreateGuildRole POST "/guilds/{guild_id}/roles" Bot Roles;
    MoveGuildRoles PATCH "/guilds/{guild_id}/roles" Bot Roles;
    EditGuildRole PATCH "/guilds/{guild_id}/roles/{role_id}" Bot Roles;
    DeleteGuildRole DELETE "/guilds/{guild_id}/roles/{role_id}" Bot Roles;
    GetAuditLog GET "/guilds/{guild_id}/audit-logs" Bot GlobalOnly;
    GetGuildInvites GET "/guilds/{guild_id}/invites" Bot GlobalOnly;
    GetGuildChannels GET "/guilds/{guild_id}/channels" Bot GlobalOnly;
    ListMembers GET "/guilds/{guild_id}/members" Bot ListMembers;
    SearchMembers GET "/guilds/{guild_id}/members/search" Bot ListMembers;
    GetMember GET "/guilds/{guild_id}/members/{user_id}" Bot ReadMember;
    EditMember PATCH "/guilds/{guild_id}/members/{user_id}" Bot EditMember;
    AddMemberRole PUT "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Bot MemberRoles;
    RemoveMemberRole DELETE "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Bot MemberRoles;
    GetGlobalCommands GET "/applications/{application_id}/commands" Bot Commands;
    CreateGlobalCommand POST "/applications/{application_id}/commands" Bot Commands;
    SetGlobalCommands PUT "/applications/{application_id}/commands" Bot Commands;
    GetGlobalCommand GET "/applications/{application_id}/commands/{command_id}" Bot Commands;
    EditGlobalCommand PATCH "/applications/{application_id}/commands/{command_id}" Bot Commands;
    DeleteGlobalCommand DELETE "/applications/{application_id}/commands/{command_id}" Bot Commands;
    GetGuildCommands GET "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands;
    CreateGuildCommand POST "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands;
    SetGuildCommands PUT "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands;
    GetGuildCommand GET "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands;
    EditGuildCommand PATCH "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands;
    DeleteGuildCommand DELETE "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands;
    AnswerInteraction POST "/interactions/{interaction_id}/{token}/callback" Open Unlimited;
    CreateFollowup POST "/webhooks/{application_id}/{token}" Open Unlimited;
    GetOriginalResponse GET "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited;
    EditOriginalResponse PATCH "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited;
    DeleteOriginalResponse DELETE "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited;
    GetFollowup GET "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited;
    EditFollowup PATCH "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited;
    DeleteFollowup DELETE "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited;
    GetChannel GET "/channels/{channel_id}" Bot GlobalOnly;
    CreateInvite POST "/channels/{channel_id}/invites" Bot Invites;
    GetInvite GET "/invites/{code}" Bot GlobalOnly;
    DeleteInvite DELETE "/invites/{code}" Bot Invites;
    GetInviteTargets GET "/invites/{code}/target-users" Bot GlobalOnly;
    GetInviteTargetsJob GET "/invites/{code}/target-users/job-status" Bot GlobalOnly;
    ListMessages GET "/channels/{channel_id}/messages" Bot Messages;
    CreateMessage POST "/channels/{channel_id}/messages" Bot Messages;
    GetMessage GET "/channels/{channel_id}/messages/{message_id}" Bot Messages;
    EditMessage PATCH "/channels/{channel_id}/messages/{message_id}" Bot Messages;
    DeleteMessage DELETE "/channels/{channel_id}/messages/{message_id}" Bot Messages;
}

impl Route {
    /// What its limits apply to, with these path parameters.
    pub(crate) fn lane(self, params: &BTreeMap<String, String>) -> Lane {
        let bucket = self.bucket();
        let major = ["guild_id", "channel_id"]
            .into_iter()
            .find_map(|name| params.get(name));
        let shared = !matches!(bucket, Bucket::GlobalOnly | Bucket::Unlimited);
        Lane {
            bucket,
            major: major.and_then(|id| id.parse().ok()).unwrap_or(0),
            route: if shared { 0 } else { self as u16 + 1 },
        }
    }
}
