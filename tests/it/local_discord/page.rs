//! The page's buttons and its live view, over HTTP.
use amser_roles::sandbox::page::action::Action;
use serde_json::{Value, json};

use super::{DEADLINE, start};

async fn post(base: &str, body: &Value) -> (u16, Value) {
    let request = crate::support::http::client()
        .post(format!("{base}/sandbox/actions"))
        .json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_button_reaches_whoever_runs_the_chain_and_brings_the_sentence_back() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let base = discord.base_url();
    let pay = json!({ "action": "pay", "user_id": user });
    assert_eq!(post(&base, &pay).await.0, 409, "nothing runs a chain yet");
    let mut actions = discord.take_actions();
    let keeper = tokio::spawn(async move {
        while let Some(request) = actions.recv().await {
            let done = match request.action {
                Action::Pay { user_id } => Ok(format!("{user_id} paid.").into()),
                _ => Err("Not today.".to_owned()),
            };
            request.answer.send(done).unwrap();
        }
    });
    assert_eq!(
        post(&base, &pay).await,
        (200, json!({ "message": format!("{user} paid.") }))
    );
    let (status, refused) = post(&base, &json!({ "action": "pass_time", "seconds": 60 })).await;
    assert_eq!(
        (status, refused["error"]["message"].as_str().unwrap()),
        (409, "Not today.")
    );
    assert_eq!(post(&base, &json!({ "action": "explode" })).await.0, 400);
    keeper.abort();
}

#[tokio::test]
async fn another_site_cannot_press_the_buttons() {
    let discord = start().await;
    let client = crate::support::http::client();
    let url = format!("{}/sandbox/actions", discord.base_url());
    let body = json!({ "action": "pass_time", "seconds": 60 });
    let foreign = client
        .post(&url)
        .header("origin", "https://evil.example")
        .json(&body);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    let form = client
        .post(&url)
        .header("content-type", "text/plain")
        .body(body.to_string());
    assert_eq!(form.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn the_live_view_shows_a_role_as_soon_as_it_is_given() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Supporter").unwrap();
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let base = discord.base_url();
    let page = reqwest::get(&base).await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'self'")
    );
    let html = page.text().await.unwrap();
    assert!(!html.contains("https://"), "nothing comes from elsewhere");
    let mut events = reqwest::get(format!("{base}/sandbox/events"))
        .await
        .unwrap();
    let shows = async |events: &mut reqwest::Response| {
        let text = events.chunk().await.unwrap().unwrap();
        let needle =
            format!(r#"aria-label=\"Roles of ada\"><li class=\"chip\" data-role=\"{role}\""#);
        String::from_utf8_lossy(&text).contains(&needle)
    };
    assert!(!shows(&mut events).await);
    discord.give_role(guild, user, role).unwrap();
    let shown = async { while !shows(&mut events).await {} };
    tokio::time::timeout(DEADLINE, shown).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_streams_hanging_requests_and_gateways() {
    let discord = start().await;
    let base = discord.base_url();
    let mut events = reqwest::get(format!("{base}/sandbox/events"))
        .await
        .unwrap();
    events.chunk().await.unwrap().unwrap();
    drop(discord);
    let ended = async { while let Ok(Some(_)) = events.chunk().await {} };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
    assert!(
        reqwest::get(&base).await.is_err(),
        "nobody listens any more"
    );
}
