//! Takes the results of tasks: a module whose past is stored moves with the cursor.

use std::collections::BTreeSet;

use tracing::info;

use super::failures::MOST_FAILURES;
use super::register::correct;
use super::{Done, Joins, WATCHED_AT_ONCE};
use crate::chain::compare::History;
use crate::chain::config::Goal;
use crate::chain::context::Context;
use crate::chain::error::SessionError;
use crate::chain::node::RpcError;
use crate::chain::processors::{ProcessorError, Processors, WatchedModule};
use crate::chain::state::{Followed, Joining};
use crate::domain::{ChainEvent, ModuleAddress};

impl Joins {
    /// Takes a task's result. Says whether the unconfirmed blocks must be read again, because more is watched.
    pub(crate) async fn take(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        done: Done,
    ) -> Result<bool, SessionError> {
        match done {
            Done::Registered(module, result) => {
                match result {
                    Ok(Ok(registered)) => drop(self.registered.insert(module, registered)),
                    Ok(Err(why)) => self.failures.not_yet(module, why),
                    Err(error) => {
                        let modules = [module].into();
                        self.failed(context, followed, &modules, error).await?;
                    }
                }
                let is_last = self.registering.is_empty() && !self.waiting;
                let is_time = is_last || self.registered.len() >= WATCHED_AT_ONCE;
                if !self.registered.is_empty() && is_time {
                    self.watch(followed);
                    return Ok(true);
                }
            }
            Done::Read(modules, Ok(past)) => {
                self.join(context, followed, &modules, &past).await?;
            }
            Done::Read(modules, Err(error)) => {
                self.failed(context, followed, &modules, error).await?;
            }
            Done::Compared(compared) => {
                followed.histories.pop();
                compared?;
            }
        }
        Ok(false)
    }

    /// Watches what was registered from the next block on.
    fn watch(&mut self, followed: &mut Followed) {
        let target = followed.window.base();
        let mut watched = Vec::new();
        for (module, registered) in std::mem::take(&mut self.registered) {
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
                // Its logs since then were not asked for: it changed between registering and watching, or the node hides how.
                let why = "its processor at the tip is not the one its history ends with";
                if self.set_aside(context, followed, *module, &RpcError::unavailable(why)) {
                    return Err(ProcessorError::Hidden(*module).into());
                }
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
        let batch = followed.batch(followed.window.base(), events);
        let stored = followed.commit(context, &self.chosen.node, batch).await;
        if stored.is_err() {
            // The past is stored, so another try is short.
            let next = &mut followed.unsaved.next;
            next.joined.retain(|module| !joined.contains(module));
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
                    doubted: None,
                },
            );
        }
        let at = followed.window.base().number;
        info!(modules = joined.len(), at, "modules joined");
        Ok(())
    }

    /// These modules could not be read. What the others suffer from too ends the session.
    async fn failed(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        modules: &BTreeSet<ModuleAddress>,
        error: SessionError,
    ) -> Result<(), SessionError> {
        match error {
            SessionError::Moved(why) => {
                for module in modules {
                    self.failures.moved(*module, why);
                }
            }
            SessionError::Rpc(error) => {
                let modules = match &error {
                    RpcError::Crowded { module, .. } => &[*module].into(),
                    _ => modules,
                };
                for module in modules {
                    self.refused(context, followed, *module, &error)?;
                }
            }
            SessionError::Processors(error) => match error {
                ProcessorError::TooMany(module) => self.too_many_processors(followed, module),
                error => correct(context, followed, error).await?,
            },
            SessionError::Store(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The node refused to read a module. Another node is tried if there is one that has not refused it yet; otherwise the
    /// other modules are followed on.
    fn refused(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        module: ModuleAddress,
        error: &RpcError,
    ) -> Result<(), SessionError> {
        if error.is_about_node() {
            return Err(error.clone().into());
        }
        // An index is not to end without a module for a failure that may pass.
        let may_pass = !matches!(error, RpcError::Crowded { .. });
        match self.is_for_another(context, followed, module, error)
            || may_pass
                && matches!(context.goal, Goal::Index { .. })
                && self.failures.sentence(&module).is_some()
        {
            true => Err(error.clone().into()),
            false => Ok(()),
        }
    }

    /// A module names more processors than any honest one, and is not followed any more.
    pub(crate) fn too_many_processors(&mut self, followed: &mut Followed, module: ModuleAddress) {
        followed.drop_module(module);
        self.failures.too_many_processors(module);
    }

    /// What the node tells of a module at the tip cannot be used: the module alone is read again, after a pause. Whether another
    /// node is to be asked.
    pub(crate) fn set_aside(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        module: ModuleAddress,
        error: &RpcError,
    ) -> bool {
        followed.drop_module(module);
        self.is_for_another(context, followed, module, error)
    }

    /// Counts a failure to read a module. Whether that was one too many for this node, and there is one that has not failed
    /// so yet; where there is none, the module is given up for now.
    fn is_for_another(
        &mut self,
        context: &Context,
        followed: &mut Followed,
        module: ModuleAddress,
        error: &RpcError,
    ) -> bool {
        if self.failures.refused(module, error) < MOST_FAILURES {
            return false;
        }
        let refused = followed.refused.entry(module).or_default();
        let is_news = refused.insert(self.chosen.place) && refused.len() < context.pool.len();
        if !is_news {
            self.failures.give_up(module, error);
        }
        is_news
    }
}
