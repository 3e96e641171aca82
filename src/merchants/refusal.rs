//! Why something is refused: one sentence for a person, a code for scripts, an HTTP status.

/// Why something is refused. Its text is one sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing of this kind, or it belongs to someone else: nothing tells the two apart.
    #[error("There is no such server or gate, or you don't manage it.")]
    NotFound,
    /// The merchant has not shown a wallet yet.
    #[error("Sign in with the wallet that owns your amser module first.")]
    NoWallet,
    /// The module's merchant is another wallet.
    #[error(
        "This module belongs to another wallet than yours. Switch to the wallet that deployed it, and sign in with that one."
    )]
    ForeignModule,
    /// Not an address.
    #[error("This is not an address: it takes 0x and 40 hexadecimal digits.")]
    NotAnAddress,
    /// A role with permissions that should not be sold by accident.
    #[error("{}", dangerous_role(role, permissions))]
    Dangerous {
        /// Its name.
        role: String,
        /// The permissions, by their names on Discord.
        permissions: Vec<&'static str>,
    },
    /// The bot cannot give the role.
    #[error("The bot can't give \"{role}\". {why}")]
    NotManageable {
        /// Its name, or its id.
        role: String,
        /// One sentence.
        why: String,
    },
    /// The role is not below the caller's own highest one.
    #[error("\"{role}\" is not below your own highest role, so you can't use it for a gate.")]
    AboveYou {
        /// Its name.
        role: String,
    },
    /// The caller lacks a permission of their own.
    #[error("You need the permission \"Manage Roles\" in this server for this.")]
    NeedsManageRoles,
    /// There is no change to take back.
    #[error("There is no change to undo.")]
    NothingToUndo,
    /// The gate is the operator's.
    #[error("This gate is set in config.toml; only the operator of the bot can change it.")]
    FromConfig,
    /// The setting is the operator's.
    #[error("This setting is made in config.toml; only the operator of the bot can change it.")]
    SettingFromConfig,
    /// No removals of the role are stopped.
    #[error("No removals of this role are waiting for an approval.")]
    NothingHeld,
    /// Other removals of the role are stopped than the caller was shown.
    #[error("The stopped removals of this role have changed since. Look at them again.")]
    HeldChanged,
    /// Something in the request makes no sense; the sentence says what.
    #[error("{0}")]
    Invalid(String),
    /// No node answered.
    #[error("The blockchain can't be reached right now. Try again in a minute.")]
    NodeUnavailable,
    /// Discord did not answer, or refused; the sentence says what to do.
    #[error("{0}")]
    DiscordUnavailable(String),
    /// What is asked about was not read yet; the sentence says what.
    #[error("{0}")]
    NotRead(String),
    /// A fault of ours; its cause goes to the log alone.
    #[error("Something went wrong on our side. Try again in a minute.")]
    Internal(anyhow::Error),
}

impl Refusal {
    /// For scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NoWallet => "no_wallet",
            Self::ForeignModule => "foreign_module",
            Self::NotAnAddress => "not_an_address",
            Self::Dangerous { .. } => "dangerous_role",
            Self::NotManageable { .. } => "role_not_manageable",
            Self::AboveYou { .. } => "role_above_you",
            Self::NeedsManageRoles => "needs_manage_roles",
            Self::NothingToUndo => "nothing_to_undo",
            Self::FromConfig | Self::SettingFromConfig => "set_in_config",
            Self::NothingHeld => "nothing_held",
            Self::HeldChanged => "held_changed",
            Self::Invalid(_) => "invalid",
            Self::NodeUnavailable => "node_unavailable",
            Self::DiscordUnavailable(_) => "discord_unavailable",
            Self::NotRead(_) => "not_read",
            Self::Internal(_) => "internal",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::AboveYou { .. } | Self::NeedsManageRoles => 403,
            Self::Dangerous { .. }
            | Self::NothingToUndo
            | Self::FromConfig
            | Self::SettingFromConfig
            | Self::NothingHeld
            | Self::HeldChanged => 409,
            Self::NoWallet
            | Self::ForeignModule
            | Self::NotAnAddress
            | Self::NotManageable { .. }
            | Self::Invalid(_) => 422,
            Self::Internal(_) => 500,
            Self::NodeUnavailable | Self::DiscordUnavailable(_) | Self::NotRead(_) => 503,
        }
    }
}

fn dangerous_role(role: &str, permissions: &[&str]) -> String {
    let permissions: Vec<_> = permissions
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    format!(
        "\"{role}\" carries {}: everyone who pays would get that. Confirm it if that is what you want.",
        permissions.join(", ")
    )
}
