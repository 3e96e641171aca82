//! Clients that dawdle are sent away, and keep nobody from stopping.

use std::net::SocketAddr;
use std::time::Duration;

use amser_roles::web;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HALF_A_HEAD: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Le";
const HALF_A_BODY: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";

async fn serve(stop: &CancellationToken) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/echo", post(async |body: Bytes| body));
    (
        address,
        tokio::spawn(web::serve(listener, routes, Vec::new(), stop.clone())),
    )
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    client
}

/// What the server says until it hangs up.
async fn rest(mut client: TcpStream) -> String {
    let mut answer = String::new();
    let reading = client.read_to_string(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    read.expect("the server hangs up").unwrap();
    answer
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended_by_the_server() {
    let stop = CancellationToken::new();
    let (address, _) = serve(&stop).await;
    let head = send(address, HALF_A_HEAD).await;
    let body = send(address, HALF_A_BODY).await;
    let whole = send(
        address,
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole",
    )
    .await;
    let (head, body, whole) = tokio::join!(rest(head), rest(body), rest(whole));
    assert!(
        head.is_empty() || head.starts_with("HTTP/1.1 408"),
        "{head}"
    );
    assert!(body.starts_with("HTTP/1.1 400"), "{body}");
    assert!(whole.ends_with("whole"), "{whole}");
    stop.cancel();
}

#[tokio::test]
async fn requests_that_never_end_do_not_hold_up_a_stop() {
    let stop = CancellationToken::new();
    let (address, served) = serve(&stop).await;
    let _head = send(address, HALF_A_HEAD).await;
    let _body = send(address, HALF_A_BODY).await;
    // Both connections are accepted once this one, which came later, is answered.
    let mut later = send(
        address,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let _answered = later.read_u8().await.unwrap();
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(8), served).await;
    ended.expect("it stops in time").unwrap().unwrap();
}
