//! What Discord sends over the gateway, reduced to the fields that matter here: a field of a new shape elsewhere in an
//! object loses nothing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::discord::Observation;
use crate::discord::member::{Object, SeenMember};
use crate::domain::{GuildId, RoleId, UserId};

/// One payload. <https://discord.com/developers/docs/events/gateway-events#payload-structure>
#[derive(Deserialize)]
pub(super) struct Payload<'a> {
    pub(super) op: u8,
    pub(super) s: Option<u64>,
    #[serde(borrow)]
    pub(super) t: Option<Cow<'a, str>>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

impl Payload<'_> {
    /// The data as JSON.
    pub(super) fn data(&self) -> &str {
        self.d.map_or("null", RawValue::get)
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Ready(Ready),
    Resumed,
    /// The bot is in a server, which works and has so many members.
    Arrived(GuildId, u64),
    /// Something for the loop that keeps roles in step.
    Seen(Observation),
    Members(Chunk),
    RateLimited(RateLimited),
    /// A command or a button, as JSON; and the member who used it in a server, as they are now.
    Interaction(Option<Observation>, Box<str>),
    /// Nothing that matters here.
    Other,
}

/// The beginning of a session.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Ready {
    pub(super) user: Object<UserId>,
    /// All servers of this shard that the bot is in.
    pub(super) guilds: Vec<Guild>,
    pub(super) session_id: String,
    pub(super) resume_gateway_url: String,
    #[serde(default)]
    pub(super) application: Application,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Application {
    #[serde(default)]
    pub(super) flags: u64,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Guild {
    pub(super) id: GuildId,
    #[serde(default)]
    unavailable: bool,
    #[serde(default)]
    member_count: u64,
}

/// A part of the answer to a request for members.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Chunk {
    pub(super) members: Vec<SeenMember>,
    /// Who is not in the server.
    #[serde(default)]
    pub(super) not_found: Vec<UserId>,
    /// How many parts there are.
    pub(super) chunk_count: u32,
    #[serde(flatten)]
    pub(super) of: Nonce,
}

/// A request over the gateway that came too soon.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct RateLimited {
    /// Seconds.
    pub(super) retry_after: f64,
    #[serde(rename = "meta")]
    pub(super) of: Nonce,
}

/// Which request an answer is to.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Nonce {
    pub(super) nonce: Option<String>,
}

impl Nonce {
    /// Only numbers are given out.
    pub(super) fn number(&self) -> Option<u64> {
        self.nonce.as_ref()?.parse().ok()
    }
}

/// An event that concerns a server.
#[derive(Deserialize)]
struct In {
    guild_id: GuildId,
}

#[derive(Deserialize)]
struct Leaving {
    guild_id: GuildId,
    user: Object<UserId>,
}

#[derive(Deserialize)]
struct DeletedRole {
    guild_id: GuildId,
    role_id: RoleId,
}

/// Who used a command or a button; neither field is there in a direct message.
#[derive(Deserialize)]
struct UsedBy {
    guild_id: Option<GuildId>,
    member: Option<SeenMember>,
}

/// Reads an event by its name.
pub(super) fn decode(name: &str, data: &str) -> serde_json::Result<Event> {
    let guild = || Ok(serde_json::from_str::<In>(data)?.guild_id);
    Ok(match name {
        "READY" => Event::Ready(serde_json::from_str(data)?),
        "RESUMED" => Event::Resumed,
        // An unavailable server is an outage of Discord's; it comes back by itself.
        "GUILD_CREATE" | "GUILD_DELETE" => {
            let guild: Guild = serde_json::from_str(data)?;
            match name {
                _ if guild.unavailable => Event::Other,
                "GUILD_CREATE" => Event::Arrived(guild.id, guild.member_count),
                _ => Event::Seen(Observation::GuildGone(guild.id)),
            }
        }
        "GUILD_UPDATE" => {
            let guild: Guild = serde_json::from_str(data)?;
            Event::Seen(Observation::RolesChanged(guild.id))
        }
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => {
            let (guild, member) = (guild()?, serde_json::from_str(data)?);
            Event::Seen(Observation::MemberSeen { guild, member })
        }
        "GUILD_MEMBER_REMOVE" => {
            let Leaving { guild_id, user } = serde_json::from_str(data)?;
            let (guild, user) = (guild_id, user.id);
            Event::Seen(Observation::MemberLeft { guild, user })
        }
        "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
            Event::Seen(Observation::RolesChanged(guild()?))
        }
        "GUILD_ROLE_DELETE" => {
            let DeletedRole { guild_id, role_id } = serde_json::from_str(data)?;
            let (guild, role) = (guild_id, role_id);
            Event::Seen(Observation::RoleDeleted { guild, role })
        }
        "GUILD_MEMBERS_CHUNK" => Event::Members(serde_json::from_str(data)?),
        "RATE_LIMITED" => Event::RateLimited(serde_json::from_str(data)?),
        "INTERACTION_CREATE" => {
            let by: UsedBy = serde_json::from_str(data)?;
            let by = by.guild_id.zip(by.member);
            let seen = by.map(|(guild, member)| Observation::MemberSeen { guild, member });
            Event::Interaction(seen, data.into())
        }
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Observation {
        Observation::MemberSeen {
            guild: GuildId(7),
            member: SeenMember {
                user: UserId(5),
                name: "ada".to_owned(),
                roles: vec![RoleId(3)],
                pending: false,
            },
        }
    }

    #[test]
    fn fields_of_a_new_shape_lose_no_event() {
        let guild = r#"{"id":"7","unavailable":false,"member_count":12,"channels":[{"type":99,"id":{"new":true}}],"x":[]}"#;
        let decoded = decode("GUILD_CREATE", guild).unwrap();
        assert_eq!(decoded, Event::Arrived(GuildId(7), 12));
        let member = r#"{"guild_id":"7","user":{"id":"5","username":"ada","avatar":[]},"roles":["3"],"flags":"many"}"#;
        let seen = ada();
        assert_eq!(
            decode("GUILD_MEMBER_UPDATE", member).unwrap(),
            Event::Seen(seen)
        );
        assert_eq!(decode("SOMETHING_NEW", "[]").unwrap(), Event::Other);
    }

    #[test]
    fn an_outage_of_discords_is_neither_an_arrival_nor_a_removal() {
        let gone = r#"{"id":"7","unavailable":true}"#;
        assert_eq!(decode("GUILD_CREATE", gone).unwrap(), Event::Other);
        assert_eq!(decode("GUILD_DELETE", gone).unwrap(), Event::Other);
        assert_eq!(
            decode("GUILD_DELETE", r#"{"id":"7"}"#).unwrap(),
            Event::Seen(Observation::GuildGone(GuildId(7)))
        );
    }

    #[test]
    fn a_command_shows_the_member_who_used_it() {
        let command = r#"{"guild_id":"7","member":{"user":{"id":"5","username":"ada"},"roles":["3"],"pending":false},"id":"1"}"#;
        let seen = ada();
        assert_eq!(
            decode("INTERACTION_CREATE", command).unwrap(),
            Event::Interaction(Some(seen), command.into())
        );
        let direct = r#"{"user":{"id":"5"},"id":"1"}"#;
        assert_eq!(
            decode("INTERACTION_CREATE", direct).unwrap(),
            Event::Interaction(None, direct.into())
        );
    }

    fn nonce() -> Nonce {
        Nonce {
            nonce: Some("12".to_owned()),
        }
    }

    #[test]
    fn a_chunk_tells_who_is_there_and_who_is_not() {
        let chunk = r#"{"guild_id":"7","members":[{"user":{"id":"5","username":"a","global_name":"Ada"},"nick":null,"roles":[],"pending":true}],
            "chunk_index":0,"chunk_count":1,"not_found":["6"],"nonce":"12"}"#;
        let member = SeenMember {
            user: UserId(5),
            name: "Ada".to_owned(),
            roles: vec![],
            pending: true,
        };
        let expected = Chunk {
            members: vec![member],
            not_found: vec![UserId(6)],
            chunk_count: 1,
            of: nonce(),
        };
        assert_eq!(
            decode("GUILD_MEMBERS_CHUNK", chunk).unwrap(),
            Event::Members(expected)
        );
        let limited = r#"{"opcode":8,"retry_after":1.5,"meta":{"guild_id":"7","nonce":"12"}}"#;
        let expected = RateLimited {
            retry_after: 1.5,
            of: nonce(),
        };
        assert_eq!(
            decode("RATE_LIMITED", limited).unwrap(),
            Event::RateLimited(expected)
        );
    }

    #[test]
    fn the_beginning_of_a_session_tells_what_the_application_may() {
        let session = r#"{"user":{"id":"5"},"guilds":[],"session_id":"a","resume_gateway_url":"b"#;
        for (application, flags) in [
            (r#"","x":1}"#, 0),
            (r#"","application":{"id":"1","flags":32768}}"#, 1 << 15),
        ] {
            let ready = decode("READY", &format!("{session}{application}")).unwrap();
            assert!(matches!(ready, Event::Ready(ready) if ready.application.flags == flags));
        }
    }
}
