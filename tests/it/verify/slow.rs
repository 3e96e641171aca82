//! Clients that dawdle are sent away, and keep nobody from stopping.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amser_roles::web;
use axum::Router;
use axum::body::Bytes;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often what depends on the clock is tried.
const TRIES: usize = 5;
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
    let read = tokio::time::timeout(DEADLINE, reading).await;
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
async fn a_connection_is_kept_for_the_next_request_of_a_proxy() {
    let stop = CancellationToken::new();
    let (address, _) = serve(&stop).await;
    let empty = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let mut client = send(address, empty).await;
    let _answered = client.read_u8().await.unwrap();
    // More than the first request has, and less than proxies keep it.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let last = empty.replace("Host: x", "Host: x\r\nConnection: close");
    client.write_all(last.as_bytes()).await.unwrap();
    let answers = rest(client).await;
    assert_eq!(answers.matches("200 OK").count(), 2, "{answers}");
    stop.cancel();
}

#[tokio::test]
async fn a_thousand_slow_connections_keep_nobody_out() {
    // The clients' ends are in this process as well.
    rlimit::increase_nofile_limit(8_192).unwrap();
    let stop = CancellationToken::new();
    let (address, _) = serve(&stop).await;
    let mut slow = Vec::new();
    for text in [HALF_A_HEAD, HALF_A_BODY].into_iter().cycle().take(1_000) {
        slow.push(send(address, text).await);
        if slow.len() % 100 == 0 {
            let honest = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole";
            let answer = rest(send(address, honest).await).await;
            assert!(answer.ends_with("whole"), "after {}: {answer}", slow.len());
        }
    }
    // The first ones have made room, while those that came last are still waited for.
    for client in &mut slow[..900] {
        let mut answer = Vec::new();
        // An end or a reset.
        let _ = client.read_to_end(&mut answer).await;
    }
    let last = slow.last().unwrap().try_read(&mut [0]);
    assert_eq!(last.unwrap_err().kind(), ErrorKind::WouldBlock);
    stop.cancel();
}

#[tokio::test]
async fn an_event_stream_ends_in_order_at_the_stop() {
    // What a busy machine does not end in time is cut off, as is each time what does not end by itself.
    for _ in 0..TRIES {
        if event_stream_at_the_stop().await.ends_with("0\r\n\r\n") {
            return;
        }
    }
    panic!("it is never complete");
}

/// What comes of an event stream after the stop.
async fn event_stream_at_the_stop() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let events = async || {
        let first = stream::iter([Ok::<_, Infallible>(Event::default().data("snapshot"))]);
        Sse::new(first.chain(stream::pending()))
    };
    let routes = Router::new().route("/events", get(events));
    let stop = CancellationToken::new();
    let served = tokio::spawn(web::serve(listener, routes, Vec::new(), stop.clone()));
    let mut client = send(address, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut seen = String::new();
    while !seen.contains("data: snapshot") {
        let mut chunk = [0; 512];
        let read = client.read(&mut chunk).await.unwrap();
        assert_ne!(read, 0, "{seen}");
        seen.push_str(str::from_utf8(&chunk[..read]).unwrap());
    }
    stop.cancel();
    let mut end = Vec::new();
    let reading = tokio::time::timeout(DEADLINE, client.read_to_end(&mut end)).await;
    // Cut off, it ends in an error.
    let _cut = reading.expect("the server hangs up");
    let ended = tokio::time::timeout(DEADLINE, served).await;
    ended.expect("it stops").unwrap().unwrap();
    String::from_utf8(end).unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gone, is_gone) = tokio::sync::oneshot::channel::<()>();
    let gone = std::sync::Arc::new(std::sync::Mutex::new(Some(gone)));
    let endless = async move || {
        // Dropped with the answer.
        let held = gone.lock().unwrap().take();
        let chunks = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(Bytes::from_static(&[0; 65_536]))
        });
        axum::body::Body::from_stream(chunks)
    };
    let routes = Router::new().route("/endless", get(endless));
    let stop = CancellationToken::new();
    tokio::spawn(web::serve(listener, routes, Vec::new(), stop.clone()));
    let _client = send(address, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let ended = tokio::time::timeout(DEADLINE, is_gone).await;
    assert!(ended.expect("it is given up").is_err());
    stop.cancel();
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let stop = CancellationToken::new();
    let (address, _) = serve(&stop).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = rest(send(address, preface).await).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer:?}"
    );
    stop.cancel();
}

#[tokio::test]
async fn requests_that_never_end_do_not_hold_up_a_stop() {
    // By itself, such a request is ended after ten seconds. A busy machine may need as long once.
    for _ in 0..TRIES {
        if stop_with_open_requests().await < Duration::from_secs(8) {
            return;
        }
    }
    panic!("it never stops in time");
}

/// How long the stop takes.
async fn stop_with_open_requests() -> Duration {
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
    let begun = Instant::now();
    stop.cancel();
    let ended = tokio::time::timeout(DEADLINE, served).await;
    ended.expect("it stops").unwrap().unwrap();
    begun.elapsed()
}
