//! The files of the pages: kept by browsers for good, small on the way; and what stands at the foot of every page.

use super::site::{Setup, start};
use super::visitor::Browser;

fn addresses(page: &str) -> Vec<String> {
    let quoted = page.split('"').filter(|part| part.starts_with("/assets/"));
    quoted.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_a_page_loads_is_compressed_and_kept_for_good() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let page = ada.browser.get(&link).await.text().await.unwrap();
    let addresses = addresses(&page);
    assert!(addresses.len() >= 3, "{addresses:?}");
    let http = crate::support::http::builder().gzip(false).build().unwrap();
    for path in addresses {
        let url = site.url.join(&path).unwrap();
        let answer = http.get(url.clone()).header("accept-encoding", "br, gzip");
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let keep = answer.headers()["cache-control"].to_str().unwrap();
        assert!(keep.contains("immutable") && keep.contains("max-age=31536000"));
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        let packed = answer.bytes().await.unwrap();
        let plain = http.get(url).send().await.unwrap();
        assert!(!plain.headers().contains_key("content-encoding"));
        assert!(packed.len() < plain.bytes().await.unwrap().len(), "{path}");
        // Of another release: never mixed with this one's.
        let (_, name) = path.rsplit_once('/').unwrap();
        let other = site.url.join(&format!("/assets/0000000000000000/{name}"));
        assert_eq!(http.get(other.unwrap()).send().await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn every_page_names_a_contact_and_the_privacy_policy() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let mut stranger = Browser::new(&site.url);
    let mut pages = vec![ada.browser.get(&link).await, ada.browser.get("/").await];
    for path in [link.as_str(), "/nothing", "/verify/x"] {
        pages.push(stranger.get(path).await);
    }
    for page in pages {
        let url = page.url().clone();
        let page = page.text().await.unwrap();
        assert!(page.contains("href=\"mailto:help@club.example\""), "{url}");
        assert!(
            page.contains("href=\"https://club.example/privacy\""),
            "{url}"
        );
    }
}
