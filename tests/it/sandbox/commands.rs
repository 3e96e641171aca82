//! Commands are completed with their options, by name; answers are shown as Discord shows them.
use serde_json::{Value, json};

use super::Play;
use crate::support::until;

async fn typed(play: &Play, line: &str, index: Option<usize>) -> Value {
    let user = index.map_or(play.world.merchant, |index| play.world.members[index]);
    let body = json!({ "guild_id": play.world.guild, "user_id": user, "line": line });
    let (status, reply) = play.post("/sandbox/commands", &body).await;
    assert_eq!(status, 200, "{line}: {reply}");
    reply
}

#[tokio::test]
async fn options_are_chosen_from_lists_and_typed_by_name() {
    let play = Play::start().await;
    let page = play.shows("/member", "data-of=\"why\"").await;
    assert!(page.contains(">@Subscriber</option>"), "roles by name");
    let page = play.page("/merchant").await;
    assert!(page.contains("data-of=\"amser whois\""));
    assert!(page.contains(">@margaret</option>"), "members by name");
    for line in ["/why role:Subscriber", "/why role:@subscriber"] {
        let reply = typed(&play, line, Some(0)).await;
        assert!(
            reply["text"].as_str().unwrap().contains("Subscriber"),
            "{reply}"
        );
    }
    typed(&play, "/amser whois member:ada", None).await;
    let body = json!({
        "guild_id": play.world.guild, "user_id": play.world.members[0],
        "command": "why", "options": { "role": play.world.role } });
    assert_eq!(play.post("/sandbox/commands", &body).await.0, 200);
    play.end().await;
}

#[tokio::test]
async fn answers_are_shown_without_their_marks_and_files_and_posted_messages_with_them() {
    let play = Play::start().await;
    let status = typed(&play, "/status", Some(0)).await;
    let html = status["html"].as_str().unwrap();
    assert!(!html.contains("**") && !html.contains("&lt;@"), "{html}");
    play.done("link_wallet", play.world.members[0]).await;
    let export = typed(&play, "/privacy export", Some(0)).await;
    let html = export["html"].as_str().unwrap();
    assert!(
        html.contains("class=\"file\"") && html.contains("download="),
        "{html}"
    );
    typed(&play, "/amser verify-message", None).await;
    let page = play.shows("/merchant", "class=\"channel\"").await;
    assert!(page.contains("data-custom="), "the message has its button");
    play.end().await;
}

#[tokio::test]
async fn a_link_of_the_bot_opens_the_service_as_the_one_who_asked() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let reply = typed(&play, "/verify", Some(0)).await;
    let html = reply["html"].as_str().unwrap();
    let service = play.world.public_url();
    let opens = format!("href=\"{service}sandbox/as/{ada}?to=%2Fverify%2F");
    assert!(html.contains(&opens), "{html}");
    play.end().await;
}

#[tokio::test]
async fn the_form_of_setup_is_shown_and_sent_in_like_any_answer() {
    let play = Play::start().await;
    play.show_merchant_wallet();
    // Discord lets a form wait for three seconds; where the plans are not read by then, the bot says so, and is asked again.
    let form = until("the form comes", async || {
        let form = typed(&play, "/amser setup", None).await;
        match form["html"]
            .as_str()
            .unwrap()
            .contains("<form class=\"modal\"")
        {
            true => Ok(form),
            false => Err(form.to_string()),
        }
    })
    .await;
    let html = form["html"].as_str().unwrap();
    assert!(
        html.contains("@Subscriber") || html.contains(">Subscriber</option>"),
        "{html}"
    );
    let part = |before: &str| {
        let rest = html.split_once(before).unwrap().1;
        rest.split('"').next().unwrap().to_owned()
    };
    let plans = html.split_once("name=\"plans\"").unwrap().1;
    let plan = plans.split_once("<option value=\"").unwrap().1;
    let plan = plan.split('"').next().unwrap();
    let body = json!({
        "guild_id": play.world.guild, "user_id": play.world.merchant,
        "interaction": part("data-interaction=\""), "given": { "plans": [plan], "roles": [] } });
    let (status, preview) = play.post("/sandbox/forms", &body).await;
    assert_eq!(status, 200, "{preview}");
    let html = preview["html"].as_str().unwrap();
    assert!(
        html.contains("Set it up") && html.contains("data-custom="),
        "{html}"
    );
    let (status, again) = play.post("/sandbox/forms", &body).await;
    assert_eq!(status, 409, "{again}");
    play.end().await;
}
