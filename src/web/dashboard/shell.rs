//! What every page of the dashboard has around it, and the pages of refusals.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::Failure;
use super::super::error::WebError;
use super::super::view;
use super::context::Context;
use crate::domain::GuildId;
use crate::merchants::Refusal;

/// The pages of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Status,
    Gates,
    Members,
    Forecast,
    Journal,
    Settings,
}

impl Tab {
    const ALL: [Self; 6] = [
        Self::Status,
        Self::Gates,
        Self::Members,
        Self::Forecast,
        Self::Journal,
        Self::Settings,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Status => "Status",
            Self::Gates => "Plans and roles",
            Self::Members => "Members",
            Self::Forecast => "Renewals",
            Self::Journal => "Journal",
            Self::Settings => "Settings",
        }
    }

    /// Its address in a server.
    pub(super) fn path(self, guild: GuildId) -> String {
        let last = match self {
            Self::Status => "",
            Self::Gates => "/gates",
            Self::Members => "/members",
            Self::Forecast => "/forecast",
            Self::Journal => "/journal",
            Self::Settings => "/settings",
        };
        format!("/dashboard/{guild}{last}")
    }
}

/// A page of a server.
pub(super) fn page(context: &Context, tab: Tab, title: &str, inner: &Markup) -> Response {
    page_with(context, tab, title, &html! {}, inner)
}

/// As [`page`], with more in its head.
pub(super) fn page_with(
    context: &Context,
    tab: Tab,
    title: &str,
    head: &Markup,
    inner: &Markup,
) -> Response {
    let body = html! {
        (top(true, &html! {
            div.server-head {
                p.server-name { (context.name) }
                nav.tabs aria-label="Pages of this server" {
                    ul {
                        @for one in Tab::ALL {
                            li { a href=(one.path(context.guild())) aria-current=[(one == tab).then_some("page")] { (one.name()) } }
                        }
                    }
                }
            }
        }))
        main.dash #main {
            h1 { (title) }
            (inner)
        }
    };
    let title = format!("{title} · {}", context.name);
    framed(&context.site, StatusCode::OK, &title, head, &body)
}

/// A page that belongs to no server.
pub(super) fn plain(
    site: &Site,
    status: StatusCode,
    is_signed_in: bool,
    title: &str,
    inner: &Markup,
) -> Response {
    let body = html! {
        (top(is_signed_in, &html! {}))
        main.dash #main {
            h1 { (title) }
            (inner)
        }
    };
    framed(site, status, title, &html! {}, &body)
}

fn framed(site: &Site, status: StatusCode, title: &str, head: &Markup, body: &Markup) -> Response {
    let page = view::frame_with(
        site.settings(),
        title,
        &["dashboard.css", "dashboard.js"],
        head,
        body,
    );
    (status, Html(page.into_string())).into_response()
}

fn top(is_signed_in: bool, more: &Markup) -> Markup {
    html! {
        a.skip href="#main" { "Skip to the content" }
        header {
            div.top {
                a.brand href="/dashboard" { "Discord roles" }
                @if is_signed_in {
                    form method="post" action="/api/v1/logout" {
                        button.button.quiet.small type="submit" { "Sign out" }
                    }
                }
            }
            (more)
        }
    }
}

/// Why something was not done, with the way back.
pub(super) fn refused(site: &Site, failure: &Failure, back: &str) -> Response {
    failure.log();
    match failure {
        // The same page for everything that is not there or not theirs.
        Failure::Refused(Refusal::NotFound) => {
            return view::refusal(site.settings(), WebError::NoServer, None);
        }
        Failure::Web(error) => return view::refusal(site.settings(), *error, None),
        Failure::Refused(_) => {}
    }
    let inner = html! {
        section.panel.problem role="alert" {
            p { (failure.message()) }
        }
        p { a.button.main href=(back) { "Back" } }
    };
    plain(site, failure.status(), true, "This was not done", &inner)
}

/// A page, or why it cannot be shown.
pub(super) fn or_refusal(site: &Site, shown: Result<Response, Failure>) -> Response {
    shown.unwrap_or_else(|failure| refused(site, &failure, "/dashboard"))
}

/// After a post: the page `to`, so that reloading it posts nothing again.
pub(super) fn done(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// The query of a page that is returned to after something was done.
#[derive(Deserialize)]
pub(super) struct Done {
    pub(super) done: Option<String>,
}

/// A sentence about what was just done, where an address of our own says so.
pub(super) fn note(done: Option<&str>) -> Markup {
    let sentence = match done {
        Some("saved") => {
            "Saved. Members get their roles within seconds; press Test to see it work on yourself."
        }
        Some("deleted") => "Removed. Roles that members held through it are being taken.",
        Some("undone") => "The last change was taken back.",
        Some("approved") => "Approved. The removals are carried out now.",
        Some("settings") => "Saved. The new settings apply from now on.",
        Some("wallet") => "Your wallet is connected.",
        Some("already_connected") => {
            "This server was connected already, by you or by another manager. All of its managers see the same mappings."
        }
        Some("disconnected") => "The server is disconnected.",
        _ => return html! {},
    };
    html! { p.panel.good role="status" { (sentence) } }
}

/// A form of one button.
pub(super) fn button(action: &str, class: &str, text: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class={ "button " (class) } type="submit" { (text) }
        }
    }
}
