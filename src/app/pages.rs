//! The web part's share of the wiring: its settings, what it asks the other parts, and the listeners beside the pages.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::control_path;
use crate::config::{Config, Secrets};
use crate::domain::ChainStatus;
use crate::payments::Payments;
use crate::store::Store;
use crate::views::Views;
use crate::web::control::ControlSocket;
use crate::{commands, discord, wallet, web};

pub(super) fn web_settings(config: &Config, secrets: &Secrets) -> anyhow::Result<web::WebSettings> {
    let web = &config.web;
    let sign_in = if web.signs_in {
        anyhow::ensure!(
            secrets.discord_client_secret.is_some(),
            "no client secret: set AMSER_ROLES_DISCORD_CLIENT_SECRET (developer portal, OAuth2) so that members prove who they are, or set web.sign_in = \"none\" to do without"
        );
        web::SignIn::Discord {
            client_id: config.discord.application_id.to_string(),
            api_url: config.discord.api_url.clone(),
        }
    } else {
        tracing::warn!(
            "web.sign_in = \"none\": NOBODY PROVES WHO THEY ARE. Whoever has a member's link can link a wallet in that member's name, and nobody can use the dashboard"
        );
        web::SignIn::None
    };
    Ok(web::WebSettings {
        public_url: web.public_url.clone(),
        links_per_member: web.links_per_member,
        rate_limit_per_minute: web.rate_limit_per_minute,
        proxies: web.proxies,
        trusted_proxies: web.trusted_proxies.clone(),
        monitor_token: secrets.monitor_token.clone(),
        monitors_apart: web.monitor_listen.is_some(),
        chain_id: config.chain.chain_id,
        checkout_url: config.amser.checkout_url.clone(),
        sign_in,
        wallet_connect: web.wallet_connect.clone(),
        roles_within: web::ROLES_WITHIN,
        contact: web.contact.clone(),
        privacy_url: web.privacy_url.clone(),
    })
}

/// What other processes of the same person may ask.
pub(super) fn control_routes(
    config: &Config,
    store: &Store,
    wallets: &web::SignatureCheck,
    views: &Views,
    plan: axum::Router,
) -> axum::Router {
    let doubts = views.doubts().clone();
    let read_again: web::control::ReadAgain = Arc::new(move || doubts.read_everything_again());
    let limit = config.web.links_per_member;
    plan.merge(web::control::store_routes(
        store.clone(),
        wallets.clone(),
        limit,
    ))
    .merge(web::control::rebuild_routes(store.clone(), read_again))
}

/// Answers other processes of the same person. A socket that cannot be made costs that alone.
pub(super) fn control(
    config: &Config,
    routes: axum::Router,
    stop: CancellationToken,
) -> impl Future<Output = anyhow::Result<()>> + use<> {
    let socket = ControlSocket::bind(&control_path(&config.store_path));
    async move {
        match socket {
            Ok(socket) => socket.serve(routes, stop).await,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "no other command can ask this service (`plan`, `backup`, `doctor`)"
                );
                stop.cancelled().await;
                Ok(())
            }
        }
    }
}

/// Serves what monitors ask on a listener of its own, where there is one.
pub(super) async fn monitoring(
    config: &Config,
    state: web::WebState,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let served = match config.web.monitor_listen {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address} (web.monitor_listen)"))?;
            Some((listener, web::monitor_router(state)?))
        }
    };
    Ok(async move {
        match served {
            Some((listener, routes)) => web::serve(listener, routes, Vec::new(), stop)
                .await
                .context("the listener for monitors failed"),
            None => {
                stop.cancelled().await;
                Ok(())
            }
        }
    })
}

/// Where the checkout leads back to, by server. Without a sign-in nobody could go on there.
pub(super) fn return_urls(config: &Config) -> commands::ReturnUrls {
    let (public_url, signs_in) = (config.web.public_url.clone(), config.web.signs_in);
    Arc::new(move |guild| web::return_url(&public_url, guild).filter(|_| signs_in))
}

pub(super) fn payments(
    config: &Config,
    store: &Store,
    chain: &watch::Receiver<ChainStatus>,
    views: &Views,
) -> Payments {
    let confirmations = config.chain.confirmations;
    Payments::new(store.clone(), chain.clone(), views.clone(), confirmations)
}

pub(super) fn pending_of(discord: &discord::Discord) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let discord = discord.clone();
    Arc::new(move || discord.pending() as u64)
}

pub(super) fn signature_check(
    config: &Config,
    status: watch::Receiver<ChainStatus>,
) -> web::SignatureCheck {
    let signatures = wallet::Signatures::new(&config.chain, status, wallet::Timing::default());
    Arc::new(move |wallet, message, signature| {
        let signatures = signatures.clone();
        Box::pin(async move { signatures.check(wallet, &message, &signature).await })
    })
}

pub(super) fn profiles_of(discord: &discord::Discord) -> web::Profiles {
    let discord = discord.clone();
    Arc::new(move |guild, user| {
        let discord = discord.clone();
        Box::pin(async move {
            let seen = discord.member_profile(guild, user).await;
            let seen = seen.map_err(|failure| match failure.reason() {
                Some(discord::Reason::Member) => web::NoProfile::MemberLeft,
                Some(discord::Reason::Guild) => web::NoProfile::BotAbsent,
                _ => web::NoProfile::Unavailable(failure.into()),
            })?;
            Ok(web::Profile {
                server_name: seen.server_name,
                server_icon: seen.server_icon,
                member_name: seen.member_name,
                username: seen.username,
                avatar: seen.avatar,
            })
        })
    })
}

pub(super) fn redeem_code(
    config: &Config,
    secrets: &Secrets,
    discord: &discord::Discord,
) -> web::RedeemCode {
    let secret = secrets.discord_client_secret.clone();
    let application = secret.map(|secret| discord::OauthApplication {
        id: config.discord.application_id,
        secret,
    });
    let discord = discord.clone();
    Arc::new(move |code| {
        let (discord, application) = (discord.clone(), application.clone());
        Box::pin(async move {
            let application = application.context("there is no client secret")?;
            discord.redeem(&application, &code).await
        })
    })
}
