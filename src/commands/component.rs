//! Buttons. Their ids are all that is known of them, so that they work after any restart.

use serenity::all::{FullEvent, Interaction};

use super::answer::{Answer, Button};
use super::{Asked, Data, defer_component, ephemeral, member, privacy};
use crate::domain::{GuildId, UserId};
use crate::text;

/// The button of the permanent message; it stands in channels for years.
pub(super) const VERIFY: &str = "amser-roles:verify";
/// `/privacy delete`, confirmed.
pub(super) const FORGET: &str = "amser-roles:forget";
/// `/unlink`, every wallet.
pub(super) const UNLINK_ALL: &str = "amser-roles:unlink:all";
/// `/unlink`, one wallet; its address follows.
pub(super) const UNLINK: &str = "amser-roles:unlink:";
/// What every id of ours begins with.
const OURS: &str = "amser-roles:";

/// What a button asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Press {
    Verify,
    Forget,
    Unlink(String),
    Outdated,
}

impl Press {
    /// `None` when the button is not ours.
    fn read(id: &str) -> Option<Self> {
        Some(match id {
            VERIFY => Self::Verify,
            FORGET => Self::Forget,
            _ => match (id.strip_prefix(UNLINK), id.strip_prefix(OURS)) {
                (Some(which), _) => Self::Unlink(which.to_owned()),
                (None, Some(_)) => Self::Outdated,
                (None, None) => return None,
            },
        })
    }
}

/// A button for a person to press.
pub(super) fn press(label: String, id: String, danger: bool) -> Button {
    Button::Press { label, id, danger }
}

/// Acknowledges and answers a button of ours.
pub(super) async fn dispatch(
    framework: poise::FrameworkContext<'_, Data, anyhow::Error>,
    event: &FullEvent,
) -> anyhow::Result<()> {
    let FullEvent::InteractionCreate {
        interaction: Interaction::Component(component),
    } = event
    else {
        return Ok(());
    };
    let Some(press) = Press::read(&component.data.custom_id) else {
        return Ok(());
    };
    let context = framework.serenity_context;
    let Some(guild) = component.guild_id else {
        let sentence = ephemeral(text::only_in_servers());
        component.create_response(context, sentence).await?;
        return Ok(());
    };
    let asked = Asked {
        user: UserId(component.user.id.get()),
        guild: GuildId(guild.get()),
        channel: component.channel_id,
        token: component.token.clone(),
    };
    defer_component(context, component).await?;
    framework
        .user_data
        .work(&asked, move |commands, asked| async move {
            match press {
                Press::Verify => member::verification(commands, asked).await,
                Press::Forget => privacy::forget(commands, asked).await,
                Press::Unlink(which) => member::unlinked(commands, asked, which).await,
                Press::Outdated => Ok(Answer::text(text::outdated_command())),
            }
        });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_are_told_apart_by_their_ids_alone() {
        assert_eq!(Press::read("amser-roles:verify"), Some(Press::Verify));
        assert_eq!(Press::read("amser-roles:forget"), Some(Press::Forget));
        assert_eq!(
            Press::read("amser-roles:unlink:0xab"),
            Some(Press::Unlink("0xab".to_owned()))
        );
        assert_eq!(
            Press::read(UNLINK_ALL),
            Some(Press::Unlink("all".to_owned()))
        );
        assert_eq!(Press::read("amser-roles:other"), Some(Press::Outdated));
        assert_eq!(Press::read("someone-elses"), None);
    }
}
