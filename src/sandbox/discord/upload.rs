//! What comes as `multipart/form-data`: `payload_json`, the files of a message, and the list of an invite.
//!
//! <https://discord.com/developers/docs/reference#uploading-files>
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Multipart};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, request};

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// The n of `files[n]`, by which the message's `attachments` name it.
    pub(crate) id: u64,
    pub(crate) content: Bytes,
}

/// A request's body, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The JSON.
    pub(crate) json: Bytes,
    /// `files[n]`.
    pub(crate) files: Vec<Upload>,
    /// `target_users_file`: who may accept an invite.
    pub(crate) target_users: Option<Bytes>,
}

/// Takes a body apart. Parts with other names are refused.
pub(crate) async fn read(parts: &request::Parts, body: Bytes) -> Result<Received, String> {
    let kind = parts.headers.get(CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    if !is_form {
        return Ok(Received {
            json: body,
            ..Received::default()
        });
    }
    let mut request = Request::new(Body::from(body));
    request.headers_mut().clone_from(&parts.headers);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| error.to_string())?;
    let mut received = Received::default();
    while let Some(field) = form.next_field().await.map_err(|error| error.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        let content = field.bytes().await.map_err(|error| error.to_string())?;
        let number = name
            .strip_prefix("files[")
            .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        match (name.as_str(), number) {
            ("payload_json", _) => received.json = content,
            ("target_users_file", _) => received.target_users = Some(content),
            (_, Some(id)) => received.files.push(Upload { id, content }),
            (other, None) => return Err(format!("there is no part {other}")),
        }
    }
    Ok(received)
}
