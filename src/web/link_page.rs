//! Who may open the wallet page: more than may use it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};

use super::error::{WebError, link_works};
use super::session::{OwnLink, find_link, of_visitor};
use super::{SignIn, Site, handover};

/// What the page's address says so that a used link's outcome is shown: the checkout leads back to it, and `verify.js` puts it
/// there once a wallet is linked, for who reloads the page.
pub(super) const OUTCOME_QUERY: &str = "outcome=1";

/// As [`OwnLink`], for the page itself: also a link that its member used a while ago, where its outcome is asked for
/// ([`OUTCOME_QUERY`]). Who brings a code (`handover`) is asked whether they are the member.
pub(super) struct OwnLinkPage(pub(super) OwnLink);

impl FromRequestParts<Arc<Site>> for OwnLinkPage {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let (token, request) = find_link(parts, site).await?;
        let now = site.now();
        let shows_outcome =
            request.has_outcome(now) && parts.uri.query().is_some_and(asks_for_outcome);
        if !shows_outcome {
            link_works(request.usable(now)).map_err(WebError::into_response)?;
        }
        let own = of_visitor(parts, site, token.clone(), request.clone()).await;
        match own {
            Ok(own) => Ok(Self(own)),
            // To everyone else it is used, and no more is told.
            Err(_) if shows_outcome => Err(WebError::LinkUsed.into_response()),
            Err(refused) if matches!(site.settings().sign_in, SignIn::None) => Err(refused),
            Err(refused) => match handover::code(parts) {
                Some(code) => Err(handover::page(site, &token, &request, code).await),
                None => Err(refused),
            },
        }
    }
}

/// The checkout adds more to it.
fn asks_for_outcome(query: &str) -> bool {
    query.split('&').any(|part| part == OUTCOME_QUERY)
}
