//! Where a visitor goes after the sign-in: a closed set, so that nobody can be sent anywhere else.

use axum::response::{IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::web::error::WebError;
use crate::web::link::under;
use crate::web::paid;
use crate::web::{WebSettings, view};

/// Longer addresses of ours there are none, but where a form was sent.
const LONGEST: usize = 512;

/// Where the sign-in leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReturnTo {
    /// To the wallet page, by the link's token.
    Link(String),
    /// To a page of the dashboard, by path and query.
    Page(String),
    /// To the page that the checkout leads back to, by path and query.
    Paid(String),
    /// To the dashboard of the server that was chosen for the bot.
    Connect,
    /// To a page that says that the visitor is signed in.
    Home,
}

impl ReturnTo {
    /// A page of the dashboard, or the one that the checkout leads back to, by an address relative to ours.
    pub(super) fn page(public_url: &Url, next: &str) -> Result<Self, WebError> {
        let url = public_url.join(next).ok().filter(|url| {
            let is_ours = url.origin() == public_url.origin() && next.starts_with('/');
            let path = url.path();
            let is_known = path == "/dashboard"
                || path.starts_with("/dashboard/")
                || path.starts_with(paid::PATH);
            is_ours && is_known
        });
        let mut url = url.ok_or(WebError::NotFound)?;
        url.set_fragment(None);
        if next.len() > LONGEST {
            // A long form was sent: its page is better than none.
            url.set_query(None);
        }
        let page = url[url::Position::BeforePath..].to_owned();
        if page.len() > LONGEST {
            return Err(WebError::NotFound);
        }
        Ok(match url.path().starts_with(paid::PATH) {
            true => Self::Paid(page),
            false => Self::Page(page),
        })
    }

    /// The address at which a sign-in that leads here begins.
    pub(super) fn beginning(&self) -> String {
        let (name, value) = match self {
            Self::Connect => return "/connect".to_owned(),
            Self::Home => return "/oauth/login".to_owned(),
            Self::Link(token) => ("link", token),
            Self::Page(page) | Self::Paid(page) => ("next", page),
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        format!("/oauth/login?{}", query.append_pair(name, value).finish())
    }

    /// The way there; not for [`ReturnTo::Connect`], which leads to a server that is only known later.
    pub(super) fn respond(&self, settings: &WebSettings) -> Response {
        match self {
            Self::Link(token) => {
                let url = under(&settings.public_url, &format!("verify/{token}"));
                Redirect::to(url.as_str()).into_response()
            }
            Self::Page(path) | Self::Paid(path) => Redirect::to(path).into_response(),
            Self::Connect => Redirect::to("/dashboard").into_response(),
            Self::Home => view::signed_in(settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_begins_again_with_where_it_leads() {
        let ours = Url::parse("https://roles.example").unwrap();
        for (to, expected) in [
            (ReturnTo::Home, "/oauth/login"),
            (ReturnTo::Connect, "/connect"),
            (ReturnTo::Link("abc".to_owned()), "/oauth/login?link=abc"),
            (
                ReturnTo::page(&ours, "/dashboard/7?filter=a&query=b").unwrap(),
                "/oauth/login?next=%2Fdashboard%2F7%3Ffilter%3Da%26query%3Db",
            ),
        ] {
            assert_eq!(to.beginning(), expected);
        }
    }

    #[test]
    fn only_pages_of_our_own_dashboard_are_returned_to() {
        let ours = Url::parse("https://roles.example").unwrap();
        let page = |next: &str| match ReturnTo::page(&ours, next) {
            Ok(ReturnTo::Page(path)) => Some(path),
            _ => None,
        };
        for next in [
            "/dashboard",
            "/dashboard/",
            "/dashboard/7",
            "/dashboard/7/members?filter=waiting&query=a%20b",
        ] {
            assert_eq!(page(next).as_deref(), Some(next));
        }
        let paid = ReturnTo::page(&ours, "/paid/7?link=x&tx_hash=0x1").unwrap();
        assert_eq!(
            paid,
            ReturnTo::Paid("/paid/7?link=x&tx_hash=0x1".to_owned())
        );
        assert_eq!(page("/dashboard/7#x").as_deref(), Some("/dashboard/7"));
        let long = format!("/dashboard/7/gates?roles={}", "a".repeat(LONGEST));
        assert_eq!(page(&long).as_deref(), Some("/dashboard/7/gates"));
        let long = format!("/dashboard/{}", "a".repeat(LONGEST));
        for next in [
            "",
            "dashboard",
            "//evil.example/dashboard",
            "/\\evil.example/dashboard",
            "\\\\evil.example/dashboard",
            "https://evil.example/dashboard",
            "https://roles.example/dashboard",
            "/dashboard/../oauth/login",
            "/dashboard/%2e%2e/oauth/login",
            "/dashboards",
            "/verify/x",
            "/paid",
            "/paid/../oauth/login",
            "javascript:alert(1)",
            long.as_str(),
        ] {
            assert_eq!(page(next), None, "{next}");
        }
    }
}
