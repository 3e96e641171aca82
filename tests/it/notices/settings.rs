//! Which channel, and whether members are told: the dashboard's settings.

use amser_roles::domain::ChannelId;
use reqwest::Method;
use serde_json::json;

use super::channel;
use crate::support::shop::Shop;
use crate::verify::visitor::Browser;

/// The settings page after a form with these fields, and its status.
async fn post(
    browser: &mut Browser,
    shop: &Shop,
    fields: &[(&str, String)],
) -> (reqwest::StatusCode, String) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let path = format!("/dashboard/{}/settings", shop.guild);
    let origin = browser.base.origin().ascii_serialization();
    let request = browser
        .request_with(Method::POST, &path)
        .header("accept", "text/html")
        .header("origin", origin)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = browser.send(request).await;
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_channel_is_chosen_among_those_of_the_own_server_in_which_the_bot_can_write() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let general = channel(&shop.discord, shop.guild);
    let hidden = shop.discord.add_channel(shop.guild, "hidden").unwrap();
    shop.discord.set_bot_may_see(hidden, false);
    let silent = shop.discord.add_channel(shop.guild, "silent").unwrap();
    shop.discord.set_bot_may_write(silent, false);
    let elsewhere = shop.discord.add_guild("Elsewhere");
    let foreign = channel(&shop.discord, elsewhere);
    let path = format!("/dashboard/{}/settings", shop.guild);
    let shown = browser.get(&path).await.text().await.unwrap();
    assert!(
        shown.contains(&format!("<option value=\"{general}\">#general</option>")),
        "{shown}"
    );
    for (name, why) in [("hidden", "View Channel"), ("silent", "Send Messages")] {
        let (_, after) = shown.split_once(&format!("<li>#{name}: ")).unwrap();
        let (sentence, _) = after.split_once("</li>").unwrap();
        assert!(sentence.contains(why), "{sentence}");
    }
    assert!(!shown.contains(&foreign.to_string()), "{shown}");
    for refused in [foreign, ChannelId(silent.get())] {
        let fields = [("log_channel", refused.to_string())];
        let (status, text) = post(&mut browser, &shop, &fields).await;
        assert_eq!(status, 422, "{text}");
    }
    assert_eq!(
        shop.store.settings(shop.guild).unwrap().1,
        Default::default()
    );
    let fields = [
        ("log_channel", general.to_string()),
        ("member_notices", "yes".to_owned()),
    ];
    let (status, text) = post(&mut browser, &shop, &fields).await;
    assert_eq!(status, 303, "{text}");
    let set = shop.store.settings(shop.guild).unwrap().1;
    assert_eq!(
        (set.log_channel, set.member_notices),
        (Some(general), Some(true))
    );
    // A script meets the same check.
    let body = json!({ "alert_channel": foreign });
    let request = browser.request_with(Method::PUT, &shop.path("/settings"));
    let origin = browser.base.origin().ascii_serialization();
    let answer = browser
        .send(request.header("origin", origin).json(&body))
        .await;
    assert_eq!(answer.status(), 422);
    let shown = browser.get(&path).await.text().await.unwrap();
    let chosen = format!("<option value=\"{general}\" selected>#general</option>");
    assert!(shown.contains(&chosen), "{shown}");
}
