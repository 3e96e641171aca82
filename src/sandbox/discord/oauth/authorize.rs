//! The authorize endpoint: checks the request, asks the visitor who they are, and sends the browser back.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, State};
use axum::http::header::{COOKIE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serenity::model::Permissions;
use url::Url;

use super::{Code, fresh_secret};
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::shared::Shared;
use crate::sandbox::discord::world::World;
use crate::sandbox::page::{authorize as page, document};

/// The cookie that answers the question who the visitor is; the query parameter `as` does the same.
pub(crate) const VISITOR_COOKIE: &str = "local_discord_user";

/// Scopes that an application may ask for here.
const SCOPES: &[&str] = &[
    "identify",
    "email",
    "guilds",
    "guilds.members.read",
    "bot",
    "applications.commands",
];

/// The query of an authorize request.
pub(crate) type Asked = BTreeMap<String, String>;

/// A checked authorize request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Where the browser goes back to; `None` for a plain bot invite.
    redirect: Option<Url>,
    redirect_text: String,
    pub(crate) scopes: Vec<String>,
    state: Option<String>,
    challenge: Option<String>,
    pub(crate) permissions: Permissions,
}

impl Request {
    pub(crate) fn invites_bot(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "bot")
    }
}

/// Checks what the application asks; the error is for the page, since the redirect cannot be trusted.
pub(crate) fn check(world: &World, asked: &Asked) -> Result<Request, String> {
    let field = |name: &str| {
        asked
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    if field("client_id") != Some(world.options.application_id.to_string().as_str()) {
        return Err("Unknown application: no such client_id.".to_owned());
    }
    let scopes: Vec<String> = field("scope")
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if scopes.is_empty() {
        return Err("The scope is missing.".to_owned());
    }
    if let Some(unknown) = scopes
        .iter()
        .find(|scope| !SCOPES.contains(&scope.as_str()))
    {
        return Err(format!("Unknown scope: {unknown}."));
    }
    let only_invite = scopes
        .iter()
        .all(|scope| scope == "bot" || scope == "applications.commands");
    let redirect_text = field("redirect_uri").unwrap_or_default().to_owned();
    let registered = world.options.redirect_uris.contains(&redirect_text);
    let redirect = match Url::parse(&redirect_text) {
        Ok(url) if registered => Some(url),
        Err(_) if redirect_text.is_empty() && only_invite => None,
        _ => return Err("Invalid OAuth2 redirect_uri: it is not registered.".to_owned()),
    };
    if redirect.is_some() && field("response_type") != Some("code") {
        return Err("Only response_type=code is known here.".to_owned());
    }
    let challenge = field("code_challenge").map(str::to_owned);
    if challenge.is_some() && field("code_challenge_method") != Some("S256") {
        return Err("Only code_challenge_method=S256 is known here.".to_owned());
    }
    let permissions = field("permissions").unwrap_or("0").parse().ok();
    let permissions = permissions.and_then(Permissions::from_bits);
    Ok(Request {
        redirect,
        redirect_text,
        scopes,
        state: field("state").map(str::to_owned),
        challenge,
        permissions: permissions.ok_or("The permissions are not a number of Discord's.")?,
    })
}

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
    let from_cookie = || {
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(VISITOR_COOKIE)?.strip_prefix('='))
    };
    asked
        .get("as")
        .map(String::as_str)
        .or_else(from_cookie)?
        .trim()
        .parse()
        .ok()
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
        let guild = match invite(world, &asked, &request, user) {
            Ok(guild) => guild,
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
            guild,
        };
        world.grants.codes.insert(code.clone(), granted);
        let mut pairs = vec![("code", code)];
        if let Some(guild) = guild {
            pairs.push(("guild_id", guild.to_string()));
            pairs.push(("permissions", request.permissions.bits().to_string()));
        }
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        match back(&request, &pairs) {
            Some(url) => redirect(&url),
            None => refuse("There is nowhere to go back to."),
        }
    })
}

/// With the scope `bot`: adds the bot to the chosen guild, or answers with the page that asks for one.
fn invite(
    world: &mut World,
    asked: &Asked,
    request: &Request,
    user: UserId,
) -> Result<Option<GuildId>, Box<Response>> {
    if !request.invites_bot() {
        return Ok(None);
    }
    let chosen: Option<GuildId> = asked.get("guild_id").and_then(|id| id.parse().ok());
    let Some(guild) = chosen.and_then(|id| world.guilds.get(&id)) else {
        return Err(Box::new(document(page::which_guild(world, asked, user))));
    };
    if !guild.permissions(user).manage_guild() {
        return Err(Box::new(refuse(
            "You need the permission Manage Server there.",
        )));
    }
    let id = guild.id;
    world
        .invite_bot(id, request.permissions)
        .map_err(|error| Box::new(refuse(&error.message)))?;
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::discord::Options;

    fn checked(changes: &[(&str, &str)]) -> Result<Request, String> {
        let options = Options {
            redirect_uris: vec!["http://127.0.0.1:8787/oauth/callback".to_owned()],
            ..Options::default()
        };
        let mut asked = Asked::from([
            ("client_id".to_owned(), options.application_id.to_string()),
            ("redirect_uri".to_owned(), options.redirect_uris[0].clone()),
            ("response_type".to_owned(), "code".to_owned()),
            ("scope".to_owned(), "identify guilds".to_owned()),
        ]);
        for (key, value) in changes {
            asked.insert((*key).to_owned(), (*value).to_owned());
        }
        check(&World::new(options, String::new()), &asked)
    }

    #[test]
    fn only_a_registered_redirect_a_code_and_known_scopes_are_accepted() {
        assert!(checked(&[]).is_ok());
        assert!(checked(&[("redirect_uri", "http://127.0.0.1:8787/oauth/callback/")]).is_err());
        assert!(checked(&[("redirect_uri", "https://evil.example/")]).is_err());
        assert!(checked(&[("response_type", "token")]).is_err());
        assert!(checked(&[("scope", "identify everything")]).is_err());
        assert!(checked(&[("scope", "")]).is_err());
        assert!(checked(&[("client_id", "7")]).is_err());
        assert!(checked(&[("code_challenge", "x"), ("code_challenge_method", "plain")]).is_err());
    }

    #[test]
    fn a_bot_invite_needs_no_redirect() {
        assert!(checked(&[("scope", "bot"), ("redirect_uri", "")]).is_ok());
        assert!(checked(&[("scope", "bot identify"), ("redirect_uri", "")]).is_err());
        assert!(checked(&[("scope", "bot"), ("permissions", "nonsense")]).is_err());
    }
}
