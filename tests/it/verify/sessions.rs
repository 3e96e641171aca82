//! How a sign-in ends, and that nothing of it can be used twice.

use std::time::Duration;

use amser_roles::domain::UserId;
use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};
use serde_json::json;

use super::site::{Running, Setup, start};
use super::visitor::{Browser, answer, code, location};

const DEADLINE: Duration = Duration::from_secs(30);
const LOG_OUT: &str = "/api/v1/logout";

/// Whether the browser's sign-in counts.
async fn is_signed_in(site: &Running, browser: &mut Browser, user: UserId) -> bool {
    let page = browser.get(&site.verify(user)).await;
    page.text().await.unwrap().contains("Link your wallet</h1>")
}

/// Signs in as someone who looks after servers.
async fn sign_in_to_the_dashboard(browser: &mut Browser, user: UserId, next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let away = browser.get(&format!("/oauth/login?next={next}")).await;
    let back = browser.visit_discord(&location(&away), user).await;
    location(&browser.get(&back).await)
}

#[tokio::test]
async fn logging_out_ends_the_session_in_every_copy_of_its_cookie() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let mut copy = ada.browser.clone();
    assert!(is_signed_in(&site, &mut copy, ada.id).await);
    let foreign = ada.browser.request(LOG_OUT);
    let refused = answer(ada.browser.send(foreign).await).await;
    assert_eq!((refused.0, code(&refused).as_str()), (403, "cross_origin"));
    assert_eq!(
        ada.browser.post(LOG_OUT, &json!({})).await,
        (200, json!({}))
    );
    assert!(!ada.browser.cookies.contains_key("amser_roles_session"));
    assert!(!is_signed_in(&site, &mut copy, ada.id).await);
    let again = copy.post(LOG_OUT, &json!({})).await;
    assert_eq!((again.0, code(&again).as_str()), (401, "sign_in_required"));
}

#[tokio::test]
async fn a_form_logs_out_and_leads_to_the_first_page() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    // The second time the session is over already.
    for _ in 0..2 {
        let form = ada.browser.request(LOG_OUT);
        // As a form on a page without a referrer sends it.
        let form = form
            .header("origin", "null")
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html,*/*")
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = ada.browser.send(form).await;
        assert_eq!(
            (answer.status().as_u16(), location(&answer).as_str()),
            (303, "/")
        );
    }
    assert!(!is_signed_in(&site, &mut ada.browser, ada.id).await);
}

#[tokio::test]
async fn deleting_what_is_stored_of_a_member_ends_their_sessions() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let mut eve = site.member("eve").await;
    site.store.forget_member(ada.id).unwrap();
    assert!(!is_signed_in(&site, &mut ada.browser, ada.id).await);
    assert!(is_signed_in(&site, &mut eve.browser, eve.id).await);
}

#[tokio::test]
async fn a_merchants_session_ends_eight_hours_after_its_last_use() {
    let site = start(Setup::default()).await;
    let owner = site.discord.owner(site.guild).unwrap();
    let mut browser = Browser::new(&site.url);
    let page = "/dashboard/7/members?filter=waiting";
    assert_eq!(
        sign_in_to_the_dashboard(&mut browser, owner, page).await,
        page
    );
    let [session] = site.store.sessions_of(owner).unwrap().try_into().unwrap();
    assert_eq!(
        session.servers,
        [site.guild],
        "those that the owner manages"
    );
    for _ in 0..3 {
        site.pass(7 * 3600);
        assert!(is_signed_in(&site, &mut browser, owner).await);
    }
    site.pass(8 * 3600);
    assert!(!is_signed_in(&site, &mut browser, owner).await);
}

#[tokio::test]
async fn two_windows_sign_in_beside_each_other() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let mut browser = Browser::new(&site.url);
    let first = location(&browser.get("/oauth/login").await);
    let second = location(&browser.get("/oauth/login?next=/dashboard").await);
    let back = browser.visit_discord(&first, user).await;
    assert_eq!(browser.get(&back).await.status(), 200);
    let back = browser.visit_discord(&second, user).await;
    assert_eq!(location(&browser.get(&back).await), "/dashboard");
    assert_eq!(
        site.store.sessions_of(user).unwrap().len(),
        1,
        "one browser, one session"
    );
}

#[tokio::test]
async fn a_state_is_used_up_even_where_the_browser_keeps_its_cookie() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let mut browser = Browser::new(&site.url);
    let away = location(&browser.get("/oauth/login").await);
    let mut copy = browser.clone();
    let back = browser.visit_discord(&away, user).await;
    assert_eq!(browser.get(&back).await.status(), 200);
    for _ in 0..50 {
        assert_eq!(copy.get(&back).await.status(), 400);
    }
    assert_eq!(site.discord.count(Route::ExchangeToken), 1);
}

#[tokio::test]
async fn a_token_is_revoked_after_its_use() {
    let site = start(Setup::default()).await;
    site.member("ada").await;
    let is_revoked = |discord: &LocalDiscord| discord.count(Route::RevokeToken) == 1;
    let revoked = site
        .discord
        .wait_until("it is revoked", DEADLINE, is_revoked);
    revoked.await.unwrap();
    assert_eq!(site.discord.invalid_requests(), 0);
}

#[tokio::test]
async fn who_signs_in_twice_at_once_is_signed_in_twice() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let (mut first, mut second) = (Browser::new(&site.url), Browser::new(&site.url));
    let mut back = Vec::new();
    for browser in [&mut first, &mut second] {
        let away = location(&browser.get("/oauth/login").await);
        back.push(browser.visit_discord(&away, user).await);
    }
    // The first token is revoked between what the second sign-in asks for, and Discord ends all of the visitor's tokens with it.
    let slow = |route, millis| {
        let fault = Fault::Slow(Duration::from_millis(millis));
        site.discord.inject(Some(route), fault, Times::Next(1));
    };
    slow(Route::RevokeToken, 300);
    assert_eq!(first.get(&back[0]).await.status(), 200);
    slow(Route::GetCurrentUser, 900);
    assert_eq!(second.get(&back[1]).await.status(), 200);
    assert!(is_signed_in(&site, &mut second, user).await);
    assert_eq!(site.discord.invalid_requests(), 0);
}

#[tokio::test]
async fn a_sign_in_waits_for_discords_rate_limit() {
    let site = start(Setup::default()).await;
    let wait = Fault::RateLimited(Duration::from_millis(200));
    site.discord
        .inject(Some(Route::ExchangeToken), wait, Times::Next(1));
    let mut ada = site.member("ada").await;
    assert!(is_signed_in(&site, &mut ada.browser, ada.id).await);
    assert_eq!(site.discord.count(Route::ExchangeToken), 2);
}
