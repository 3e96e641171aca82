//! Pictures come from Discord's CDN by way of us, to whom they may be shown, and nothing else comes that way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use url::Url;

use super::site::{Running, Setup, start};
use super::visitor::{Browser, answer, code};

const LARGEST: usize = 512 * 1024;

/// Requests by file.
type Asked = Arc<Mutex<BTreeMap<String, u64>>>;

async fn file(State(asked): State<Asked>, Path(name): Path<String>) -> Response {
    *asked.lock().unwrap().entry(name.clone()).or_default() += 1;
    let of = |kind: &'static str, body: Vec<u8>| ([(CONTENT_TYPE, kind)], body).into_response();
    let to = |name: HeaderName, value: &'static str| (StatusCode::FOUND, [(name, value)]);
    match name.as_str() {
        "icon.png" => of("image/png", b"the icon".to_vec()),
        "avatar.webp" => of("image/webp", b"the avatar".to_vec()),
        "large.png" => of("image/png", vec![7; LARGEST]),
        "huge.png" => of("image/png", vec![7; LARGEST + 1]),
        "page.html" => of("text/html", b"<script>alert(1)</script>".to_vec()),
        "drawing.svg" => of("image/svg+xml", b"<svg/>".to_vec()),
        "untyped" => b"the icon".to_vec().into_response(),
        "moved.png" => to(LOCATION, "icon.png").into_response(),
        "broken.png" => StatusCode::BAD_GATEWAY.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A place that serves pictures as Discord's CDN does, and what was asked of it.
async fn cdn() -> (Url, Asked) {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let routes = Router::new()
        .route("/{name}", get(file))
        .with_state(Arc::clone(&asked));
    tokio::spawn(axum::serve(listener, routes).into_future());
    (url.parse().unwrap(), asked)
}

async fn site(icon: Url, avatar: Url) -> Running {
    let setup = Setup {
        pictures: Some((icon, avatar)),
        ..Setup::default()
    };
    start(setup).await
}

#[tokio::test]
async fn a_member_sees_the_servers_picture_and_their_own() {
    let (cdn, asked) = cdn().await;
    let icon = cdn.join("icon.png").unwrap();
    let site = site(icon, cdn.join("avatar.webp").unwrap()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let page = ada.browser.get(&link).await.text().await.unwrap();
    for (of, kind, body) in [
        ("server", "image/png", "the icon"),
        ("member", "image/webp", "the avatar"),
    ] {
        let path = format!("{link}/picture/{of}");
        let relative = path.strip_prefix("/verify/").unwrap();
        assert!(page.contains(&format!("src=\"{relative}\"")), "{page}");
        let picture = ada.browser.get(&path).await;
        assert_eq!(picture.status(), 200, "{of}");
        let header = |name: &str| picture.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), kind);
        assert_eq!(header("cache-control"), "private, max-age=600");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(picture.text().await.unwrap(), body);
    }
    assert_eq!(asked.lock().unwrap().values().sum::<u64>(), 2);
}

#[tokio::test]
async fn pictures_are_for_the_member_alone() {
    let (cdn, asked) = cdn().await;
    let icon = cdn.join("icon.png").unwrap();
    let site = site(icon, cdn.join("avatar.webp").unwrap()).await;
    let ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let mut nobody = Browser::new(&site.url);
    let mut eve = site.member("eve").await;
    for of in ["server", "member"] {
        let path = format!("{link}/picture/{of}");
        let refused = answer(nobody.load(&path).await).await;
        let expected = (401, "sign_in_required");
        assert_eq!((refused.0, code(&refused).as_str()), expected);
        let refused = answer(eve.browser.load(&path).await).await;
        assert_eq!((refused.0, code(&refused).as_str()), (403, "other_member"));
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_link_or_picture_is_not_found() {
    let (cdn, asked) = cdn().await;
    let icon = cdn.join("icon.png").unwrap();
    let site = site(icon.clone(), icon).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let unknown = "A".repeat(43);
    for (path, expected) in [
        (format!("/verify/{unknown}/picture/server"), "link_unknown"),
        ("/verify/nonsense/picture/server".to_owned(), "link_unknown"),
        (format!("{link}/picture/banner"), "not_found"),
        (format!("{link}/picture/Server"), "not_found"),
        (format!("{link}/picture/..%2fserver"), "not_found"),
    ] {
        let refused = answer(ada.browser.load(&path).await).await;
        assert_eq!(
            (refused.0, code(&refused).as_str()),
            (404, expected),
            "{path}"
        );
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_picture_there_is_none_to_be_had() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let page = ada.browser.get(&link).await.text().await.unwrap();
    assert!(!page.contains("/picture/"), "{page}");
    for of in ["server", "member"] {
        let refused = ada.browser.get(&format!("{link}/picture/{of}")).await;
        assert_eq!(refused.status(), 404);
    }
}

#[tokio::test]
async fn what_is_no_picture_is_not_passed_on() {
    let (cdn, asked) = cdn().await;
    for name in [
        "huge.png",
        "page.html",
        "drawing.svg",
        "untyped",
        "moved.png",
        "broken.png",
        "gone.png",
    ] {
        let at = cdn.join(name).unwrap();
        let site = site(at.clone(), at).await;
        let mut ada = site.member("ada").await;
        let path = format!("{}/picture/server", site.verify(ada.id));
        let answered = ada.browser.load(&path).await;
        assert_eq!(answered.headers()["cache-control"], "no-store", "{name}");
        let refused = answer(answered).await;
        assert_eq!(
            (refused.0, code(&refused).as_str()),
            (404, "not_found"),
            "{name}"
        );
        assert_eq!(asked.lock().unwrap().get(name), Some(&1), "it was met");
    }
    assert_eq!(asked.lock().unwrap().get("icon.png"), None, "not followed");
    let nobody: Url = "http://127.0.0.1:9/icon.png".parse().unwrap();
    for (at, status) in [(cdn.join("large.png").unwrap(), 200), (nobody, 404)] {
        let site = site(at.clone(), at).await;
        let mut ada = site.member("ada").await;
        let path = format!("{}/picture/server", site.verify(ada.id));
        assert_eq!(ada.browser.get(&path).await.status(), status);
    }
}
