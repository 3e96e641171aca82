//! Bodies that end: a request's within its time, an event stream at the stop.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::StreamExt as _;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::connections::Place;

/// A request whose body fails when it is not complete after this time. Its connection counts as waiting until then.
pub(super) fn within(request: Request, time: Duration) -> Request {
    let place = request.extensions().get::<Arc<Place>>().cloned();
    request.map(|body| {
        if body.is_end_stream() {
            if let Some(place) = place {
                place.has_request();
            }
            return body;
        }
        Body::new(Bounded {
            body,
            deadline: Box::pin(sleep(time)),
            place,
        })
    })
}

struct Bounded {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    /// Until the body is complete.
    place: Option<Arc<Place>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let is_complete = matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        if is_complete && let Some(place) = self.place.take() {
            place.has_request();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// An answer whose event stream ends with the service: it would go on for ever, and hold up the stop.
pub(super) fn until_stop(answer: Response, stop: CancellationToken) -> Response {
    let kind = answer.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        return answer;
    }
    answer.map(|events| {
        let events = events.into_data_stream();
        Body::from_stream(events.take_until(stop.cancelled_owned()))
    })
}
