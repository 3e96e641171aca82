//! Sign-in: the code grant with PKCE through the oauth2 crate, the invite, and what goes wrong.
use amser_roles::domain::UserId;
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _, TokenUrl,
};
use serde_json::Value;
use url::Url;

const CALLBACK: &str = "http://127.0.0.1:8787/oauth/callback";

pub(super) async fn start() -> (LocalDiscord, UserId) {
    let options = Options {
        redirect_uris: vec![CALLBACK.to_owned()],
        ..Options::default()
    };
    let discord = LocalDiscord::start(options).await.unwrap();
    let user = discord.add_user("ada");
    (discord, user)
}

pub(super) fn browser() -> reqwest::Client {
    crate::support::http::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn authorize_url(discord: &LocalDiscord, extra: &[(&str, &str)]) -> Url {
    let mut url = Url::parse(&discord.base_url())
        .unwrap()
        .join("/oauth2/authorize")
        .unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &discord.options().application_id.to_string())
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("response_type", "code")
        .append_pair("scope", "identify guilds")
        .append_pair("state", "st ate")
        .extend_pairs(extra);
    url
}

pub(super) fn location(answer: &reqwest::Response) -> std::collections::BTreeMap<String, String> {
    assert_eq!(answer.status(), 302);
    let url = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(CALLBACK));
    url.query_pairs().into_owned().collect()
}

/// The oauth2 crate's HTTP client is a function; this one goes through our reqwest.
async fn send(request: oauth2::HttpRequest) -> Result<oauth2::HttpResponse, reqwest::Error> {
    let answer = browser().execute(request.try_into()?).await?;
    let mut response = oauth2::http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(answer.bytes().await?.to_vec()).unwrap())
}

async fn json(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_code_grant_with_pkce_ends_in_a_token_for_the_user_and_their_servers() {
    let (discord, user) = start().await;
    let guild = discord.add_guild("Club");
    discord.add_guild("Elsewhere");
    discord.add_member(guild, user).unwrap();
    let options = discord.options();
    let base = discord.base_url();
    let client = BasicClient::new(ClientId::new(options.application_id.to_string()))
        .set_client_secret(ClientSecret::new(options.client_secret))
        .set_auth_uri(AuthUrl::new(format!("{base}/oauth2/authorize")).unwrap())
        .set_token_uri(TokenUrl::new(format!("{base}/api/oauth2/token")).unwrap())
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("identify".to_owned()))
        .add_scope(Scope::new("guilds".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let page = browser().get(url.clone()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(
        page.text().await.unwrap().contains("ada"),
        "the visitor is asked who they are"
    );
    let cookie = format!("theme=dark; local_discord_user={user}");
    let answer = browser()
        .get(url)
        .header("cookie", cookie)
        .send()
        .await
        .unwrap();
    let back = location(&answer);
    assert_eq!(&back["state"], state.secret());
    let exchange = |verifier: &str| {
        client
            .exchange_code(AuthorizationCode::new(back["code"].clone()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&send)
    };
    let verifier = verifier.secret().clone();
    let token = exchange(&verifier).await.unwrap();
    assert!(exchange(&verifier).await.is_err(), "a code works once");
    let bearer = token.access_token().secret();
    let me = browser()
        .get(format!("{base}/api/v10/users/@me"))
        .bearer_auth(bearer);
    assert_eq!(json(me).await.1["id"], user.to_string());
    let guilds = || {
        browser()
            .get(format!("{base}/api/v10/users/@me/guilds"))
            .bearer_auth(bearer)
    };
    let (_, listed) = json(guilds()).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], guild.to_string());
    assert_eq!(listed[0]["owner"], false);
    let other = code(&discord, user, &[]).await;
    let (_, other) = self::exchange(&discord, &[("code", &other)]).await;
    let revoke = browser()
        .post(format!("{base}/api/oauth2/token/revoke"))
        .basic_auth(
            discord.options().application_id,
            Some(discord.options().client_secret),
        )
        .form_body(&[("token", bearer)]);
    assert_eq!(revoke.send().await.unwrap().status(), 200);
    assert_eq!(json(guilds()).await.0, 401);
    let other = other["access_token"].as_str().unwrap();
    let me = browser()
        .get(format!("{base}/api/v10/users/@me"))
        .bearer_auth(other);
    assert_eq!(json(me).await.0, 401, "the whole authorization is over");
}

/// reqwest's own `form` is behind a feature that the program does not need.
trait FormBody {
    fn form_body(self, fields: &[(&str, &str)]) -> Self;
}

impl FormBody for reqwest::RequestBuilder {
    fn form_body(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }
}

async fn code(discord: &LocalDiscord, user: UserId, extra: &[(&str, &str)]) -> String {
    let mut url = authorize_url(discord, extra);
    url.query_pairs_mut().append_pair("as", &user.to_string());
    let answer = browser().get(url).send().await.unwrap();
    let back = location(&answer);
    assert_eq!(back["state"], "st ate");
    back["code"].clone()
}

pub(super) async fn exchange(discord: &LocalDiscord, changes: &[(&str, &str)]) -> (u16, Value) {
    let options = discord.options();
    let id = options.application_id.to_string();
    let mut form = std::collections::BTreeMap::from([
        ("client_id", id.as_str()),
        ("client_secret", options.client_secret.as_str()),
        ("grant_type", "authorization_code"),
        ("redirect_uri", CALLBACK),
    ]);
    form.extend(changes.iter().copied());
    let fields: Vec<_> = form.into_iter().collect();
    json(
        browser()
            .post(format!("{}/api/oauth2/token", discord.base_url()))
            .form_body(&fields),
    )
    .await
}

#[tokio::test]
async fn wrong_secrets_redirects_and_verifiers_get_no_token() {
    let (discord, user) = start().await;
    let fresh = || code(&discord, user, &[]);
    let refused =
        |(status, body): (u16, Value)| (status, body["error"].as_str().unwrap().to_owned());
    let invalid = |status, error: &str| (status, error.to_owned());
    let secret = exchange(
        &discord,
        &[("code", &fresh().await), ("client_secret", "guess")],
    )
    .await;
    assert_eq!(refused(secret), invalid(401, "invalid_client"));
    let elsewhere = exchange(
        &discord,
        &[("code", &fresh().await), ("redirect_uri", "http://other/")],
    )
    .await;
    assert_eq!(refused(elsewhere), invalid(400, "invalid_grant"));
    let pkce = [
        ("code_challenge", "c".repeat(43)),
        ("code_challenge_method", "S256".to_owned()),
    ];
    let pkce: Vec<_> = pkce
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let challenged = code(&discord, user, &pkce).await;
    let wrong = exchange(
        &discord,
        &[("code", &challenged), ("code_verifier", &"v".repeat(43))],
    )
    .await;
    assert_eq!(refused(wrong), invalid(400, "invalid_grant"));
    let kind = exchange(&discord, &[("grant_type", "password")]).await;
    assert_eq!(refused(kind), invalid(400, "unsupported_grant_type"));
    let (status, token) = exchange(&discord, &[("code", &fresh().await)]).await;
    assert_eq!(
        (status, token["token_type"].as_str().unwrap()),
        (200, "Bearer")
    );
    let refresh = token["refresh_token"].as_str().unwrap();
    let again = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(exchange(&discord, &again).await.0, 200);
    assert_eq!(
        refused(exchange(&discord, &again).await),
        invalid(400, "invalid_grant"),
        "it rotated"
    );
    assert!(
        discord
            .requests()
            .iter()
            .all(|request| !request.body.contains("local-client-secret"))
    );
}

#[tokio::test]
async fn the_visitor_may_deny_and_a_bad_request_redirects_nobody() {
    let (discord, user) = start().await;
    let answer = browser()
        .get(authorize_url(&discord, &[("deny", "1")]))
        .send()
        .await
        .unwrap();
    assert_eq!(location(&answer)["error"], "access_denied");
    let user = user.to_string();
    let mut url = authorize_url(&discord, &[("as", user.as_str())]);
    let query = url.query().unwrap().replace("8787", "6666");
    url.set_query(Some(&query));
    let answer = browser().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(!answer.headers().contains_key("location"));
}
