//! Asks the public address for this very service. While none runs, a stand-in answers on `web.listen` for the moment, so that a
//! proxy in front is looked at before the first start.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Web;
use crate::doctor::facts::{Arrival, Reached};
use crate::http::client_to;

/// How long the request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What the running service answers at `/healthz`.
const ALIVE: &str = "ok\n";
/// The longest answer that is compared, in bytes.
const LONGEST: u64 = 1_024;

pub(super) async fn ask(web: &Web, is_running: bool) -> Reached {
    if is_running {
        return match fetch(&web.public_url).await {
            Ok((200, body)) if body == ALIVE => Reached::Itself(None),
            Ok((status, _)) => Reached::SomethingElse(status),
            Err(why) => Reached::Unreachable(why),
        };
    }
    let listener = match TcpListener::bind(web.listen).await {
        Ok(listener) => listener,
        Err(error) => return Reached::CannotListen(error.to_string()),
    };
    let stand_in = StandIn::default();
    let word = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
    let state = (word.clone(), stand_in.clone());
    let routes = Router::new()
        .route("/healthz", get(answer))
        .with_state(state);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(crate::web::serve(
        listener,
        routes,
        web.trusted_proxies.clone(),
        stop.clone(),
    ));
    let fetched = fetch(&web.public_url).await;
    stop.cancel();
    serving.abort();
    match fetched {
        Ok((_, body)) if body == word => Reached::Itself(stand_in.arrival(web)),
        Ok((status, _)) => Reached::SomethingElse(status),
        Err(why) => Reached::Unreachable(why),
    }
}

/// Why `web.monitor_listen` cannot be listened on, where one is configured. A running service has it already.
pub(super) async fn ask_monitors(web: &Web, is_running: bool) -> Option<String> {
    let address = web.monitor_listen.filter(|_| !is_running)?;
    let listening = TcpListener::bind(address).await;
    listening.err().map(|error| error.to_string())
}

/// How the last request arrived.
#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Option<(SocketAddr, usize)>>>);

impl StandIn {
    fn arrival(&self, web: &Web) -> Option<Arrival> {
        let arrived = self.0.lock().expect("never poisoned: no panic while held");
        arrived.map(|(peer, forwarded)| {
            let peer = peer.ip().to_canonical();
            let is_trusted = web
                .trusted_proxies
                .iter()
                .any(|range| range.contains(&peer));
            Arrival {
                is_trusted,
                forwarded,
            }
        })
    }
}

async fn answer(
    State((word, stand_in)): State<(String, StandIn)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> String {
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let forwarded = forwarded.filter_map(|value| value.to_str().ok());
    let entries = forwarded.flat_map(|value| value.split(',')).count();
    let mut arrived = stand_in
        .0
        .lock()
        .expect("never poisoned: no panic while held");
    *arrived = Some((peer, entries));
    word
}

/// The status and the body of `/healthz` at the public address; or why there is none.
async fn fetch(public_url: &Url) -> Result<(u16, String), String> {
    let client = client_to(public_url)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let asked = async {
        let url = public_url.join("/healthz")?;
        let answer = client.build()?.get(url).send().await?;
        let status = answer.status().as_u16();
        // A page of something else may be of any length.
        let is_short = answer
            .content_length()
            .is_none_or(|length| length <= LONGEST);
        let body = if is_short {
            answer.text().await?
        } else {
            String::new()
        };
        anyhow::Ok((status, body))
    };
    asked.await.map_err(|error| error.root_cause().to_string())
}
