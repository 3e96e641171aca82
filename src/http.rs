//! HTTP clients and websockets, made the same way in every part of the program.

use std::sync::LazyLock;

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
