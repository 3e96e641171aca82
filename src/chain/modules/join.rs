//! The end of a module's way: what a task has come to is taken in, and a module whose past is stored moves with the cursor.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::failures::MOST_FAILURES;
use super::register::NotReadable;
use super::reset::read_again;
use super::{Done, Joins, WATCHED_AT_ONCE};
use crate::chain::compare::History;
use crate::chain::config::Goal;
use crate::chain::error::SessionError;
use crate::chain::history::Interrupted;
use crate::chain::node::RpcError;
use crate::chain::processors::{Processors, WatchedModule};
use crate::chain::state::{Context, Followed, Joining};
use crate::domain::{ChainEvent, ModuleAddress};

impl Joins {
    /// Takes what a task has come to. Says whether the unconfirmed blocks must be read again, because more is watched.
    pub(in crate::chain) async fn take(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        done: Done,
    ) -> Result<bool, SessionError> {
        match done {
            Done::Registered(module, result) => {
                match result {
                    Ok(registered) => self.registered.push((module, registered)),
                    Err(error) => self.not_readable(context, followed, module, error)?,
                }
                let is_last = self.registering.is_empty() && !self.waiting;
                let is_time = is_last || self.registered.len() >= WATCHED_AT_ONCE;
                if self.registered.is_empty() || !is_time {
                    return Ok(false);
                }
                self.watch(followed);
                Ok(true)
            }
            Done::Read(modules, Ok(past)) => {
                self.join(context, followed, &modules, &past).await?;
                Ok(false)
            }
            Done::Read(modules, Err(interrupted)) => {
                self.interrupted(context, followed, &modules, interrupted)
                    .await?;
                Ok(false)
            }
        }
    }

    /// Watches what was registered from the next block on.
    fn watch(&mut self, followed: &mut Followed) {
        let target = followed.window.base();
        let mut watched = Vec::new();
        for (module, registered) in self.registered.drain(..) {
            let since = WatchedModule {
                initial: registered.processor,
                updates: Vec::new(),
                from: target.number + 1,
            };
            watched.push((module, since));
            let events = Vec::new();
            followed.joining.insert(module, Joining { target, events });
        }
        followed.processors.add(watched);
    }

    /// The past of these modules is stored: so is, now, what the tip has seen of them since.
    async fn join(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        modules: &BTreeSet<ModuleAddress>,
        past: &Processors,
    ) -> Result<(), SessionError> {
        let mut joined = Vec::new();
        let mut events: Vec<ChainEvent> = Vec::new();
        // A group has one.
        let mut target = None;
        for module in modules {
            let (Some(before), Some(since)) = (past.get(module), followed.processors.get(module))
            else {
                continue;
            };
            let Some(joining) = followed.joining.get(module) else {
                continue;
            };
            if before.current() != since.initial {
                // It was watched with another processor than it had: its logs since then were not asked for.
                warn!(%module, "the module's processor at the tip is not the one its history ends with; reading it again");
                followed.drop_module(*module);
                self.waiting = true;
                continue;
            }
            events.extend(joining.events.iter().cloned());
            target = Some(joining.target);
            joined.push(*module);
        }
        let Some(target) = target else {
            return Ok(());
        };
        events.sort_by_key(|event| event.position);
        followed.unsaved.next.joined.extend(&joined);
        let base = followed.window.base();
        let stored = followed
            .commit(context, &self.node, base, events, Vec::new(), &[])
            .await;
        if stored.is_err() {
            // The past is stored, so another try is short.
            followed
                .unsaved
                .next
                .joined
                .retain(|module| !joined.contains(module));
        }
        stored?;
        for module in &joined {
            followed.joining.remove(module);
            self.failures.remove(module);
            followed.refused.remove(module);
            if let (Some(before), Some(since)) = (past.get(module), followed.processors.get(module))
            {
                let mut whole = before.clone();
                whole.updates.extend(since.updates.iter().copied());
                whole.from = since.from;
                followed.processors.add([(*module, whole)]);
            }
        }
        let starts = joined.iter().filter_map(|module| past.get(module));
        if let Some(from) = starts.map(|module| module.from).min() {
            followed.histories.insert(
                0,
                History {
                    modules: joined.iter().copied().collect(),
                    from,
                    to: target,
                    doubted: BTreeSet::new(),
                },
            );
        }
        info!(modules = joined.len(), at = base.number, "modules joined");
        Ok(())
    }

    async fn interrupted(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        modules: &BTreeSet<ModuleAddress>,
        interrupted: Interrupted,
    ) -> Result<(), SessionError> {
        match interrupted {
            Interrupted::Session(SessionError::Moved(why)) => {
                for module in modules {
                    self.failures.moved(*module, &why);
                }
                Ok(())
            }
            Interrupted::Session(SessionError::Rpc(error)) => {
                for module in modules {
                    self.refused(context, followed, *module, &error)?;
                }
                Ok(())
            }
            Interrupted::Session(error) => Err(error),
            Interrupted::WrongStart(module, actual) => {
                read_again(context, followed, module, actual).await
            }
            Interrupted::Hostile(module) => {
                self.drop_hostile(followed, module);
                Ok(())
            }
        }
    }

    /// A module that names more processors than any honest one is not followed any more.
    pub(in crate::chain) fn drop_hostile(
        &mut self,
        followed: &mut Followed,
        module: ModuleAddress,
    ) {
        followed.drop_module(module);
        self.failures.hostile(module);
    }

    fn not_readable(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        module: ModuleAddress,
        not_readable: NotReadable,
    ) -> Result<(), SessionError> {
        match not_readable {
            NotReadable::NoContract => self.failures.missing(module),
            NotReadable::Session(SessionError::Moved(why)) => self.failures.moved(module, &why),
            NotReadable::Session(SessionError::Rpc(error)) => {
                self.refused(context, followed, module, &error)?;
            }
            NotReadable::Session(error) => return Err(error),
        }
        Ok(())
    }

    /// The node does not let a module be read. That alone is no reason to leave it: the others are followed on. But where
    /// another node has not refused it yet, that one is asked.
    fn refused(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        module: ModuleAddress,
        error: &RpcError,
    ) -> Result<(), SessionError> {
        // These are about the node, not about the module.
        let is_general = matches!(
            error,
            RpcError::RateLimited { .. } | RpcError::WrongChain { .. }
        );
        if is_general {
            return Err(error.clone().into());
        }
        if self.failures.refused(module, error) < MOST_FAILURES {
            return Ok(());
        }
        let refused = followed.refused.entry(module).or_default();
        let is_news = refused.insert(self.place) && refused.len() < context.pool.len();
        if is_news || matches!(context.goal, Goal::Index { .. }) {
            return Err(error.clone().into());
        }
        self.failures.give_up(module, error);
        Ok(())
    }
}
