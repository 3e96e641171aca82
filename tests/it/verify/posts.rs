//! Posts: JSON alone, from our page alone, of bounded size; and the headers of every answer.

use amser_roles::sandbox::chain::wallet;
use serde_json::{Value, json};

use super::site::{Setup, start};
use super::visitor::{Browser, answer, code, sign};

fn body() -> Value {
    json!({ "address": wallet("ada's").address().to_string() })
}

#[tokio::test]
async fn another_sites_post_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let path = format!("{}/challenge", site.verify(ada.id));
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "",
        "http://127.0.0.1",
    ] {
        let request = ada
            .browser
            .request(&path)
            .header("origin", origin)
            .json(&body());
        let refused = answer(ada.browser.send(request).await).await;
        assert_eq!(
            (refused.0, code(&refused).as_str()),
            (403, "cross_origin"),
            "{origin}"
        );
    }
    let request = ada
        .browser
        .request(&path)
        .header("sec-fetch-site", "cross-site")
        .json(&body());
    let refused = answer(ada.browser.send(request).await).await;
    assert_eq!(code(&refused), "cross_origin");
}

#[tokio::test]
async fn a_post_without_origin_needs_the_csrf_token() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let path = format!("{link}/challenge");
    // A client that keeps cookies has the token among them, and so needs no more.
    let request = ada.browser.request(&path).json(&body());
    assert_eq!(ada.browser.send(request).await.status(), 200);
    let page = ada.browser.get(&link).await.text().await.unwrap();
    let token = page
        .split("data-csrf=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    ada.browser.cookies.remove("amser_roles_csrf").unwrap();
    let request = ada.browser.request(&path).json(&body());
    let refused = answer(ada.browser.send(request).await).await;
    assert_eq!((refused.0, code(&refused).as_str()), (403, "csrf_missing"));
    for wrong in ["", "guess", &token[1..]] {
        let request = ada
            .browser
            .request(&path)
            .header("x-csrf-token", wrong)
            .json(&body());
        let refused = answer(ada.browser.send(request).await).await;
        assert_eq!(code(&refused), "csrf_missing");
    }
    let request = ada
        .browser
        .request(&path)
        .header("x-csrf-token", &token)
        .json(&body());
    assert_eq!(ada.browser.send(request).await.status(), 200);
}

#[tokio::test]
async fn another_sites_signature_links_nothing() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let message = ada.browser.challenge(&link, signer.address()).await;
    let signature = format!("0x{}", hex::encode(sign(&signer, &message)));
    let body = json!({ "message": message, "signature": signature });
    let path = format!("{link}/signature");
    let foreign = |name, value| ada.browser.request(&path).header(name, value).json(&body);
    let foreign = [
        foreign("origin", "https://evil.example"),
        foreign("origin", "null"),
        foreign("sec-fetch-site", "cross-site"),
    ];
    for request in foreign {
        let refused = answer(ada.browser.send(request).await).await;
        let expected = (403, "cross_origin");
        assert_eq!((refused.0, code(&refused).as_str()), expected);
    }
    let token = ada.browser.cookies.remove("amser_roles_csrf").unwrap();
    let unproven = [
        ada.browser.request(&path).json(&body),
        ada.browser
            .request(&path)
            .header("x-csrf-token", "guess")
            .json(&body),
    ];
    for request in unproven {
        let refused = answer(ada.browser.send(request).await).await;
        assert_eq!((refused.0, code(&refused).as_str()), (403, "csrf_missing"));
    }
    assert_eq!(site.store.links_of(ada.id).unwrap(), []);
    ada.browser
        .cookies
        .insert("amser_roles_csrf".to_owned(), token);
    let request = ada.browser.request(&path).json(&body);
    assert_eq!(ada.browser.send(request).await.status(), 200);
    assert_eq!(site.store.links_of(ada.id).unwrap().len(), 1);
}

#[tokio::test]
async fn only_json_of_bounded_size_is_read() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let path = format!("{}/challenge", site.verify(ada.id));
    let origin = site.url.origin().ascii_serialization();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let request = ada
            .browser
            .request(&path)
            .header("origin", &origin)
            .header("content-type", kind)
            .body(body().to_string());
        let refused = answer(ada.browser.send(request).await).await;
        assert_eq!(
            (refused.0, code(&refused).as_str()),
            (415, "not_json"),
            "{kind}"
        );
    }
    let large = json!({ "address": "0".repeat(70_000) });
    let refused = ada.browser.post(&path, &large).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (413, "body_too_large")
    );
    for odd in [json!([]), json!({}), json!({ "address": 5 }), json!(null)] {
        let refused = ada.browser.post(&path, &odd).await;
        assert_eq!(
            (refused.0, code(&refused).as_str()),
            (400, "bad_request"),
            "{odd}"
        );
    }
    assert_eq!(ada.browser.get(&path).await.status(), 405);
}

#[tokio::test]
async fn the_address_itself_says_what_it_is() {
    let site = start(Setup::default()).await;
    let front = Browser::new(&site.url).get("/").await;
    assert_eq!(front.status(), 200);
    assert!(front.text().await.unwrap().contains("/verify"));
}

#[tokio::test]
async fn odd_addresses_are_refused_in_our_own_words() {
    let site = start(Setup::default()).await;
    let mut browser = Browser::new(&site.url);
    for (path, expected) in [
        ("/verify/%ff/challenge", "link_unknown"),
        ("/verify/a%00b/challenge", "link_unknown"),
        ("/verify/../../etc/passwd", "not_found"),
        ("/verify/x/y/z", "not_found"),
        ("/nothing", "not_found"),
        ("/oauth/login", "method_not_allowed"),
    ] {
        let refused = browser.post(path, &body()).await;
        assert_eq!(code(&refused), expected, "{path}");
    }
    for path in [
        "/oauth/callback?code=a&code=b",
        "/oauth/login?link=a&link=b",
        "/oauth/login?link=%ff",
    ] {
        let status = browser.get(path).await.status();
        assert!(status == 400 || status == 404, "{path}: {status}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    for https in [false, true] {
        let setup = Setup {
            https,
            ..Setup::default()
        };
        let site = start(setup).await;
        let mut ada = site.member("ada").await;
        let link = site.verify(ada.id);
        for path in [
            &link,
            "/verify/x",
            "/",
            "/nothing",
            "/healthz",
            "/favicon.ico",
            "/oauth/login",
        ] {
            let answer = ada.browser.get(path).await;
            let header = |name: &str| {
                let value = answer.headers().get(name);
                value.map_or("", |value| value.to_str().unwrap()).to_owned()
            };
            let policy = header("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'")
            );
            assert!(
                !policy.contains("unsafe") && !policy.contains("http"),
                "{policy}"
            );
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("x-frame-options"), "DENY");
            assert!(header("permissions-policy").contains("camera=()"));
            assert_eq!(header("strict-transport-security").is_empty(), !https);
            assert!(!header("cache-control").is_empty());
        }
        let page = ada.browser.get(&link).await.text().await.unwrap();
        assert!(!page.contains("<style") && !page.contains("onclick") && !page.contains("style="));
        for tag in page.split("<script").skip(1) {
            assert!(
                tag.contains("src=\"/assets/") && tag.contains("/verify.js\"></script>"),
                "no inline script: {tag}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_at_any_depth_finds_its_style() {
    let site = start(Setup::default()).await;
    let mut browser = Browser::new(&site.url);
    let link = site.verify(site.discord.add_user("ada"));
    for path in [
        "/nothing",
        "/verify/x",
        "/no/such/page",
        &format!("{link}/challenge"),
    ] {
        let refusal = browser.get(path).await;
        assert!(refusal.status().is_client_error(), "{path}");
        let page = refusal.text().await.unwrap();
        let style = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
        let style = style.split('"').next().unwrap();
        let style = site.url.join(path).unwrap().join(style).unwrap();
        let styled = browser.get(style.path()).await;
        assert_eq!(styled.status(), 200, "{path} asks for {style}");
    }
}
