//! What a URL or a form says, with refusals in our own words where it says nothing that we understand.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum_extra::extract::Form;
use serde::de::DeserializeOwned;

use super::Site;
use super::error::WebError;

/// The variable parts of a path that leads to a link.
pub(super) struct LinkPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Site>> for LinkPath<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, WebError> {
        let path = Path::from_request_parts(parts, site).await;
        path.map(|Path(path)| Self(path))
            .map_err(|_| WebError::LinkUnknown)
    }
}

/// A query in which keys may be repeated, as forms with several checkboxes send them.
pub(super) struct AskedList<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Site>> for AskedList<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, WebError> {
        let query = axum_extra::extract::Query::from_request_parts(parts, site).await;
        query
            .map(|axum_extra::extract::Query(query)| Self(query))
            .map_err(|_| WebError::BadRequest)
    }
}

/// The query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Site>> for Asked<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, WebError> {
        let query = Query::from_request_parts(parts, site).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|_| WebError::BadRequest)
    }
}

/// A form that was sent; keys may be repeated.
pub(super) struct Filled<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Filled<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, WebError> {
        let form = Form::from_request(request, site).await;
        form.map(|Form(form)| Self(form))
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => WebError::BodyTooLarge,
                _ => WebError::BadRequest,
            })
    }
}
