//! HTTP clients and websockets, made the same way in every part of the program.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use native_tls::TlsConnector;
use reqwest::{Client, ClientBuilder};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};
use url::Url;

use crate::loopback::is_loopback;

/// The longest wait that a header may ask for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);
/// Numbers above this are moments in Unix seconds; those below are seconds from now.
const MOMENTS: f64 = 1e9;

/// The certificates that the system trusts, as of the program's first connection. To read them takes some 45 ms of processor
/// time, which each client would spend again.
static TRUSTED: LazyLock<Option<TlsConnector>> = LazyLock::new(|| {
    // As reqwest asks for it itself: this program speaks no HTTP/2.
    let connector = TlsConnector::builder().request_alpns(&["http/1.1"]).build();
    connector.ok()
});

/// A websocket, with TLS or without.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// For a client that talks to any server.
pub(crate) fn client() -> ClientBuilder {
    match &*TRUSTED {
        Some(trusted) => Client::builder().tls_backend_preconfigured(trusted.clone()),
        // Then the client cannot be built, and says why.
        None => Client::builder(),
    }
}

/// For a client that talks to the server of this URL. A proxy that the environment names cannot reach this machine's own
/// addresses.
pub(crate) fn client_to(url: &Url) -> ClientBuilder {
    match is_loopback(url) {
        true => client().no_proxy(),
        false => client(),
    }
}

/// For a client that talks to this machine without TLS.
pub(crate) fn local_client() -> ClientBuilder {
    Client::builder().no_proxy().tls_certs_only([])
}

/// Opens a websocket to any server. `largest`: the bytes of the longest message that is taken; `None`: any.
pub(crate) async fn websocket(
    request: impl IntoClientRequest + Unpin,
    largest: Option<usize>,
) -> Result<Socket, Error> {
    let config = WebSocketConfig::default()
        .max_message_size(largest)
        .max_frame_size(largest);
    let trusted = TRUSTED.clone().map(Connector::NativeTls);
    let (socket, _) = connect_async_tls_with_config(request, Some(config), true, trusted).await?;
    Ok(socket)
}

/// The wait that `Retry-After`, or a header like it, asks for: seconds from now, a moment in Unix seconds, or an HTTP date.
pub(crate) fn asked_wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let until = |moment: SystemTime| moment.duration_since(now).unwrap_or_default();
    let wait = match value.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            let wait = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT);
            match seconds > MOMENTS {
                true => until(SystemTime::UNIX_EPOCH.checked_add(wait)?),
                false => wait,
            }
        }
        Ok(_) => return None,
        Err(_) => until(httpdate::parse_http_date(value).ok()?),
    };
    Some(wait.min(LONGEST_WAIT))
}
