//! Sign-in with Discord, what goes wrong on the way, and the page without it.

use amser_roles::sandbox::chain::wallet;
use serde_json::json;

use super::site::{Setup, start};
use super::visitor::{Browser, code, location};

#[tokio::test]
async fn signing_in_leads_back_to_the_link_and_nowhere_else() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let link = site.verify(user);
    let token = link.strip_prefix("/verify/").unwrap();
    let mut browser = Browser::new(&site.url);
    let page = browser.get(&link).await.text().await.unwrap();
    assert!(page.contains(&format!("\"/oauth/login?link={token}")));
    let end = browser.sign_in(user, Some(token)).await;
    assert_eq!(end, site.url.join(&link).unwrap().as_str());
    let page = browser.get(&end).await.text().await.unwrap();
    for part in ["Café Club", "ada the First", "@ada"] {
        assert!(page.contains(part), "{part}");
    }
    for odd in ["https://evil.example", "//evil.example", "../x", ""] {
        let query: String = url::form_urlencoded::byte_serialize(odd.as_bytes()).collect();
        let answer = browser.get(&format!("/oauth/login?link={query}")).await;
        assert_eq!(answer.status(), 404, "{odd}");
        assert!(!answer.headers().contains_key("location"));
    }
}

#[tokio::test]
async fn the_request_to_discord_has_state_pkce_and_identify_alone() {
    let site = start(Setup::default()).await;
    let mut browser = Browser::new(&site.url);
    let away = browser.get("/oauth/login").await;
    let cookie = away.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let url = url::Url::parse(&location(&away)).unwrap();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().collect();
    assert_eq!(
        (query["response_type"].as_ref(), query["scope"].as_ref()),
        ("code", "identify")
    );
    assert_eq!(query["code_challenge_method"], "S256");
    assert!(query["state"].len() >= 16 && query["code_challenge"].len() == 43);
    assert!(
        !cookie.contains(query["state"].as_ref()),
        "the cookie is encrypted"
    );
}

#[tokio::test]
async fn cookies_are_private_and_secure_on_https() {
    let setup = Setup {
        https: true,
        ..Setup::default()
    };
    let site = start(setup).await;
    let user = site.discord.add_user("ada");
    let mut browser = Browser::new(&site.url);
    let away = browser.get("/oauth/login").await;
    let back = browser.visit_discord(&location(&away), user).await;
    let end = browser.get(&back).await;
    let cookies: Vec<_> = end
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    for cookie in cookies {
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        for attribute in ["HttpOnly", "Secure", "Path=/", "SameSite"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(
            !cookie.contains(&user.to_string()) && !cookie.contains("Domain"),
            "{cookie}"
        );
    }
    // A cookie that was changed, or made under another key, is none.
    let session = browser
        .cookies
        .get_mut("__Host-amser_roles_session")
        .unwrap();
    let changed = if session.ends_with('A') { "B" } else { "A" };
    session.replace_range(session.len() - 1.., changed);
    let link = site.verify(user);
    let page = browser.get(&link).await.text().await.unwrap();
    assert!(page.contains("Sign in with Discord"));
}

#[tokio::test]
async fn a_sign_in_that_this_browser_did_not_start_is_refused() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("eve");
    let mut eve = Browser::new(&site.url);
    let away = eve.get("/oauth/login").await;
    let back = eve.visit_discord(&location(&away), user).await;
    // Another browser is sent to Eve's callback: it must not end up signed in as her.
    let mut victim = Browser::new(&site.url);
    let page = victim.get(&back).await;
    assert_eq!(page.status(), 400);
    assert!(!victim.cookies.contains_key("amser_roles_session"));
    victim.get("/oauth/login").await;
    assert_eq!(
        victim.get(&back).await.status(),
        400,
        "nor with a sign-in of its own under way"
    );
    // Hers works once.
    assert_eq!(eve.get(&back).await.status(), 200);
    assert!(eve.cookies.contains_key("amser_roles_session"));
    assert_eq!(eve.get(&back).await.status(), 400);
}

#[tokio::test]
async fn a_sign_in_that_takes_too_long_or_is_declined_or_fails_says_so() {
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let mut browser = Browser::new(&site.url);
    let away = location(&browser.get("/oauth/login").await);
    let back = browser.visit_discord(&away, user).await;
    site.pass(600);
    let page = browser.get(&back).await;
    assert_eq!(page.status(), 400);
    assert!(page.text().await.unwrap().contains("too long ago"));

    let begins = "/oauth/login?next=%2Fdashboard%2F7";
    let away = location(&browser.get(begins).await);
    let back = browser.visit_discord(&format!("{away}&deny=1"), user).await;
    let page = browser.get(&back).await;
    assert_eq!(page.status(), 400);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("did not allow") && page.contains(begins),
        "{page}"
    );

    let away = location(&browser.get("/oauth/login").await);
    let mut back = url::Url::parse(&browser.visit_discord(&away, user).await).unwrap();
    let state = back
        .query_pairs()
        .find(|(key, _)| key == "state")
        .unwrap()
        .1
        .into_owned();
    back.query_pairs_mut()
        .clear()
        .append_pair("code", "guess")
        .append_pair("state", &state);
    let page = browser.get(back.as_str()).await;
    assert_eq!(page.status(), 502);
    assert!(page.text().await.unwrap().contains("did not confirm"));
    assert!(!browser.cookies.contains_key("amser_roles_session"));
}

#[tokio::test]
async fn a_session_ends_after_an_hour() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    site.pass(3600);
    let link = site.verify(ada.id);
    let body = json!({ "address": wallet("ada's").address().to_string() });
    let answer = ada.browser.post(&format!("{link}/challenge"), &body).await;
    assert_eq!(code(&answer), "sign_in_required");
}

#[tokio::test]
async fn without_a_sign_in_the_page_says_whose_account_it_is_and_the_name_is_typed() {
    let setup = Setup {
        sign_in: false,
        ..Setup::default()
    };
    let site = start(setup).await;
    let user = site.discord.add_user("ada");
    let link = site.verify(user);
    let mut browser = Browser::new(&site.url);
    assert_eq!(browser.get("/oauth/login").await.status(), 404);
    let page = browser.get(&link).await.text().await.unwrap();
    assert!(
        page.contains("The membership goes to ada the First (@ada)"),
        "{page}"
    );
    assert!(page.contains("data-username=\"ada\""));
    let address = wallet("ada's").address().to_string();
    let path = format!("{link}/challenge");
    let wrong = json!({ "address": address, "discord_name": "eve" });
    let answer = browser.post(&path, &wrong).await;
    assert_eq!((answer.0, code(&answer).as_str()), (400, "name_mismatch"));
    let right = json!({ "address": address, "discord_name": " @Ada " });
    assert_eq!(browser.post(&path, &right).await.0, 200);
    let unsaid = browser.post(&path, &json!({ "address": address })).await;
    assert_eq!((unsaid.0, code(&unsaid).as_str()), (400, "name_mismatch"));
    browser.name = Some("ada".to_owned());
    assert_eq!(browser.link(&link, &wallet("ada's")).await.0, 200);
}
