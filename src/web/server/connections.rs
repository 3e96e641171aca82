//! How many connections there are: in all, and from one address. Beyond that a newcomer takes the place of the connection that
//! has waited longest for a request, so that slow clients keep nobody out.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::Request;
use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_service::Service;

use crate::web::address::rate_limit_key;

/// Connections at once.
const MOST: usize = 512;
/// Connections at once of one address.
const MOST_OF_ADDRESS: usize = 32;
/// How long a client may leave an answer unread.
const WRITE: Duration = Duration::from_secs(20);

/// The open connections; clones share them.
#[derive(Clone)]
pub(super) struct Connections {
    table: Arc<Mutex<Table>>,
    /// Reverse proxies, which open connections for many clients.
    proxies: Arc<[IpNet]>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Open>,
}

/// One connection.
struct Open {
    /// `None` for a reverse proxy.
    address: Option<IpAddr>,
    /// Since when it waits for a request, body included; `None` while one is being answered.
    waiting_since: Option<Instant>,
    close: CancellationToken,
}

impl Table {
    /// Admits a connection, closing another one for it where there are too many; `None` where all of these are being answered.
    fn admit(&mut self, address: Option<IpAddr>, now: Instant) -> Option<(u64, CancellationToken)> {
        let of_address = |open: &&Open| address.is_some() && open.address == address;
        let is_full = self.open.len() >= MOST;
        if is_full || self.open.values().filter(of_address).count() >= MOST_OF_ADDRESS {
            let waiting = self
                .open
                .iter()
                .filter(|(_, open)| is_full || of_address(open))
                .filter_map(|(id, open)| Some((open.waiting_since?, *id)));
            let (_, longest) = waiting.min()?;
            let closed = self.open.remove(&longest)?;
            closed.close.cancel();
        }
        let (id, close) = (self.next, CancellationToken::new());
        self.next += 1;
        let open = Open {
            address,
            waiting_since: Some(now),
            close: close.clone(),
        };
        self.open.insert(id, open);
        Some((id, close))
    }
}

impl Connections {
    pub(super) fn new(proxies: Vec<IpNet>) -> Self {
        Self {
            table: Arc::default(),
            proxies: proxies.into(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no holder of this lock can panic")
    }

    fn set_waiting_since(&self, id: u64, since: Option<Instant>) {
        if let Some(open) = self.table().open.get_mut(&id) {
            open.waiting_since = since;
        }
    }
}

/// Whose connections are counted together.
fn counted_as(peer: IpAddr, proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_proxy = proxies.iter().any(|proxies| proxies.contains(&peer));
    (!is_proxy).then(|| rate_limit_key(peer))
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Watched;
    type Service = Answering<S>;
    type Future = Ready<io::Result<(Watched, Answering<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let address = counted_as(peer.ip(), &self.proxies);
            let admitted = self.table().admit(address, Instant::now());
            let (id, close) = admitted.ok_or(io::ErrorKind::ConnectionRefused)?;
            let place = Arc::new(Place {
                id,
                connections: self.clone(),
            });
            let watched = Watched {
                stream,
                close: Box::pin(close.cancelled_owned()),
                write_deadline: None,
                _place: Arc::clone(&place),
            };
            Ok((watched, Answering { service, place }))
        }))
    }
}

/// A connection's place in the table; given back when the last part of the connection goes. Each request carries it.
pub(super) struct Place {
    id: u64,
    connections: Connections,
}

impl Place {
    /// A request is there as a whole: from now on the client waits for us, not we for the client.
    pub(super) fn has_request(&self) {
        self.connections.set_waiting_since(self.id, None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.id);
    }
}

/// Gives each request its connection's place, and notes when it is answered.
#[derive(Clone)]
pub(super) struct Answering<S> {
    service: S,
    place: Arc<Place>,
}

impl<S, B> Service<Request<B>> for Answering<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let place = Arc::clone(&self.place);
        request.extensions_mut().insert(Arc::clone(&place));
        let answering = self.service.call(request);
        Box::pin(async move {
            let answer = answering.await;
            let now = Some(Instant::now());
            place.connections.set_waiting_since(place.id, now);
            answer
        })
    }
}

/// The stream of a connection, which ends when another takes its place, or when the client reads nothing for too long.
pub(super) struct Watched {
    stream: TcpStream,
    close: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Set while the client does not take what is to be written.
    write_deadline: Option<Pin<Box<Sleep>>>,
    _place: Arc<Place>,
}

impl Watched {
    /// Fails when the connection was closed to make room.
    fn is_open(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.close.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// A write's outcome: an error when the client has taken nothing for too long.
    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_deadline = None;
            return outcome;
        }
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep(WRITE)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_open(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_open(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_open(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn one_address_too_many_takes_the_place_of_its_longest_waiting_connection() {
        let mut table = Table::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (other, of_other) = table.admit(address(1), at(0)).unwrap();
        let (answering, of_answering) = table.admit(address(2), at(1)).unwrap();
        let (_, of_longest) = table.admit(address(2), at(2)).unwrap();
        for second in 3..=MOST_OF_ADDRESS as u64 {
            table.admit(address(2), at(second)).unwrap();
        }
        table.open.get_mut(&answering).unwrap().waiting_since = None;
        assert!(!of_longest.is_cancelled());
        table.admit(address(2), at(100)).unwrap();
        assert!(of_longest.is_cancelled() && !of_answering.is_cancelled());
        assert!(!of_other.is_cancelled() && table.open.contains_key(&other));
        assert_eq!(table.open.len(), MOST_OF_ADDRESS + 1);
    }

    #[test]
    fn too_many_in_all_make_room_as_well_unless_every_one_is_being_answered() {
        let mut table = Table::default();
        let now = Instant::now();
        for _ in 0..MOST {
            table.admit(None, now).unwrap();
        }
        table.admit(address(1), now).unwrap();
        assert_eq!(table.open.len(), MOST);
        for open in table.open.values_mut() {
            open.waiting_since = None;
        }
        assert!(table.admit(address(1), now).is_none());
    }

    #[test]
    fn connections_of_proxies_are_not_counted_by_address() {
        let proxies = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let counted = |peer: &str| counted_as(peer.parse().unwrap(), &proxies);
        assert_eq!(counted("127.0.0.1"), None);
        assert_eq!(counted("::ffff:127.0.0.1"), None);
        assert_eq!(counted("::1"), None);
        assert_eq!(counted("10.0.0.1"), address(1));
        assert_eq!(counted("2001:db8::1"), counted("2001:db8::2"));
    }
}
