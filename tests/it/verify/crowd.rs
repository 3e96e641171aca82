//! Many at once: a crowd behind one address gets in, and a flood reaches nobody behind us.

use std::time::{Duration, Instant};

use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::Route;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::site::{Running, Setup, start};
use super::visitor::{Browser, location};

/// What the configuration has unless told otherwise.
const DEFAULT_LIMIT: u32 = 60;

#[tokio::test]
async fn eight_members_behind_one_address_link_within_a_minute() {
    for sign_in in [true, false] {
        let setup = Setup {
            sign_in,
            rate_limit_per_minute: DEFAULT_LIMIT,
            ..Setup::default()
        };
        let site = start(setup).await;
        let visits = (0..8).map(|n| visit(&site, n));
        join_all(visits).await;
    }
}

/// All that one member's browser asks for from the link to the outcome.
async fn visit(site: &Running, n: usize) {
    let name = format!("member_{n}");
    let user = site.discord.add_user(&name);
    site.discord.add_member(site.guild, user).unwrap();
    let link = site.verify(user);
    let mut browser = Browser::new(&site.url);
    browser.name = Some(name);
    assert_eq!(browser.get(&link).await.status(), 200);
    let token = link.strip_prefix("/verify/").unwrap();
    browser.sign_in(user, Some(token)).await;
    assert_eq!(browser.get(&link).await.status(), 200, "member {n}");
    for of in ["server", "member"] {
        let picture = browser.get(&format!("{link}/picture/{of}")).await;
        assert_eq!(picture.status(), 404, "there is none");
    }
    let signer = wallet(&format!("of member {n}"));
    assert_eq!(browser.link(&link, &signer).await.0, 200);
    for _ in 0..10 {
        let standing = browser.get(&format!("{link}/standing")).await;
        assert_eq!(standing.status(), 200, "member {n}");
    }
}

#[tokio::test]
async fn polling_without_a_sign_in_is_limited_by_the_address() {
    let setup = Setup {
        rate_limit_per_minute: 5,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    let user = site.discord.add_user("ada");
    let path = format!("{}/standing", site.verify(user));
    let started = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(browser.get(&path).await.status().as_u16());
    }
    // One more is answered for each six seconds that this takes.
    let bound = 10 + started.elapsed().as_secs() / 6;
    let answered = statuses.iter().filter(|status| **status == 401).count();
    assert!(statuses.starts_with(&[401; 10]), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(answered as u64 <= bound, "{statuses:?}");
}

#[tokio::test]
async fn twenty_thousand_callbacks_cost_discord_nothing() {
    let setup = Setup {
        rate_limit_per_minute: 10_000_000,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    // With one state again and again.
    let away = url::Url::parse(&location(&browser.get("/oauth/login").await)).unwrap();
    let state = away
        .query_pairs()
        .find(|(key, _)| key == "state")
        .unwrap()
        .1;
    let (name, value) = browser.cookies.first_key_value().unwrap();
    let request = format!(
        "GET /oauth/callback?code=x&state={state} HTTP/1.1\r\nHost: x\r\nCookie: {name}={value}\r\n\r\n"
    );
    let port = site.url.port().unwrap();
    // Each a task of its own: within one, those that are polled first would leave the last no turn, and the server would close
    // its connection for its silence.
    let mut floods: JoinSet<_> = (0..8)
        .map(|_| flood(port, request.clone(), 2_500))
        .collect();
    let mut answers = 0;
    while let Some(flood) = floods.join_next().await {
        answers += flood.unwrap();
    }
    assert_eq!(answers, 20_000);
    assert_eq!(site.discord.count(Route::ExchangeToken), 1);
    // With a new one each time.
    let started = Instant::now();
    for _ in 0..60 {
        let away = location(&browser.get("/oauth/login").await);
        let user = site.discord.owner(site.guild).unwrap();
        let back = browser.visit_discord(&away, user).await;
        let status = browser.get(&back).await.status().as_u16();
        assert!([200, 429].contains(&status), "{status}");
    }
    let bound = 20 + 2 * (started.elapsed().as_secs() + 1);
    let exchanges = site.discord.count(Route::ExchangeToken);
    assert!(exchanges <= 1 + bound, "{exchanges} of at most {bound}");
    assert_eq!(site.discord.invalid_requests(), 0);
    assert_eq!(site.discord.violations(), []);
}

/// Sends the same request many times over one connection; how many answers there were.
async fn flood(port: u16, request: String, times: usize) -> usize {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = async {
        for _ in 0..times {
            writer.write_all(request.as_bytes()).await.unwrap();
        }
        writer
    };
    let reading = async {
        let (mut answers, mut rest) = (0, Vec::new());
        let mut chunk = vec![0; 1 << 16];
        while answers < times {
            let read = reader.read(&mut chunk);
            let read = tokio::time::timeout(Duration::from_secs(60), read).await;
            let read = read.expect("it answers").unwrap();
            assert_ne!(read, 0, "it keeps the connection");
            rest.extend_from_slice(&chunk[..read]);
            let mark = b"HTTP/1.1 ";
            answers += rest.windows(mark.len()).filter(|part| part == mark).count();
            // A mark that is cut in two is found with the next chunk.
            rest.drain(..rest.len().saturating_sub(mark.len() - 1));
        }
        answers
    };
    tokio::join!(sending, reading).1
}
