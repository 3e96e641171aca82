//! A flood at the door of the whole service leaves what is behind it alone: role changes, the chain, and Discord.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amser_roles::sandbox::discord::Route;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::shop::{DEADLINE, Shop, ask};
use crate::verify::visitor::{Browser, location};

const SLOW: usize = 1_000;
const CALLBACKS: usize = 20_000;
const FLOODS: usize = 8;
/// Payments whose roles are waited for meanwhile.
const PAYMENTS: usize = 5;

/// Opens connections that never end their request, one after the other, and holds them.
async fn dawdle(port: u16) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..SLOW {
        let mut slow = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The service may have sent it away already.
        let _refused = slow
            .write_all(b"POST /oauth/callback HTTP/1.1\r\nHost: x\r\nContent-Le")
            .await;
        held.push(slow);
    }
    held
}

/// Sends the request over and over until so many were answered in all; whoever is sent away comes back.
async fn flood(port: u16, request: String, answered: Arc<AtomicUsize>) {
    let mark = b"HTTP/1.1 ";
    let mut chunk = vec![0; 1 << 14];
    while answered.load(Ordering::Relaxed) < CALLBACKS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        while answered.load(Ordering::Relaxed) < CALLBACKS {
            if stream.write_all(request.as_bytes()).await.is_err() {
                break;
            }
            let read = stream.read(&mut chunk);
            match tokio::time::timeout(DEADLINE, read)
                .await
                .expect("it answers")
            {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    let answers = chunk[..read].windows(mark.len());
                    let answers = answers.filter(|part| part == mark).count();
                    answered.fetch_add(answers, Ordering::Relaxed);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_slow_connections_and_callbacks_leaves_roles_chain_and_discord_alone() {
    rlimit::increase_nofile_limit(8_192).unwrap();
    let shop = Shop::open().await;
    let mut merchant = shop.merchant().await;
    let draft = shop.draft(&shop.roles[1..]);
    let path = shop.path("/gates");
    let (status, said) = ask(&mut merchant, Method::POST, &path, Some(&draft)).await;
    assert_eq!(status, 201, "{said}");
    let exchanged = shop.discord.count(Route::ExchangeToken);
    let sessions = shop.discord.count(Route::GetGatewayBot);
    let mut browser = Browser::new(&shop.url);
    let away = url::Url::parse(&location(&browser.get("/oauth/login").await)).unwrap();
    let mut pairs = away.query_pairs();
    let state = pairs.find(|(key, _)| key == "state").unwrap().1;
    let (name, value) = browser.cookies.first_key_value().unwrap();
    let request = format!(
        "GET /oauth/callback?code=x&state={state} HTTP/1.1\r\nHost: x\r\nCookie: {name}={value}\r\n\r\n"
    );
    let port = shop.url.port().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let floods: Vec<_> = (0..FLOODS)
        .map(|_| tokio::spawn(flood(port, request.clone(), Arc::clone(&answered))))
        .collect();
    let slow = tokio::spawn(dawdle(port));
    for number in 0..PAYMENTS {
        let user = shop.subscriber(&format!("subscriber {number}")).await;
        shop.until(user, shop.roles[1], true).await;
    }
    let all = async {
        for flood in floods {
            flood.await.unwrap();
        }
        slow.await.unwrap()
    };
    let held = tokio::time::timeout(10 * DEADLINE, all)
        .await
        .expect("the flood ends");
    assert!(answered.load(Ordering::Relaxed) >= CALLBACKS);
    // Once more while the slow ones are there still.
    let late = shop.subscriber("late").await;
    shop.until(late, shop.roles[1], true).await;
    drop(held);
    assert!(shop.discord.count(Route::ExchangeToken) <= exchanged + 1);
    assert_eq!(
        shop.discord.count(Route::GetGatewayBot),
        sessions,
        "the gateway's session held"
    );
    assert_eq!(shop.discord.invalid_requests(), 0);
    assert_eq!(shop.discord.violations(), []);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while reqwest::get(shop.url.join("/readyz").unwrap())
        .await
        .is_ok_and(|ready| ready.status() != 200)
    {
        assert!(tokio::time::Instant::now() < deadline, "never ready again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
