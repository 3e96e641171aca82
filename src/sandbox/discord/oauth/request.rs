//! What an authorize request asks for.
use std::collections::BTreeMap;

use serenity::model::Permissions;
use url::Url;

use crate::domain::GuildId;
use crate::sandbox::discord::world::World;

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
    pub(crate) redirect: Option<Url>,
    pub(crate) redirect_text: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
    /// What the bot is to be allowed in the server.
    pub(crate) permissions: Permissions,
    /// The server that the page offers first.
    pub(crate) guild: Option<GuildId>,
    /// No other server may be chosen.
    pub(crate) only_this_guild: bool,
}

/// How a field is named by which the visitor leaves the bot a permission; its flag's name follows.
pub(crate) const ALLOW: &str = "allow-";

impl Request {
    pub(crate) fn invites_bot(&self) -> bool {
        self.scopes.iter().any(|scope| scope == "bot")
    }

    /// What of the permissions the visitor left ticked. A script that brings no ticks grants all of them.
    pub(crate) fn granted(&self, asked: &Asked) -> Permissions {
        if !asked.contains_key("ticked") {
            return self.permissions;
        }
        let all = self.permissions.iter_names();
        all.filter(|(name, _)| asked.contains_key(&format!("{ALLOW}{name}")))
            .fold(Permissions::empty(), |sum, (_, one)| sum | one)
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
    let mut redirect_text = field("redirect_uri").unwrap_or_default().to_owned();
    if redirect_text.is_empty() && scopes.iter().any(|scope| scope == "bot") && !only_invite {
        // Discord then takes the first that is registered.
        let first = world.options.redirect_uris.first().cloned();
        redirect_text = first.unwrap_or_default();
    }
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
        guild: field("guild_id").and_then(|id| id.parse().ok()),
        only_this_guild: field("disable_guild_select") == Some("true"),
    })
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
    fn the_visitor_may_take_permissions_off() {
        let both = (Permissions::MANAGE_ROLES | Permissions::SEND_MESSAGES).bits();
        let request = checked(&[("scope", "bot"), ("permissions", &both.to_string())]).unwrap();
        let granted = |names: &[&str]| {
            let ticks = names
                .iter()
                .map(|name| ((*name).to_owned(), "1".to_owned()));
            request.granted(&ticks.collect())
        };
        assert_eq!(granted(&[]).bits(), both, "a script ticks nothing");
        assert_eq!(granted(&["ticked"]), Permissions::empty());
        assert_eq!(
            granted(&["ticked", "allow-SEND_MESSAGES", "allow-ADMINISTRATOR"]),
            Permissions::SEND_MESSAGES
        );
    }

    #[test]
    fn a_bot_invite_needs_no_redirect() {
        assert!(checked(&[("scope", "bot"), ("redirect_uri", "")]).is_ok());
        assert!(checked(&[("scope", "identify"), ("redirect_uri", "")]).is_err());
        let more = checked(&[("scope", "bot identify"), ("redirect_uri", "")]).unwrap();
        assert_eq!(
            more.redirect_text, "http://127.0.0.1:8787/oauth/callback",
            "more than an invite goes to the first registered address"
        );
        assert!(checked(&[("scope", "bot"), ("permissions", "nonsense")]).is_err());
    }
}
