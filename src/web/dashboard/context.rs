//! What most pages of a server need: who manages it, its name, its gates, and names for roles and plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maud::{Markup, html};

use super::super::Site;
use super::super::api::guild::modules;
use super::super::api::{Failure, told};
use super::super::session::{Managing, Session};
use super::plots::swatch;
use crate::domain::{Gate, GuildId, ModuleAddress, PlanId, RoleId, Timestamp};
use crate::merchants::{Manager, Merchants, PlanRow, RoleRow};

/// A request for a page of a server by one of its managers.
pub(super) struct Context {
    pub(super) site: Arc<Site>,
    pub(super) manager: Manager,
    pub(super) session: Session,
    /// The server's name.
    pub(super) name: String,
    /// Its gates, those of config.toml too.
    pub(super) gates: Vec<Gate>,
}

impl Context {
    pub(super) async fn load(
        site: Arc<Site>,
        Managing(manager, session): Managing,
    ) -> Result<Self, Failure> {
        let merchants = &site.state.merchants;
        let name = merchants.server_name(&manager);
        let gates = merchants.gates(manager.guild);
        let (name, gates) = tokio::join!(name, gates);
        let (name, gates) = (name?, gates?);
        Ok(Self {
            site,
            manager,
            session,
            name,
            gates,
        })
    }

    pub(super) fn guild(&self) -> GuildId {
        self.manager.guild
    }

    pub(super) fn merchants(&self) -> &Merchants {
        &self.site.state.merchants
    }

    pub(super) fn now(&self) -> Timestamp {
        self.site.now()
    }

    /// The address of a page below the server's.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/dashboard/{}/{rest}", self.guild())
    }

    /// The server's roles. Where Discord does not show them, pages go on with their ids.
    pub(super) async fn roles(&self) -> Roles {
        match self.merchants().roles(self.guild()).await {
            Ok(rows) => Roles {
                rows,
                trouble: None,
            },
            Err(refusal) => Roles {
                rows: Vec::new(),
                trouble: Some(told(&refusal)),
            },
        }
    }

    /// The plans of the gates' modules and of the manager's own.
    pub(super) async fn plans(&self) -> Plans {
        let named = async {
            let modules = modules(&self.site, self.session.user, &self.gates).await?;
            Ok::<_, Failure>(self.merchants().plans(&modules).await?)
        };
        match named.await {
            Ok(rows) => Plans {
                rows,
                trouble: None,
            },
            Err(failure) => {
                failure.log();
                Plans {
                    rows: Vec::new(),
                    trouble: Some(failure.message()),
                }
            }
        }
    }
}

/// The roles of a server, highest first.
pub(super) struct Roles {
    pub(super) rows: Vec<RoleRow>,
    /// Why they are not known.
    pub(super) trouble: Option<String>,
}

impl Roles {
    pub(super) fn get(&self, role: RoleId) -> Option<&RoleRow> {
        self.rows.iter().find(|row| row.role == role)
    }

    /// The role's name; its id where the role is gone or not known.
    pub(super) fn name(&self, role: RoleId) -> String {
        self.get(role)
            .map_or_else(|| role.to_string(), |row| row.name.clone())
    }

    /// Name and colour.
    pub(super) fn label(&self, role: RoleId) -> Markup {
        label(self.get(role).map_or(0, |row| row.color), &self.name(role))
    }

    /// Several of them: `Gold and Silver`.
    pub(super) fn labels(&self, roles: &BTreeSet<RoleId>) -> Markup {
        html! {
            @for (index, role) in roles.iter().enumerate() {
                @if index > 0 { " and " }
                (self.label(*role))
            }
        }
    }

    /// Names by id, for tables of many rows.
    pub(super) fn names(&self) -> BTreeMap<RoleId, &str> {
        self.rows
            .iter()
            .map(|row| (row.role, row.name.as_str()))
            .collect()
    }
}

/// A role's name after its colour; Discord shows a role without one in grey.
pub(super) fn label(color: u32, name: &str) -> Markup {
    let color = match color {
        0 => "#99AAB5".to_owned(),
        color => format!("#{:06X}", color & 0x00FF_FFFF),
    };
    html! { span.role { (swatch(&color)) span { (name) } } }
}

/// Plans by module and id.
pub(super) struct Plans {
    pub(super) rows: Vec<PlanRow>,
    /// Why they are not known.
    pub(super) trouble: Option<String>,
}

impl Plans {
    pub(super) fn get(&self, module: ModuleAddress, plan: PlanId) -> Option<&PlanRow> {
        self.rows
            .iter()
            .find(|row| row.module == module && row.plan == plan)
    }

    /// The plan's name; `Plan 1` where it is not known.
    pub(super) fn name(&self, module: ModuleAddress, plan: PlanId) -> String {
        let row = self.get(module, plan);
        row.map_or_else(|| format!("Plan {plan}"), |row| row.name.clone())
    }
}
