//! What a request counts against, read from its method and path alone.

/// A route with its major parameter: requests with equal lanes always share their limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(super) route: String,
    pub(super) major: String,
    /// Whether the bot's global limit holds for it.
    pub(super) is_global: bool,
    /// Whether nobody waits for the answer.
    pub(super) is_patient: bool,
}

impl Lane {
    /// The lane of a request. `path` may be a whole address; what stands before `/api` and the query do not count.
    ///
    /// The guild, the channel or the webhook (with its token) is the major parameter; every other id is not told
    /// apart. Interactions and webhooks are not bound to the global limit.
    /// <https://discord.com/developers/docs/interactions/receiving-and-responding#endpoints>
    pub(crate) fn of(method: &str, path: &str) -> Self {
        let path = path.split_once("/api/").map_or(path, |(_, rest)| rest);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut segments = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .peekable();
        if segments.peek().is_some_and(|segment| is_version(segment)) {
            segments.next();
        }
        let mut route = method.to_owned();
        let mut major = String::new();
        let mut resource = "";
        for (index, segment) in segments.enumerate() {
            if index == 0 {
                resource = segment;
            }
            let is_major = index == 1 && matches!(resource, "guilds" | "channels" | "webhooks");
            let is_token = index == 2 && matches!(resource, "webhooks" | "interactions");
            if is_major || (is_token && resource == "webhooks") {
                major.push('/');
                major.push_str(segment);
            }
            route.push('/');
            let is_id = segment.bytes().all(|byte| byte.is_ascii_digit());
            route.push_str(if is_major || is_token || is_id {
                "{}"
            } else {
                segment
            });
        }
        Self {
            // The pages of a server's members.
            is_patient: route == "GET/guilds/{}/members",
            route,
            major,
            is_global: !matches!(resource, "webhooks" | "interactions"),
        }
    }

    /// The same for requests of which there are many, so that nobody waits for a single one.
    pub(crate) fn in_bulk(self) -> Self {
        Self {
            is_patient: true,
            ..self
        }
    }

    /// The same for a request with a visitor's own token, which Discord counts apart from all others.
    pub(crate) fn of_visitor(self, visitor: u64) -> Self {
        Self {
            major: format!("{}/visitor {visitor}", self.major),
            ..self
        }
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_roles_of_one_guild_share_a_lane_and_guilds_do_not() {
        let one = Lane::of(
            "PUT",
            "https://discord.com/api/v10/guilds/1/members/2/roles/3",
        );
        assert_eq!(
            one,
            Lane::of("PUT", "/api/v10/guilds/1/members/5/roles/7?reason=x")
        );
        assert_ne!(one, Lane::of("PUT", "/api/v10/guilds/2/members/5/roles/7"));
        assert_ne!(
            one,
            Lane::of("DELETE", "/api/v10/guilds/1/members/2/roles/3")
        );
        assert_eq!(one.route, "PUT/guilds/{}/members/{}/roles/{}");
        assert!(one.is_global);
    }

    #[test]
    fn only_the_pages_of_members_are_patient() {
        let is_patient = |method, path| Lane::of(method, path).is_patient;
        assert!(is_patient(
            "GET",
            "/api/v10/guilds/1/members?limit=1000&after=5"
        ));
        assert!(!is_patient("GET", "/api/v10/guilds/1/members/2"));
        assert!(!is_patient("GET", "/api/v10/guilds/1"));
    }

    #[test]
    fn a_guild_id_that_is_no_major_parameter_is_not_told_apart() {
        let commands = |guild| {
            Lane::of(
                "PUT",
                &format!("/api/v10/applications/1/guilds/{guild}/commands"),
            )
        };
        assert_eq!(commands(4), commands(5));
    }

    #[test]
    fn interactions_are_free_of_the_global_limit_and_hide_their_token() {
        let callback = Lane::of("POST", "/api/v10/interactions/12/abc.DEF/callback");
        assert!(!callback.is_global);
        assert_eq!(callback.route, "POST/interactions/{}/{}/callback");
        let edit = Lane::of("PATCH", "/api/v10/webhooks/1/tok/messages/@original");
        assert!(!edit.is_global);
        assert_eq!(
            (edit.route.as_str(), edit.major.as_str()),
            ("PATCH/webhooks/{}/{}/messages/@original", "/1/tok")
        );
    }
}
