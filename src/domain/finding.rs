//! What `doctor` finds: one line for each thing that was looked at.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for long.
    Warning,
    /// Something cannot work.
    Failure,
}

/// One line of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, such as `node.chain_id`: stable, for scripts.
    pub name: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub sentence: String,
    /// What to do about it; none where it is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(name: &str, sentence: impl Into<String>) -> Self {
        Self::new(name, Level::Ok, sentence.into(), None)
    }

    /// It works, but not as well as it could.
    pub fn warning(name: &str, sentence: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self::new(
            name,
            Level::Warning,
            sentence.into(),
            Some(what_to_do.into()),
        )
    }

    /// It cannot work.
    pub fn failure(name: &str, sentence: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self::new(
            name,
            Level::Failure,
            sentence.into(),
            Some(what_to_do.into()),
        )
    }

    fn new(name: &str, level: Level, sentence: String, what_to_do: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            level,
            sentence,
            what_to_do,
        }
    }
}
