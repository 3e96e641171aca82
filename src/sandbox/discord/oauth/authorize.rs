//! The authorize endpoint: checks the request, asks the visitor who they are, and sends the browser back.
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serenity::model::Permissions;
use url::Url;

use super::grants::{Code, fresh_secret};
use super::request::{Asked, Request, check};
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::shared::Shared;
use crate::sandbox::discord::world::World;
use crate::sandbox::page::{authorize as page, document};

fn refuse(why: &str) -> Response {
    let mut response = document(page::refusal(why));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn redirect(to: &Url) -> Response {
    (StatusCode::FOUND, [(LOCATION, to.as_str())]).into_response()
}

fn back(request: &Request, pairs: &[(&str, &str)]) -> Option<Url> {
    let mut url = request.redirect.clone()?;
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(pairs);
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
    }
    Some(url)
}

fn visitor(asked: &Asked, headers: &HeaderMap) -> Option<UserId> {
    if let Some(id) = asked.get("as") {
        return id.trim().parse().ok();
    }
    // With `prompt=consent` Discord asks again, whoever is signed in.
    let asks = asked
        .get("prompt")
        .is_some_and(|prompt| prompt == "consent");
    super::visitor::visitor(headers).filter(|_| !asks)
}

/// `GET /oauth2/authorize`
pub(crate) async fn authorize(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let request = match shared.read(|world| check(world, &asked)) {
        Ok(request) => request,
        Err(why) => return refuse(&why),
    };
    if asked.contains_key("deny") {
        let denied = [
            ("error", "access_denied"),
            (
                "error_description",
                "The resource owner or authorization server denied the request",
            ),
        ];
        return match back(&request, &denied) {
            Some(url) => redirect(&url),
            None => document(page::done("You did not add the bot.")),
        };
    }
    let Some(user) = visitor(&asked, &headers) else {
        return document(shared.read(|world| page::who(world, &asked, &request)));
    };
    shared.change(|world| {
        if world.users.get(&user).is_none_or(|known| known.bot) {
            return refuse("There is no such user on the local Discord.");
        }
        let invited = match invite(world, &asked, &request, user) {
            Ok(invited) => invited,
            Err(response) => return *response,
        };
        let Some(_) = request.redirect else {
            return document(page::done("The bot was added."));
        };
        let code = fresh_secret();
        let granted = Code {
            user,
            scopes: request.scopes.clone(),
            redirect_uri: request.redirect_text.clone(),
            challenge: request.challenge.clone(),
            issued: Instant::now(),
            guild: invited.map(|(guild, _)| guild),
        };
        world.grants.codes.insert(code.clone(), granted);
        let mut pairs = vec![("code", code)];
        if let Some((guild, permissions)) = invited {
            pairs.push(("guild_id", guild.to_string()));
            pairs.push(("permissions", permissions.bits().to_string()));
        }
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let Some(url) = back(&request, &pairs) else {
            return refuse("There is nowhere to go back to.");
        };
        let mut response = redirect(&url);
        // Discord's client remembers who is signed in.
        if let Ok(cookie) = HeaderValue::try_from(super::visitor::remember(user)) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    })
}

/// With the scope `bot`: adds the bot to the chosen guild and returns what it may do there, or answers with the page that
/// asks for one.
///
/// The page's choice is `pick`. A script that says who it is (`as`) may name the guild by `guild_id` and skip the page;
/// `ask` brings the page all the same.
fn invite(
    world: &mut World,
    asked: &Asked,
    request: &Request,
    user: UserId,
) -> Result<Option<(GuildId, Permissions)>, Box<Response>> {
    if !request.invites_bot() {
        return Ok(None);
    }
    let picked: Option<GuildId> = asked.get("pick").and_then(|id| id.parse().ok());
    let by_script = asked.contains_key("as") && !asked.contains_key("ask");
    let chosen = picked.or(request.guild.filter(|_| by_script));
    let Some(guild) = chosen.and_then(|id| world.guilds.get(&id)) else {
        let page = page::which_guild(world, asked, request, user);
        return Err(Box::new(document(page)));
    };
    if request.only_this_guild && request.guild.is_some_and(|only| only != guild.id) {
        return Err(Box::new(refuse("No other server may be chosen here.")));
    }
    if !guild.permissions(user).manage_guild() {
        return Err(Box::new(refuse(
            "You need the permission Manage Server there.",
        )));
    }
    let (id, permissions) = (guild.id, request.granted(asked));
    world
        .invite_bot(id, permissions)
        .map_err(|error| Box::new(refuse(&error.message)))?;
    Ok(Some((id, permissions)))
}
