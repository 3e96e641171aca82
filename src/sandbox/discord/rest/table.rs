//! Which handler answers which route.
use super::{audit, channels, commands, guilds, invites, members, responses, roles, users};
use crate::sandbox::discord::call::{Call, Handled};
use crate::sandbox::discord::oauth::token;
use crate::sandbox::discord::route::Route;
use crate::sandbox::discord::world::World;

/// A handler: synchronous, under the world's lock.
pub(super) type Handler = fn(&mut World, &Call) -> Handled;

pub(super) fn handler(route: Route) -> Handler {
    match route {
        Route::GetGateway => users::gateway,
        Route::GetGatewayBot => users::gateway_bot,
        Route::GetCurrentUser => users::current,
        Route::GetUser => users::user,
        Route::GetCurrentUserGuilds => users::guilds,
        Route::CreateDirectChannel => channels::open_direct,
        Route::GetCurrentApplication => users::application,
        Route::GetOauthApplication => users::application,
        Route::ExchangeToken => token::exchange,
        Route::RevokeToken => token::revoke,
        Route::GetGuild => guilds::guild,
        Route::GetGuildRoles => roles::list,
        Route::GetGuildRole => roles::get,
        Route::GetRoleMemberCounts => roles::member_counts,
        Route::CreateGuildRole => roles::create,
        Route::MoveGuildRoles => roles::reorder,
        Route::EditGuildRole => roles::edit,
        Route::DeleteGuildRole => roles::delete,
        Route::GetAuditLog => audit::log,
        Route::GetGuildInvites => invites::of_guild,
        Route::GetGuildChannels => guilds::channels,
        Route::ListMembers => members::list,
        Route::SearchMembers => members::search,
        Route::GetMember => members::get,
        Route::EditMember => members::edit,
        Route::AddMemberRole => members::add_role,
        Route::RemoveMemberRole => members::remove_role,
        Route::GetGlobalCommands => commands::list_global,
        Route::CreateGlobalCommand => commands::create_global,
        Route::SetGlobalCommands => commands::replace_global,
        Route::GetGlobalCommand => commands::get_global,
        Route::EditGlobalCommand => commands::edit_global,
        Route::DeleteGlobalCommand => commands::delete_global,
        Route::GetGuildCommands => commands::list_guild,
        Route::CreateGuildCommand => commands::create_guild,
        Route::SetGuildCommands => commands::replace_guild,
        Route::GetGuildCommand => commands::get_guild,
        Route::EditGuildCommand => commands::edit_guild,
        Route::DeleteGuildCommand => commands::delete_guild,
        Route::AnswerInteraction => responses::callback,
        Route::CreateFollowup => responses::follow_up,
        Route::GetOriginalResponse => responses::get_original,
        Route::EditOriginalResponse => responses::edit_original,
        Route::DeleteOriginalResponse => responses::delete_original,
        Route::GetFollowup => responses::get,
        Route::EditFollowup => responses::edit,
        Route::DeleteFollowup => responses::delete,
        Route::CreateInvite => invites::create,
        Route::GetInvite => invites::get,
        Route::DeleteInvite => invites::delete,
        Route::GetInviteTargets => invites::targets,
        Route::GetInviteTargetsJob => invites::targets_job,
        Route::GetChannel => channels::channel,
        Route::ListMessages => channels::list,
        Route::CreateMessage => channels::create,
        Route::GetMessage => channels::get,
        Route::EditMessage => channels::edit,
        Route::DeleteMessage => channels::delete,
    }
}
