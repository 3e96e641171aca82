//! The names in Discord's texts, as one reader sees them.
use super::markdown::Names;
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::{Channel, World};

/// Somebody who reads in a guild.
pub(crate) struct Reader<'a> {
    pub(crate) world: &'a World,
    pub(crate) guild: Option<GuildId>,
    /// Links are followed as this user.
    pub(crate) user: Option<UserId>,
}

impl Names for Reader<'_> {
    fn user(&self, id: &str) -> Option<String> {
        let id = UserId(id.parse().ok()?);
        let known = self.world.users.contains_key(&id);
        known.then(|| shape::user_name(self.world, id))
    }

    fn role(&self, id: &str) -> Option<String> {
        let id = crate::domain::RoleId(id.parse().ok()?);
        let guilds = self.world.guilds.values();
        let mut roles = guilds.filter_map(|guild| guild.roles.get(&id));
        roles.next().map(|role| role.name.clone())
    }

    fn channel(&self, id: &str) -> Option<String> {
        let id = id.parse::<u64>().ok().filter(|id| *id > 0)?;
        match self.world.channels.get(&id.into())? {
            Channel::Text { name, .. } => Some(name.clone()),
            Channel::Direct { .. } => None,
        }
    }

    /// A page of the service is opened as the reader, with the sandbox's wallet of theirs.
    fn link(&self, url: &str) -> String {
        let service = self.world.board.picture.service.as_str();
        let (Some(user), false) = (self.user, service.is_empty()) else {
            return url.to_owned();
        };
        if let Some(path) = url
            .strip_prefix(service)
            .filter(|path| !path.starts_with("/sandbox/"))
        {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("to", path);
            return format!("{service}/sandbox/as/{user}?{}", query.finish());
        }
        if url.contains("/checkout?") {
            return format!("{url}&as={user}");
        }
        url.to_owned()
    }
}
