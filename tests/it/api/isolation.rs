//! Nobody sees or changes what is another's: each route, tried with another's ids.

use std::collections::BTreeSet;
use std::path::Path;

use amser_roles::domain::{GateId, RoleId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{Shop, ask, make_manager};
use crate::support::stage::new_guild;
use crate::verify::visitor::code;

/// Every route of a server, with a body that would work.
fn routes(shop: &Shop, gate: &str) -> Vec<(Method, String, Option<Value>)> {
    let draft = shop.draft(&shop.roles[1..]);
    vec![
        (Method::GET, String::new(), None),
        (
            Method::POST,
            "/roles".into(),
            Some(json!({ "name": "Mine" })),
        ),
        (Method::GET, "/gates".into(), None),
        (Method::POST, "/gates/preview".into(), Some(draft.clone())),
        (Method::POST, "/gates".into(), Some(draft.clone())),
        (Method::PUT, format!("/gates/{gate}"), Some(draft)),
        (Method::DELETE, format!("/gates/{gate}"), None),
        (Method::POST, "/undo".into(), None),
        (Method::GET, "/members".into(), None),
        (Method::GET, "/members.csv".into(), None),
        (Method::GET, "/forecast".into(), None),
        (Method::GET, "/journal".into(), None),
        (Method::GET, "/series".into(), None),
        (Method::GET, "/events".into(), None),
        (
            Method::POST,
            "/test".into(),
            Some(json!({ "gate_id": gate })),
        ),
        (
            Method::POST,
            "/approve".into(),
            Some(json!({ "role_id": shop.roles[1] })),
        ),
        (Method::GET, "/settings".into(), None),
        (Method::PUT, "/settings".into(), Some(json!({}))),
        (
            Method::DELETE,
            String::new(),
            Some(json!({ "remove_roles": true })),
        ),
    ]
}

/// Every page of a server.
fn pages(gate: &str) -> Vec<(Method, String)> {
    let get = [
        "",
        "/gates",
        "/gates/map?module=0x1111111111111111111111111111111111111111",
        "/gates/preview",
        "/members",
        "/forecast",
        "/journal",
        "/settings",
    ];
    let post = [
        "/approve",
        "/undo",
        "/gates/role",
        "/gates/save",
        "/members/invite",
        "/settings",
        "/disconnect",
    ];
    let mut all: Vec<_> = get
        .iter()
        .map(|page| (Method::GET, (*page).to_owned()))
        .collect();
    all.push((Method::GET, format!("/gates/{gate}/delete")));
    all.extend(post.iter().map(|page| (Method::POST, (*page).to_owned())));
    all.push((Method::POST, format!("/gates/{gate}/delete")));
    all.push((Method::POST, format!("/gates/{gate}/test")));
    all
}

/// The routes of a server that the sources name.
fn named_in_sources() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for folder in ["api", "dashboard"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/web")
            .join(folder);
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            if file.is_dir() {
                continue;
            }
            let source = std::fs::read_to_string(file).unwrap();
            let literals = source.split('"').skip(1).step_by(2);
            named.extend(literals.filter(|text| server_of(text)).map(str::to_owned));
        }
    }
    named
}

fn server_of(route: &str) -> bool {
    let starts = ["/api/v1/guilds/{guild_id}", "/dashboard/{guild_id}"];
    starts.iter().any(|start| route.starts_with(start))
}

/// A route that is forgotten here would not be tried below.
#[tokio::test]
async fn every_route_of_a_server_is_among_those_that_are_tried() {
    let shop = Shop::open().await;
    let gate = "{gate_id}";
    let api = routes(&shop, gate);
    let api = api
        .iter()
        .map(|(_, rest, _)| format!("/api/v1/guilds/{{guild_id}}{rest}"));
    let pages = pages(gate);
    let pages = pages.iter().map(|(_, rest)| {
        let path = rest.split('?').next().unwrap();
        format!("/dashboard/{{guild_id}}{path}")
    });
    let tried: BTreeSet<_> = api.chain(pages).collect();
    assert_eq!(tried, named_in_sources());
}

#[tokio::test]
async fn anothers_server_is_answered_as_one_that_does_not_exist_on_every_route() {
    let shop = Shop::open().await;
    let mut mia = shop.merchant().await;
    let draft = shop.draft(&shop.roles[1..]);
    let (_, made) = ask(&mut mia, Method::POST, &shop.path("/gates"), Some(&draft)).await;
    let gate = made["id"].as_str().unwrap().to_owned();
    // Eve manages a server of her own, with the bot in it; in Mia's she is a plain member.
    let eve = shop.discord.add_user("eve");
    let (hers, _) = new_guild(&shop.discord, "Eve's", &["Fan"]);
    make_manager(&shop.discord, hers, eve);
    shop.discord.add_member(shop.guild, eve).unwrap();
    let mut browser = shop.signed_in(eve).await;
    let mut nowhere = None;
    for server in [shop.guild.to_string(), "4242".to_owned(), "odd".to_owned()] {
        for (method, rest, body) in routes(&shop, &gate) {
            let path = format!("/api/v1/guilds/{server}{rest}");
            let refused = ask(&mut browser, method.clone(), &path, body.as_ref()).await;
            assert_eq!(
                (refused.0, code(&refused).as_str()),
                (404, "not_found"),
                "{method} {path}"
            );
            let same = nowhere.get_or_insert_with(|| refused.1.clone());
            assert_eq!(
                *same, refused.1,
                "{method} {path}: nothing tells the servers apart"
            );
        }
        for (method, rest) in pages(&gate) {
            let path = format!("/dashboard/{server}{rest}");
            let origin = browser.base.origin().ascii_serialization();
            let request = browser
                .request_with(method.clone(), &path)
                .header("accept", "text/html")
                .header("origin", origin);
            let answer = browser.send(request).await;
            assert_eq!(answer.status(), 404, "{method} {path}");
            let text = answer.text().await.unwrap();
            assert!(!text.contains("Café Club"), "{method} {path}");
        }
    }
    // Another's gate under her own server.
    for (method, rest, body) in routes(&shop, &gate) {
        if !rest.contains(&gate) && rest != "/test" {
            continue;
        }
        let path = format!("/api/v1/guilds/{hers}{rest}");
        let refused = ask(&mut browser, method.clone(), &path, body.as_ref()).await;
        let expected = if method == Method::PUT {
            [404, 422]
        } else {
            [404, 404]
        };
        assert!(
            expected.contains(&refused.0),
            "{method} {path}: {refused:?}"
        );
    }
    assert_eq!(shop.store.gates().unwrap().len(), 1);
    let only = &shop.store.gates().unwrap()[0];
    assert_eq!(
        (only.id, &only.roles),
        (
            gate.parse::<GateId>().unwrap(),
            &shop.roles[1..]
                .iter()
                .copied()
                .collect::<BTreeSet<RoleId>>()
        )
    );
}

#[tokio::test]
async fn without_a_session_or_from_another_site_nothing_is_done() {
    let shop = Shop::open().await;
    let mut mia = shop.merchant().await;
    let mut stranger = crate::verify::visitor::Browser::new(&shop.url);
    for (method, rest, body) in routes(&shop, "1") {
        let refused = ask(
            &mut stranger,
            method.clone(),
            &shop.path(&rest),
            body.as_ref(),
        )
        .await;
        assert_eq!(refused.0, 401, "{method} {rest}");
        if method == Method::GET {
            continue;
        }
        let mut request = mia
            .request_with(method.clone(), &shop.path(&rest))
            .header("origin", "https://evil.example");
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = crate::verify::visitor::answer(mia.send(request).await).await;
        assert_eq!(
            (answer.0, code(&answer).as_str()),
            (403, "cross_origin"),
            "{method} {rest}"
        );
    }
    // A person is sent to the sign-in and comes back to the page.
    let page = stranger
        .get(&format!("/dashboard/{}/members", shop.guild))
        .await;
    let to = crate::verify::visitor::location(&page);
    assert!(to.starts_with("/oauth/login?next=%2Fdashboard%2F"), "{to}");
    // A form cannot lead to Discord: it ends at the page with the link to the sign-in.
    let path = format!("/dashboard/{}/undo", shop.guild);
    let request = stranger
        .request_with(Method::POST, &path)
        .header("accept", "text/html")
        .header("origin", shop.url.origin().ascii_serialization());
    let to = crate::verify::visitor::location(&stranger.send(request).await);
    assert_eq!(to, "/dashboard");
}
