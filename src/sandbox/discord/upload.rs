//! Files that come with a message: `multipart/form-data` with `payload_json` and `files[n]`.
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

/// The JSON of a request's body, and the files beside it. Only the parts that a message has are taken.
pub(crate) async fn read(
    parts: &request::Parts,
    body: Bytes,
) -> Result<(Bytes, Vec<Upload>), String> {
    let kind = parts.headers.get(CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    if !is_form {
        return Ok((body, Vec::new()));
    }
    let mut request = Request::new(Body::from(body));
    request.headers_mut().clone_from(&parts.headers);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| error.to_string())?;
    let (mut json, mut files) = (Bytes::new(), Vec::new());
    while let Some(field) = form.next_field().await.map_err(|error| error.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        let content = field.bytes().await.map_err(|error| error.to_string())?;
        let number = name
            .strip_prefix("files[")
            .and_then(|rest| rest.strip_suffix(']')?.parse().ok());
        match (name.as_str(), number) {
            ("payload_json", _) => json = content,
            (_, Some(id)) => files.push(Upload { id, content }),
            (other, None) => return Err(format!("there is no part {other}")),
        }
    }
    Ok((json, files))
}
