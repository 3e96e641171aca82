//! Who may: extractors that stand in a handler's signature, so that no handler can forget to ask.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, OriginalUri, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use url::form_urlencoded::byte_serialize;

use super::{Session, Visitor};
use crate::domain::GuildId;
use crate::merchants::{Gone, Manager, Refusal};
use crate::store::LinkRequest;
use crate::web::error::{WebError, link_works};
use crate::web::layers::{accepts_page, cost};
use crate::web::link::Token;
use crate::web::{SignIn, Site, view};

/// Someone who is signed in. A script is answered 401 otherwise; a browser is sent to the sign-in and comes back.
pub(in crate::web) struct SignedIn(pub(in crate::web) Session);

impl FromRequestParts<Arc<Site>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let Visitor(session) = visitor(parts, site).await?;
        let session = session.filter(|session| !session.is_handed_over());
        session.map(Self).ok_or_else(|| ask_to_sign_in(parts))
    }
}

fn ask_to_sign_in(parts: &Parts) -> Response {
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |OriginalUri(uri)| uri);
    if !accepts_page(&parts.headers) || uri.path().starts_with("/api/") {
        return WebError::NotSignedIn.into_response();
    }
    if parts.method != Method::GET {
        // What was sent is lost. Browsers do not follow a form to Discord (`form-action 'self'`): this page has the link.
        return Redirect::to("/dashboard").into_response();
    }
    let next = uri
        .path_and_query()
        .map_or("/dashboard", |path| path.as_str());
    let next: String = byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/oauth/login?next={next}")).into_response()
}

/// Someone who manages the server `{guild_id}` of the path, by the bot's own view of it. Whoever does not is answered as if
/// there were no such server.
pub(in crate::web) struct Managing(pub(in crate::web) Manager, pub(in crate::web) Session);

impl FromRequestParts<Arc<Site>> for Managing {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let SignedIn(session) = SignedIn::from_request_parts(parts, site).await?;
        let guild = parameter(parts, site, "guild_id").await;
        let guild: Option<GuildId> = guild.and_then(|guild| guild.parse().ok());
        let guild = guild.ok_or_else(|| WebError::NoServer.into_response())?;
        let manager = site.state.merchants.manager(guild, session.user).await;
        let manager = match manager {
            Ok(manager) => manager,
            Err(refusal) => return Err(not_managing(site, guild, &session, refusal).await),
        };
        Ok(Self(manager, session))
    }
}

async fn not_managing(
    site: &Site,
    guild: GuildId,
    session: &Session,
    refusal: Refusal,
) -> Response {
    let error = match refusal {
        Refusal::NotFound => {
            let merchants = &site.state.merchants;
            let gone = merchants.gone(guild, session.user, &session.servers).await;
            match gone {
                Ok(None) => WebError::NoServer,
                Ok(Some(Gone::BotRemoved)) => WebError::BotRemoved(guild),
                Ok(Some(Gone::Deleted)) => WebError::ServerDeleted,
                Err(refusal) => anyhow::Error::from(refusal).into(),
            }
        }
        Refusal::DiscordUnavailable(_) | Refusal::NotRead(_) => WebError::DiscordUnavailable,
        other => anyhow::Error::from(other).into(),
    };
    error.into_response()
}

/// A link that works, opened by the member who ran `/verify`; it counts against the member's allowance.
pub(in crate::web) struct OwnLink {
    /// As it stands in the URL.
    pub(in crate::web) token: Token,
    /// What is stored under its hash.
    pub(in crate::web) request: LinkRequest,
    /// `None` without a sign-in alone (`web.sign_in = "none"`), where whoever has the link counts as the member.
    pub(in crate::web) session: Option<Session>,
}

/// As [`OwnLink`], for a link that may have been used or be over.
pub(in crate::web) struct OwnLinkAnyState(pub(in crate::web) OwnLink);

impl FromRequestParts<Arc<Site>> for OwnLink {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let (token, request) = find_link(parts, site).await?;
        link_works(request.usable(site.now())).map_err(WebError::into_response)?;
        of_visitor(parts, site, token, request).await
    }
}

impl FromRequestParts<Arc<Site>> for OwnLinkAnyState {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let (token, request) = find_link(parts, site).await?;
        of_visitor(parts, site, token, request).await.map(Self)
    }
}

/// The link of the path, whoever asks.
pub(in crate::web) async fn find_link(
    parts: &mut Parts,
    site: &Arc<Site>,
) -> Result<(Token, LinkRequest), Response> {
    let unknown = || WebError::LinkUnknown.into_response();
    let token = parameter(parts, site, "token").await;
    let token = token
        .and_then(|text| Token::parse(&text))
        .ok_or_else(unknown)?;
    let key = token.hash();
    let request = site.with_store(move |store| store.request(&key)).await;
    let request = request.map_err(WebError::into_response)?;
    Ok((token, request.ok_or_else(unknown)?))
}

/// Refuses everyone but the member who ran `/verify`, where visitors can prove who they are.
pub(in crate::web) async fn of_visitor(
    parts: &mut Parts,
    site: &Arc<Site>,
    token: Token,
    request: LinkRequest,
) -> Result<OwnLink, Response> {
    let Visitor(session) = visitor(parts, site).await?;
    let session = session.filter(|session| session.covers(&token.hash()));
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    let is_page = route == "/verify/{token}";
    match (&site.settings().sign_in, &session) {
        (SignIn::None, _) => {
            let taken = site
                .members
                .take(request.user, cost(&parts.method, route), Instant::now());
            taken.map_err(|wait| WebError::TooManyRequests(wait).into_response())?;
        }
        (SignIn::Discord { .. }, Some(session)) if session.user == request.user => {}
        (SignIn::Discord { .. }, None) if is_page => {
            return Err(view::sign_in(site.settings(), &token.reveal()));
        }
        (SignIn::Discord { .. }, None) => return Err(WebError::SignInRequired.into_response()),
        (SignIn::Discord { .. }, Some(_)) if is_page => {
            return Err(view::other_member(site.settings(), &token.reveal()));
        }
        (SignIn::Discord { .. }, Some(_)) => return Err(WebError::OtherMember.into_response()),
    }
    Ok(OwnLink {
        token,
        request,
        session,
    })
}

async fn visitor(parts: &mut Parts, site: &Arc<Site>) -> Result<Visitor, Response> {
    let visitor = Visitor::from_request_parts(parts, site).await;
    visitor.map_err(WebError::into_response)
}

/// A variable part of the path, by its name.
async fn parameter(parts: &mut Parts, site: &Arc<Site>, name: &str) -> Option<String> {
    let parameters = RawPathParams::from_request_parts(parts, site).await.ok()?;
    let mut parameters = parameters.iter();
    let (_, value) = parameters.find(|(of, _)| *of == name)?;
    Some(value.to_owned())
}
