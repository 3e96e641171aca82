//! The one table of REST routes: method, path, who may call, which rate limit, which handler.
use std::collections::BTreeMap;

use axum::http::Method;

use super::call::{Call, Handled};
use super::limits::{Bucket, Lane};
use super::oauth::token;
use super::rest::{channels, commands, guilds, members, responses, users};
use super::world::World;

/// A handler: synchronous, under the world's lock.
pub(crate) type Handler = fn(&mut World, &Call) -> Handled;

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
    ($( $name:ident $method:ident $path:literal $access:ident $bucket:ident $handler:path; )+) => {
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

            pub(crate) fn handler(self) -> Handler {
                match self { $(Self::$name => $handler,)+ }
            }
        }
    };
}

routes! {
    GetGateway GET "/gateway" Open GlobalOnly users::gateway;
    GetGatewayBot GET "/gateway/bot" Bot GlobalOnly users::gateway_bot;
    GetCurrentUser GET "/users/@me" BotOrBearer GlobalOnly users::current;
    GetUser GET "/users/{user_id}" Bot GlobalOnly users::user;
    GetCurrentUserGuilds GET "/users/@me/guilds" BotOrBearer GlobalOnly users::guilds;
    CreateDirectChannel POST "/users/@me/channels" Bot Messages channels::open_direct;
    GetCurrentApplication GET "/applications/@me" Bot GlobalOnly users::application;
    GetOauthApplication GET "/oauth2/applications/@me" Bot GlobalOnly users::application;
    ExchangeToken POST "/oauth2/token" Open Unlimited token::exchange;
    RevokeToken POST "/oauth2/token/revoke" Open Unlimited token::revoke;
    GetGuild GET "/guilds/{guild_id}" Bot GlobalOnly guilds::guild;
    GetGuildRoles GET "/guilds/{guild_id}/roles" Bot GlobalOnly guilds::roles;
    GetGuildChannels GET "/guilds/{guild_id}/channels" Bot GlobalOnly guilds::channels;
    ListMembers GET "/guilds/{guild_id}/members" Bot ListMembers members::list;
    SearchMembers GET "/guilds/{guild_id}/members/search" Bot ListMembers members::search;
    GetMember GET "/guilds/{guild_id}/members/{user_id}" Bot ReadMember members::get;
    EditMember PATCH "/guilds/{guild_id}/members/{user_id}" Bot EditMember members::edit;
    AddMemberRole PUT "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Bot MemberRoles members::add_role;
    RemoveMemberRole DELETE "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Bot MemberRoles members::remove_role;
    GetGlobalCommands GET "/applications/{application_id}/commands" Bot Commands commands::list_global;
    CreateGlobalCommand POST "/applications/{application_id}/commands" Bot Commands commands::create_global;
    SetGlobalCommands PUT "/applications/{application_id}/commands" Bot Commands commands::replace_global;
    GetGlobalCommand GET "/applications/{application_id}/commands/{command_id}" Bot Commands commands::get_global;
    EditGlobalCommand PATCH "/applications/{application_id}/commands/{command_id}" Bot Commands commands::edit_global;
    DeleteGlobalCommand DELETE "/applications/{application_id}/commands/{command_id}" Bot Commands commands::delete_global;
    GetGuildCommands GET "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands commands::list_guild;
    CreateGuildCommand POST "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands commands::create_guild;
    SetGuildCommands PUT "/applications/{application_id}/guilds/{guild_id}/commands" Bot Commands commands::replace_guild;
    GetGuildCommand GET "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands commands::get_guild;
    EditGuildCommand PATCH "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands commands::edit_guild;
    DeleteGuildCommand DELETE "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}" Bot Commands commands::delete_guild;
    AnswerInteraction POST "/interactions/{interaction_id}/{token}/callback" Open Unlimited responses::callback;
    CreateFollowup POST "/webhooks/{application_id}/{token}" Open Unlimited responses::follow_up;
    GetOriginalResponse GET "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited responses::get_original;
    EditOriginalResponse PATCH "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited responses::edit_original;
    DeleteOriginalResponse DELETE "/webhooks/{application_id}/{token}/messages/@original" Open Unlimited responses::delete_original;
    GetFollowup GET "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited responses::get;
    EditFollowup PATCH "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited responses::edit;
    DeleteFollowup DELETE "/webhooks/{application_id}/{token}/messages/{message_id}" Open Unlimited responses::delete;
    GetChannel GET "/channels/{channel_id}" Bot GlobalOnly channels::channel;
    ListMessages GET "/channels/{channel_id}/messages" Bot Messages channels::list;
    CreateMessage POST "/channels/{channel_id}/messages" Bot Messages channels::create;
    GetMessage GET "/channels/{channel_id}/messages/{message_id}" Bot Messages channels::get;
    EditMessage PATCH "/channels/{channel_id}/messages/{message_id}" Bot Messages channels::edit;
    DeleteMessage DELETE "/channels/{channel_id}/messages/{message_id}" Bot Messages channels::delete;
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
