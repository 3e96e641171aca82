//! Gates: those of config.toml, and those of the dashboard with who made, changed and deleted them.

mod config;

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable, Table, WriteTransaction};

use super::codec::{decode, encode, read};
use super::tables::{ACTS, APPLIED, GATES, SERVER_SETTINGS};
use super::touched::Touched;
use super::{Store, acts, grants, servers, told};
use crate::domain::{
    Act, ActEntry, Gate, GateDraft, GateId, GateOrigin, GuildId, RoleId, Timestamp, UserId,
};

/// How far back it is looked for who took a role out of the gates.
const ACTS_LOOKED_AT: usize = 1_000;

/// Why a change of gates is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    /// The server has no such gate.
    #[error("no such gate")]
    NoSuchGate,
    /// The gate stands in config.toml.
    #[error("the gate stands in config.toml")]
    FromConfig,
    /// There is no change that could be taken back.
    #[error("nothing to undo")]
    NothingToUndo,
}

type Gates<'a> = Table<'a, u64, &'static [u8]>;

impl Store {
    /// All gates, in the order of their ids.
    pub fn gates(&self) -> anyhow::Result<Vec<Gate>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(GATES)?;
        table.iter()?.map(|row| decode(row?.1.value())).collect()
    }

    /// The gates of one server, in the order of their ids.
    pub fn gates_of(&self, guild: GuildId) -> anyhow::Result<Vec<Gate>> {
        let mut gates = self.gates()?;
        gates.retain(|gate| gate.guild == guild);
        Ok(gates)
    }

    /// Gates that a manager deleted or took back, by a role of theirs that no act has touched since: who loses the role
    /// because of that loses it by order.
    pub fn ended_gates(&self, guild: GuildId) -> anyhow::Result<Vec<(RoleId, Gate)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ACTS)?;
        let mut seen = BTreeSet::new();
        let mut ended = Vec::new();
        for entry in acts::newest(&table, guild)?.take(ACTS_LOOKED_AT) {
            let entry = entry?;
            let Act::Gate {
                before,
                after,
                is_undo,
            } = entry.act
            else {
                continue;
            };
            let is_order = entry.by.is_some() && (is_undo || after.is_none());
            let touched = before.iter().chain(&after).flat_map(|gate| &gate.roles);
            let touched: BTreeSet<_> = touched
                .copied()
                .filter(|role| !seen.contains(role))
                .collect();
            if let Some(gate) = before.filter(|_| is_order) {
                let of_gate = gate.roles.intersection(&touched);
                ended.extend(of_gate.map(|role| (*role, gate.clone())));
            }
            seen.extend(touched);
        }
        Ok(ended)
    }

    /// Adds a gate or replaces the one with its id, whoever made it. Not noted in the journal.
    pub fn put_gate(&self, gate: &Gate) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction
            .open_table(GATES)?
            .insert(gate.id.0, encode(gate).as_slice())?;
        transaction.commit()?;
        self.touched.put(Touched::in_servers([gate.guild]));
        Ok(())
    }

    /// Removes a gate, whoever made it; whether there was one. Not noted in the journal, so it is no manager's order.
    pub fn remove_gate(&self, id: GateId) -> anyhow::Result<bool> {
        let transaction = self.database.begin_write()?;
        let removed: Option<Gate> = read(transaction.open_table(GATES)?.remove(id.0)?)?;
        transaction.commit()?;
        let guild = removed.map(|gate| gate.guild);
        self.touched.put(Touched::in_servers(guild));
        Ok(guild.is_some())
    }

    /// Makes a gate, or changes the one that it `replaces`; its id. One that says the same is not made twice.
    pub fn make_gate(
        &self,
        guild: GuildId,
        draft: GateDraft,
        replaces: Option<GateId>,
        by: UserId,
        at: Timestamp,
    ) -> anyhow::Result<Result<GateId, GateRefusal>> {
        self.change_gates(guild, |transaction, table| {
            let before = match replaces {
                Some(id) => match of_dashboard(table, guild, id)? {
                    Ok(gate) => Some(gate),
                    Err(refusal) => return Ok(Err(refusal)),
                },
                None => None,
            };
            if let Some(same) = same(table, guild, &draft)? {
                return Ok(match (same.origin, replaces) {
                    (GateOrigin::Config, _) => Err(GateRefusal::FromConfig),
                    (GateOrigin::Dashboard, None) => Ok(same.id),
                    // Two gates that say the same: the one that is replaced goes.
                    (GateOrigin::Dashboard, Some(id)) => {
                        if id != same.id {
                            table.remove(id.0)?;
                            append(transaction, guild, Some(by), at, (before, None), false)?;
                        }
                        Ok(same.id)
                    }
                });
            }
            let id = match replaces {
                Some(id) => id,
                None => new_id(transaction, table)?,
            };
            let gate = draft.into_gate(id, guild);
            table.insert(id.0, encode(&gate).as_slice())?;
            append(
                transaction,
                guild,
                Some(by),
                at,
                (before, Some(gate)),
                false,
            )?;
            Ok(Ok(id))
        })
    }

    /// Deletes a gate of the dashboard.
    pub fn delete_gate(
        &self,
        guild: GuildId,
        id: GateId,
        by: UserId,
        at: Timestamp,
    ) -> anyhow::Result<Result<(), GateRefusal>> {
        self.change_gates(guild, |transaction, table| {
            let gate = match of_dashboard(table, guild, id)? {
                Ok(gate) => gate,
                Err(refusal) => return Ok(Err(refusal)),
            };
            table.remove(id.0)?;
            append(transaction, guild, Some(by), at, (Some(gate), None), false)?;
            Ok(Ok(()))
        })
    }

    /// Whether [`Store::undo_gate`] has something to take back.
    pub fn can_undo(&self, guild: GuildId) -> anyhow::Result<bool> {
        let acts = self.database.begin_read()?.open_table(ACTS)?;
        Ok(to_undo(&acts, guild)?.is_some())
    }

    /// Takes the newest change of the server's gates back, if it is not an undo itself. The gate keeps its id.
    pub fn undo_gate(
        &self,
        guild: GuildId,
        by: UserId,
        at: Timestamp,
    ) -> anyhow::Result<Result<(), GateRefusal>> {
        self.change_gates(guild, |transaction, table| {
            let undone = to_undo(&transaction.open_table(ACTS)?, guild)?;
            let Some((before, after)) = undone else {
                return Ok(Err(GateRefusal::NothingToUndo));
            };
            match (&before, &after) {
                (Some(gate), _) => table.insert(gate.id.0, encode(gate).as_slice())?,
                (None, Some(gate)) => table.remove(gate.id.0)?,
                (None, None) => return Ok(Err(GateRefusal::NothingToUndo)),
            };
            append(transaction, guild, Some(by), at, (after, before), true)?;
            Ok(Ok(()))
        })
    }

    /// Disconnects a server: its dashboard gates go, and what its managers set and gave for a time. With `keeps_roles`, the roles
    /// that this program gave there are no longer ours: nobody takes them.
    pub fn disconnect(
        &self,
        guild: GuildId,
        keeps_roles: bool,
        by: UserId,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let done = self.change_gates(guild, |transaction, table| {
            let mut gates: Vec<Gate> = Vec::new();
            for row in table.iter()? {
                gates.push(decode(row?.1.value())?);
            }
            gates.retain(|gate| gate.guild == guild && gate.origin == GateOrigin::Dashboard);
            for gate in gates {
                table.remove(gate.id.0)?;
                append(transaction, guild, Some(by), at, (Some(gate), None), false)?;
            }
            transaction.open_table(SERVER_SETTINGS)?.remove(guild.0)?;
            told::follow_settings(transaction)?;
            servers::disconnect_within(transaction, guild)?;
            let members = grants::disconnect(transaction, guild, keeps_roles, (by, at))?;
            if keeps_roles {
                let mut users = BTreeSet::new();
                let mut applied = transaction.open_table(APPLIED)?;
                let all = (guild.0, 0, 0)..=(guild.0, u64::MAX, u64::MAX);
                applied.retain_in(all, |(_, user, _), _| {
                    users.insert(UserId(user));
                    false
                })?;
                drop(applied);
                super::forgotten::let_go(transaction, users)?;
            }
            let act = Act::Disconnected {
                remove_roles: !keeps_roles,
            };
            let by = Some(by);
            acts::append(transaction, &ActEntry { at, guild, by, act })?;
            Ok(Ok(members))
        })?;
        self.touched.put(Touched {
            members: done?,
            ..Touched::default()
        });
        Ok(())
    }

    /// Changes the gates of one server in one transaction; nothing is written where that is refused.
    fn change_gates<T>(
        &self,
        guild: GuildId,
        change: impl FnOnce(&WriteTransaction, &mut Gates<'_>) -> anyhow::Result<Result<T, GateRefusal>>,
    ) -> anyhow::Result<Result<T, GateRefusal>> {
        let transaction = self.database.begin_write()?;
        let changed = change(&transaction, &mut transaction.open_table(GATES)?)?;
        if changed.is_ok() {
            transaction.commit()?;
            self.touched.put(Touched::in_servers([guild]));
        }
        Ok(changed)
    }
}

/// The server's gate with this id, if managers may change it.
fn of_dashboard(
    table: &Gates<'_>,
    guild: GuildId,
    id: GateId,
) -> anyhow::Result<Result<Gate, GateRefusal>> {
    let gate: Option<Gate> = read(table.get(id.0)?)?;
    Ok(match gate.filter(|gate| gate.guild == guild) {
        None => Err(GateRefusal::NoSuchGate),
        Some(gate) if gate.origin == GateOrigin::Config => Err(GateRefusal::FromConfig),
        Some(gate) => Ok(gate),
    })
}

/// The server's gate that says the same.
fn same(table: &Gates<'_>, guild: GuildId, draft: &GateDraft) -> anyhow::Result<Option<Gate>> {
    for row in table.iter()? {
        let gate: Gate = decode(row?.1.value())?;
        if gate.guild == guild && gate.says(draft) {
            return Ok(Some(gate));
        }
    }
    Ok(None)
}

/// An id that no gate of the dashboard has or had: acts are numbered, and none of the numbers is given twice.
fn new_id(transaction: &WriteTransaction, table: &Gates<'_>) -> anyhow::Result<GateId> {
    let last = table
        .range(..GateId::FIRST_OF_CONFIG)?
        .next_back()
        .transpose()?;
    let above = last.map_or(1, |(id, _)| id.value() + 1);
    Ok(GateId(above.max(acts::next_sequence(transaction)? + 1)))
}

/// The newest change of the server's gates by a manager, if it can be taken back.
fn to_undo(
    acts: &impl ReadableTable<(u64, u64), &'static [u8]>,
    guild: GuildId,
) -> anyhow::Result<Option<(Option<Gate>, Option<Gate>)>> {
    for entry in acts::newest(acts, guild)? {
        let entry = entry?;
        match entry.act {
            Act::Disconnected { .. } => return Ok(None),
            Act::Gate {
                before,
                after,
                is_undo,
            } if entry.by.is_some() => return Ok((!is_undo).then_some((before, after))),
            _ => {}
        }
    }
    Ok(None)
}

fn append(
    transaction: &WriteTransaction,
    guild: GuildId,
    by: Option<UserId>,
    at: Timestamp,
    (before, after): (Option<Gate>, Option<Gate>),
    is_undo: bool,
) -> anyhow::Result<()> {
    let act = Act::Gate {
        before,
        after,
        is_undo,
    };
    acts::append(transaction, &ActEntry { at, guild, by, act })
}

#[cfg(test)]
mod tests;
