//! A visitor's browser over plain HTTP: keeps cookies, follows no redirect, signs with a key.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use amser_roles::domain::UserId;
use serde_json::{Value, json};
use url::Url;

/// An answer: status and body.
pub(crate) type Answer = (u16, Value);

/// The code of a refusal, after checking its shape.
pub(crate) fn code(answer: &Answer) -> String {
    let error = &answer.1["error"];
    assert!(answer.0 >= 400, "not a refusal: {answer:?}");
    assert_eq!(answer.1.as_object().unwrap().len(), 1, "{answer:?}");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with('.') && message.len() > 20, "{message}");
    error["code"].as_str().unwrap().to_owned()
}

/// Keeps cookies, follows no redirect.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) base: Url,
    pub(crate) cookies: BTreeMap<String, String>,
    /// What is typed where there is no sign-in.
    pub(crate) name: Option<String>,
    http: reqwest::Client,
}

impl Browser {
    pub(crate) fn new(base: &Url) -> Self {
        let http = crate::support::http::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            base: base.clone(),
            cookies: BTreeMap::new(),
            name: None,
            http,
        }
    }

    /// The address that the server listens on, also where its public URL says https.
    fn address(&self, path: &str) -> Url {
        let mut url = self.base.join(path).unwrap();
        if url.host() == self.base.host() && url.port() == self.base.port() {
            let plain = url.as_str().replacen("https://", "http://", 1);
            url = Url::parse(&plain).unwrap();
        }
        url
    }

    pub(crate) async fn send(&mut self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let answer = request
            .header("cookie", pairs.join("; "))
            .send()
            .await
            .unwrap();
        for value in answer.headers().get_all("set-cookie") {
            let (pair, attributes) = value.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> reqwest::Response {
        let request = self
            .http
            .get(self.address(path))
            .header("accept", "text/html");
        self.send(request).await
    }

    /// Loads what a page shows, as its pictures and scripts do.
    pub(crate) async fn load(&mut self, path: &str) -> reqwest::Response {
        self.send(self.http.get(self.address(path))).await
    }

    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.request_with(reqwest::Method::POST, path)
    }

    pub(crate) fn request_with(
        &self,
        method: reqwest::Method,
        path: &str,
    ) -> reqwest::RequestBuilder {
        self.http.request(method, self.address(path))
    }

    /// Posts JSON as the page does.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let origin = self.base.origin().ascii_serialization();
        let request = self.request(path).header("origin", origin).json(body);
        answer(self.send(request).await).await
    }

    /// Signs in to Discord as `user`, going on with a link; returns where the browser ends.
    pub(crate) async fn sign_in(&mut self, user: UserId, token: Option<&str>) -> String {
        let query = token.map_or(String::new(), |token| format!("?link={token}"));
        let away = self.get(&format!("/oauth/login{query}")).await;
        if away.status() == 404 {
            return String::new();
        }
        let back = self.visit_discord(&location(&away), user).await;
        let end = self.get(&back).await;
        match end.headers().get("location") {
            Some(to) => to.to_str().unwrap().to_owned(),
            None => String::new(),
        }
    }

    /// Lets Discord know who the visitor is, and returns where it sends the browser.
    pub(crate) async fn visit_discord(&mut self, authorize: &str, user: UserId) -> String {
        let mut url = Url::parse(authorize).unwrap();
        url.query_pairs_mut().append_pair("as", &user.to_string());
        let answer = self.http.get(url).send().await.unwrap();
        location(&answer)
    }

    /// The text to sign for a wallet.
    pub(crate) async fn challenge(&mut self, link: &str, wallet: Address) -> String {
        let body = json!({ "address": wallet.to_string(), "discord_name": self.name });
        let (status, answer) = self.post(&format!("{link}/challenge"), &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn answer(&mut self, link: &str, message: &str, signature: &[u8]) -> Answer {
        let body =
            json!({ "message": message, "signature": format!("0x{}", hex::encode(signature)) });
        self.post(&format!("{link}/signature"), &body).await
    }

    /// Asks for a text, signs it and sends it back.
    pub(crate) async fn link(&mut self, link: &str, signer: &PrivateKeySigner) -> Answer {
        let message = self.challenge(link, signer.address()).await;
        let signature = sign(signer, &message);
        self.answer(link, &message, &signature).await
    }
}

pub(crate) async fn answer(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    (status, body)
}

pub(crate) fn location(answer: &reqwest::Response) -> String {
    assert!(answer.status().is_redirection(), "{answer:?}");
    answer.headers()["location"].to_str().unwrap().to_owned()
}

pub(crate) fn sign(signer: &PrivateKeySigner, message: &str) -> Vec<u8> {
    signer
        .sign_message_sync(message.as_bytes())
        .unwrap()
        .as_bytes()
        .to_vec()
}
