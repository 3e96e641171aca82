//! Faults that can be switched on for a route: server errors, hangs, resets, rate limits, refusals, slowness.
use std::time::Duration;

use axum::http::StatusCode;

use super::error::ApiError;
use super::route::Route;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Answered with this status (500, 502, 503…) and a body that is not JSON.
    ServerError(u16),
    /// Never answered; the client must give up by itself.
    Hang,
    /// The TCP connection is reset before an answer.
    Reset,
    /// Carried out, and answered as [`Fault::ServerError`] all the same: something in between gave up waiting.
    Lost(u16),
    /// Answered as usual, but after this time.
    Slow(Duration),
    /// 429 for this route's bucket, in Discord's JSON.
    RateLimited(Duration),
    /// 429 for this route's bucket because of what others do with the resource; it does not count as an invalid request.
    SharedRateLimited(Duration),
    /// 429 for all routes, in Discord's JSON.
    GlobalRateLimited(Duration),
    /// 429 by Cloudflare: an HTML page and a `Retry-After` header, no JSON, no `X-RateLimit` headers.
    CloudflareRateLimited(Duration),
    /// A JSON error of Discord's.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Discord's JSON error code.
        code: u32,
        /// Discord's message for it.
        message: &'static str,
    },
}

impl Fault {
    /// 403 / 50013.
    pub const MISSING_PERMISSIONS: Self = Self::Refused {
        status: 403,
        code: 50013,
        message: "Missing Permissions",
    };
    /// 403 / 50001.
    pub const MISSING_ACCESS: Self = Self::Refused {
        status: 403,
        code: 50001,
        message: "Missing Access",
    };
    /// 404 / 10007.
    pub const UNKNOWN_MEMBER: Self = Self::Refused {
        status: 404,
        code: 10007,
        message: "Unknown Member",
    };
    /// 404 / 10011.
    pub const UNKNOWN_ROLE: Self = Self::Refused {
        status: 404,
        code: 10011,
        message: "Unknown Role",
    };
    /// 404 / 10004.
    pub const UNKNOWN_GUILD: Self = Self::Refused {
        status: 404,
        code: 10004,
        message: "Unknown Guild",
    };

    /// The JSON error, when the fault is one.
    pub(crate) fn refusal(&self) -> Option<ApiError> {
        match self {
            Self::Refused {
                status,
                code,
                message,
            } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                Some(ApiError::new(status, *code, *message))
            }
            _ => None,
        }
    }
}

/// How many requests a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// The next so many.
    Next(u32),
    /// All, until the faults are cleared.
    UntilCleared,
}

/// The faults that are switched on, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Option<Route>, Fault, Times)>);

impl Faults {
    pub(crate) fn add(&mut self, route: Option<Route>, fault: Fault, times: Times) {
        self.0.push((route, fault, times));
    }

    pub(crate) fn clear(&mut self, route: Option<Route>) {
        self.0.retain(|(on, ..)| route.is_some() && *on != route);
    }

    /// The fault that hits this request, if any; counts it.
    pub(crate) fn take(&mut self, route: Route) -> Option<Fault> {
        let at = self.0.iter().position(|(on, _, times)| {
            on.is_none_or(|on| on == route) && *times != Times::Next(0)
        })?;
        let (_, fault, times) = &mut self.0[at];
        let fault = fault.clone();
        if let Times::Next(left) = times {
            *left -= 1;
            if *left == 0 {
                self.0.remove(at);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_route_so_many_times() {
        let mut faults = Faults::default();
        faults.add(
            Some(Route::AddMemberRole),
            Fault::ServerError(500),
            Times::Next(2),
        );
        assert_eq!(faults.take(Route::RemoveMemberRole), None);
        assert_eq!(
            faults.take(Route::AddMemberRole),
            Some(Fault::ServerError(500))
        );
        assert_eq!(
            faults.take(Route::AddMemberRole),
            Some(Fault::ServerError(500))
        );
        assert_eq!(faults.take(Route::AddMemberRole), None);
    }

    #[test]
    fn clearing_one_route_leaves_the_others() {
        let mut faults = Faults::default();
        faults.add(Some(Route::AddMemberRole), Fault::Hang, Times::UntilCleared);
        faults.add(Some(Route::GetMember), Fault::Hang, Times::UntilCleared);
        faults.clear(Some(Route::AddMemberRole));
        assert_eq!(faults.take(Route::AddMemberRole), None);
        assert_eq!(faults.take(Route::GetMember), Some(Fault::Hang));
        faults.clear(None);
        assert_eq!(faults.take(Route::GetMember), None);
    }
}
