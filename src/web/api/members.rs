//! A server's members by state, page by page and as one CSV file.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::super::Site;
use super::super::dashboard::cause::sentence;
use super::super::params::Asked;
use super::super::session::Managing;
use super::{Failure, csv};
use crate::domain::{MemberPage, MemberRow, MemberState, RoleId, UserId};
use crate::merchants::{Manager, Refusal};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/guilds/{guild_id}/members", get(members))
        .route("/api/v1/guilds/{guild_id}/members.csv", get(as_csv))
}

/// What is searched for. Empty fields ask for everyone, as forms send them.
#[derive(Clone, Deserialize, Default)]
pub(in crate::web) struct Search {
    #[serde(default)]
    pub(in crate::web) filter: String,
    #[serde(default)]
    pub(in crate::web) query: String,
    pub(in crate::web) after: Option<String>,
}

impl Search {
    pub(in crate::web) fn state(&self) -> Result<Option<MemberState>, Refusal> {
        if self.filter.is_empty() {
            return Ok(None);
        }
        let unknown =
            |_| Refusal::Invalid("There is no such state to filter members by.".to_owned());
        self.filter.parse().map(Some).map_err(unknown)
    }

    /// The page that this search asks for.
    pub(in crate::web) async fn page(
        &self,
        site: &Site,
        manager: &Manager,
    ) -> Result<MemberPage, Refusal> {
        let after = self.after.as_deref().filter(|after| !after.is_empty());
        let merchants = &site.state.merchants;
        merchants
            .members(manager, self.state()?, self.query.trim(), after)
            .await
    }
}

#[derive(Serialize)]
struct Member {
    user_id: Option<UserId>,
    name: Option<String>,
    state: &'static str,
    role_ids: Vec<RoleId>,
    cause: Option<String>,
    transaction: Option<String>,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self {
            user_id: row.user,
            name: row.name,
            state: row.state.name(),
            role_ids: row.roles,
            cause: row.cause.as_ref().map(sentence),
            transaction: row.transaction.map(|transaction| transaction.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Members {
    members: Vec<Member>,
    next: Option<String>,
}

async fn members(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Asked(search): Asked<Search>,
) -> Result<Json<Members>, Failure> {
    let page = search.page(&site, &manager).await?;
    Ok(Json(Members {
        members: page.members.into_iter().map(Member::from).collect(),
        next: page.next,
    }))
}

/// Page after page, so that the file of a large server is never in memory as a whole. A page that cannot be read after the
/// first one breaks the answer off: a file that looks complete and is not would be worse.
async fn as_csv(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Asked(search): Asked<Search>,
) -> Result<Response, Failure> {
    let first = search.page(&site, &manager).await?;
    let head = csv::line([
        "user_id",
        "name",
        "state",
        "role_ids",
        "cause",
        "transaction",
    ]);
    let start = head + &lines(&first.members);
    let rest = (site, manager.clone(), search, first.next);
    let more = stream::try_unfold(rest, async |(site, manager, mut search, next)| {
        let Some(next) = next else {
            return Ok(None);
        };
        search.after = Some(next);
        let page = search.page(&site, &manager).await?;
        let text = lines(&page.members);
        anyhow::Ok(Some((text, (site, manager, search, page.next))))
    });
    let first = stream::once(async { anyhow::Ok(start) });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, more));
    let name = format!("attachment; filename=\"members-{}.csv\"", manager.guild);
    let about = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((about, body).into_response())
}

fn lines(members: &[MemberRow]) -> String {
    members
        .iter()
        .map(|row| {
            let user = row.user.map(|user| user.to_string()).unwrap_or_default();
            let roles: Vec<_> = row.roles.iter().map(ToString::to_string).collect();
            let cause = row.cause.as_ref().map(sentence).unwrap_or_default();
            let transaction = row.transaction.map(|hash| hash.to_string());
            csv::line([
                user.as_str(),
                row.name.as_deref().unwrap_or_default(),
                row.state.name(),
                &roles.join(" "),
                &cause,
                transaction.as_deref().unwrap_or_default(),
            ])
        })
        .collect()
}
