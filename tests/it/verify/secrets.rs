//! No token, cookie, signature or secret is ever written to the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use amser_roles::sandbox::chain::wallet;
use tracing_subscriber::EnvFilter;

use super::site::{Setup, start};
use super::visitor::{Browser, sign};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_of_a_whole_visit_holds_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("amser_roles=trace,debug"))
        .with_writer(move || writer.clone())
        .finish();
    // Every task of this test runs on this thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let site = start(Setup::default()).await;
    let user = site.discord.add_user("ada");
    let signer = wallet("ada's");
    let link = site.verify(user);
    let token = link.strip_prefix("/verify/").unwrap();
    let mut browser = Browser::new(&site.url);
    browser.sign_in(user, Some(token)).await;
    let cookies: Vec<_> = browser.cookies.values().cloned().collect();
    let message = browser.challenge(&link, signer.address()).await;
    let wrong = sign(&wallet("eve's"), &message);
    assert_eq!(browser.answer(&link, &message, &wrong).await.0, 503);
    let signature = sign(&signer, &message);
    assert_eq!(browser.answer(&link, &message, &signature).await.0, 200);
    let nonce = message.split("Nonce: ").nth(1).unwrap();
    let nonce = nonce.split('\n').next().unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("wallet linked") && log.contains("503"),
        "{log}"
    );
    // What the local Discord itself and HTTP clients say of addresses is not ours: only our own lines are read.
    let ours: Vec<_> = log
        .lines()
        .filter(|line| line.contains("amser_roles::web") || line.contains("amser_roles::chain"))
        .collect();
    let ours = ours.join("\n");
    let client_secret = site.discord.options().client_secret;
    let secrets = [token, nonce, &client_secret, &hex::encode(&signature)];
    for secret in secrets
        .into_iter()
        .chain(cookies.iter().map(String::as_str))
    {
        assert!(!ours.contains(secret), "{secret} is in {ours}");
    }
    // The token and the client secret are in nobody's lines at all.
    for secret in [token, &client_secret] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
