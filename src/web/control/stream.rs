//! Answers that are written bit by bit on a blocking thread, as a store is read.

use std::io::{Error, ErrorKind, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What is sent at a time.
const CHUNK: usize = 64 << 10;
/// Chunks that may be ahead of the reader.
const AHEAD: usize = 8;
/// A reader that takes nothing for so long is given up: what is being read must not be held for it for ever.
const STALLED: Duration = Duration::from_secs(60);

/// The body of an answer under way.
pub(super) struct BodyWriter {
    chunk: Vec<u8>,
    chunks: mpsc::Sender<Result<Bytes, Error>>,
    runtime: Handle,
}

impl BodyWriter {
    fn send(&mut self, chunk: Result<Bytes, Error>) -> std::io::Result<()> {
        let sent = self
            .runtime
            .block_on(timeout(STALLED, self.chunks.send(chunk)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::new(ErrorKind::BrokenPipe, "the reader has gone")),
            Err(_) => Err(Error::new(ErrorKind::TimedOut, "the reader takes nothing")),
        }
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.send(Ok(chunk.into()))
    }
}

/// An answer that `work` writes. Where it fails the connection is cut, so that nobody takes a part for the whole.
pub(super) fn streamed(
    what: &'static str,
    work: impl FnOnce(&mut BodyWriter) -> anyhow::Result<()> + Send + 'static,
) -> Response {
    let (chunks, arriving) = mpsc::channel(AHEAD);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut body = BodyWriter {
            chunk: Vec::new(),
            chunks,
            runtime,
        };
        let written = work(&mut body).and_then(|()| Ok(body.flush()?));
        if let Err(error) = written {
            tracing::warn!(
                what,
                error = format!("{error:#}"),
                "an answer over the control socket was cut off"
            );
            let _gone = body.send(Err(Error::other("cut off")));
        }
    });
    let body = stream::unfold(arriving, |mut arriving| async move {
        let chunk = arriving.recv().await?;
        Some((chunk, arriving))
    });
    Response::new(Body::from_stream(body))
}
