//! *Continue in a wallet's browser*: a code works once, for two minutes, for its own link, and signs in for nothing else.

use serde_json::json;
use url::Url;

use amser_roles::sandbox::chain::wallet;

use super::site::{Member, Running, Setup, start};
use super::visitor::{Browser, code};

/// Asks for a code: the address to open, from the root, and the code.
async fn offered(member: &mut Member, link: &str) -> (String, String) {
    let path = format!("{link}/handover");
    let (status, answer) = member.browser.post(&path, &json!({})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["valid_seconds"], 120);
    let url: Url = answer["url"].as_str().unwrap().parse().unwrap();
    let (_, code) = url.query_pairs().find(|(name, _)| name == "code").unwrap();
    let path = url[url::Position::BeforePath..].to_owned();
    assert_eq!(url.path(), link);
    (path, code.into_owned())
}

async fn go_on(site: &Running, link: &str, code: &str) -> (Browser, super::visitor::Answer) {
    let mut browser = Browser::new(&site.url);
    let path = format!("{link}/continue");
    let answer = browser.post(&path, &json!({ "code": code })).await;
    (browser, answer)
}

#[tokio::test]
async fn a_code_signs_another_browser_in_once() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let (path, secret) = offered(&mut ada, &link).await;
    // Looking uses nothing up, and says whose it is.
    for _ in 0..2 {
        let mut preview = Browser::new(&site.url);
        let page = preview.get(&path).await;
        assert_eq!(page.status(), 200);
        let page = page.text().await.unwrap();
        assert!(page.contains("Is this you?") && page.contains("ada the First (@ada)"));
        assert!(preview.cookies.is_empty());
    }
    let (mut wallets, answer) = go_on(&site, &link, &secret).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    assert_eq!(wallets.link(&link, &wallet("ada's")).await.0, 200);
    let (_, again) = go_on(&site, &link, &secret).await;
    assert_eq!((again.0, code(&again).as_str()), (410, "link_used"));
}

#[tokio::test]
async fn a_code_that_was_used_or_replaced_or_is_two_minutes_old_is_over() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("lovelace").await;
    let link = site.verify(ada.id);
    let (_, used) = offered(&mut ada, &link).await;
    assert_eq!(go_on(&site, &link, &used).await.1.0, 200);
    let (_, replaced) = offered(&mut ada, &link).await;
    let (path, late) = offered(&mut ada, &link).await;
    for secret in [used, replaced, "nonsense".to_owned()] {
        let (browser, answer) = go_on(&site, &link, &secret).await;
        assert_eq!(
            (answer.0, code(&answer).as_str()),
            (410, "handover_expired")
        );
        assert!(browser.cookies.is_empty());
    }
    site.pass(120);
    let page = Browser::new(&site.url).get(&path).await;
    assert_eq!(page.status(), 410);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("no longer valid") && !page.contains("lovelace"),
        "{page}"
    );
    assert_eq!(go_on(&site, &link, &late).await.1.0, 410);
}

#[tokio::test]
async fn a_code_is_for_its_own_link_and_signs_in_for_nothing_else() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let mut eve = site.member("eve").await;
    let (link, eves) = (site.verify(ada.id), site.verify(eve.id));
    let (_, secret) = offered(&mut eve, &eves).await;
    let (_, refused) = go_on(&site, &link, &secret).await;
    assert_eq!(code(&refused), "handover_expired");
    let (_, secret) = offered(&mut ada, &link).await;
    let (mut wallets, answer) = go_on(&site, &link, &secret).await;
    assert_eq!(answer.0, 200);
    assert_eq!(wallets.get(&link).await.status(), 200);
    // Nothing of the dashboard, and no other link of the same member.
    assert_eq!(wallets.post("/api/v1/logout", &json!({})).await.0, 401);
    let first = wallets.get("/dashboard").await.text().await.unwrap();
    assert!(first.contains("Add to your Discord server"), "{first}");
    let newer = site.verify(ada.id);
    let asked = json!({ "address": wallet("ada's").address().to_string() });
    let refused = wallets.post(&format!("{newer}/challenge"), &asked).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (401, "sign_in_required")
    );
}

#[tokio::test]
async fn only_the_signed_in_member_makes_a_code() {
    let site = start(Setup::default()).await;
    let ada = site.member("ada").await;
    let mut eve = site.member("eve").await;
    let path = format!("{}/handover", site.verify(ada.id));
    let mut nobody = Browser::new(&site.url);
    assert_eq!(nobody.post(&path, &json!({})).await.0, 401);
    assert_eq!(eve.browser.post(&path, &json!({})).await.0, 403);
    let site = start(Setup {
        sign_in: false,
        ..Setup::default()
    })
    .await;
    let ada = site.discord.add_user("ada");
    site.discord.add_member(site.guild, ada).unwrap();
    let path = format!("{}/handover", site.verify(ada));
    let refused = Browser::new(&site.url).post(&path, &json!({})).await;
    assert_eq!((refused.0, code(&refused).as_str()), (404, "no_sign_in"));
}
