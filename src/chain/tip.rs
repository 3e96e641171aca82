//! The tip, block by block, with everything that happens beside it.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::advance::Step;
use super::follow::{End, Follower, Setback};
use super::join::{Joining, sleep_until};
use super::node::Node;
use super::node::heads::{Heads, Seen};
use super::node::read::Header;
use super::node::{Chosen, RpcError};
use super::place::Place;
use crate::domain::ModuleAddress;

/// A head that jumps back further than this makes another node, if one is further, the better choice at once.
const BACK: u64 = 2;

impl Follower {
    /// Follows the tip until the node fails, falls far behind, or a better one is found.
    pub(super) async fn follow_tip(
        &mut self,
        chosen: &Chosen,
        place: &mut Place,
        mut heads: Heads,
        head: Header,
        stop: &CancellationToken,
    ) -> Result<End, Setback> {
        let node = &chosen.node;
        let mut joining = Joining::new(chosen, self);
        let mut modules = self.modules.clone();
        let pool = self.pool.clone();
        let status = self.status.clone();
        let height = move || {
            status
                .borrow()
                .confirmed
                .map_or(0, |confirmed| confirmed.number)
        };
        let mut better = std::pin::pin!(pool.better_than(chosen.place, height));
        let ledger = self.committer.ledger.clone();
        let mut late_plans = std::pin::pin!(ledger.read_late_plans(node));
        let mut peek: Option<BoxFuture<'static, Option<Chosen>>> = None;
        let mut newest = head.clone();
        let mut new = vec![head];
        loop {
            let mut step = Step::Done;
            if let Some(head) = new.last() {
                newest = head.clone();
                self.show_head(head);
                if self.is_far(place, head) {
                    return Err(Setback::Moved("far behind the tip".to_owned()));
                }
                step = self.advance(node, place, &new).await?;
                if step == Step::Done {
                    self.publish(place, &joining);
                }
            }
            if step == Step::Done {
                step = self.look_again(node, place).await?;
            }
            if step != Step::Done {
                // What joins may have read blocks that are rolled back.
                joining.abort().await;
                if step == Step::Reorganised {
                    self.recover(node, place).await?;
                }
                if new.is_empty() {
                    new.push(newest.clone());
                }
                continue;
            }
            if !new.is_empty() {
                new.clear();
                let is_back = newest.number + BACK < place.window.tip().number;
                peek = is_back.then(|| self.look_around(chosen, place));
            }
            self.take_modules(node, &mut modules, place, &mut joining)
                .await?;
            self.publish(place, &joining);
            let save_due = self.committer.save_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    joining.abort().await;
                    self.save(place).await?;
                    return Ok(End::Stopped);
                }
                seen = heads.next(node) => {
                    self.note_pushes(chosen, &heads);
                    match seen? {
                        Seen::Heads(headers) => new = headers,
                        Seen::Nothing => {
                            // One that hangs goes on: there may be others after it.
                            peek.get_or_insert_with(|| self.look_around(chosen, place));
                        }
                    }
                }
                further = OptionFuture::from(peek.as_mut()), if peek.is_some() => {
                    peek = None;
                    if let Some(better) = further.flatten() {
                        self.leave_behind(chosen, &better);
                        return Ok(End::Better(better));
                    }
                }
                joined = joining.next() => if let Some(caught) = joined {
                    self.join(node, place, &mut joining, caught).await?;
                },
                // An error means that the set of modules is final; then there is nothing to wait for.
                Ok(()) = modules.changed() => {}
                better = &mut better => return Ok(End::Better(better)),
                () = tokio::time::sleep_until(save_due.into()) => self.save(place).await?,
                () = sleep_until(place.unsure.next()) => {}
                failed = &mut late_plans => return Err(failed),
            }
        }
    }

    /// The node has shown nothing new for a while, or an older head: is another one further? Asked beside following on.
    fn look_around(&self, chosen: &Chosen, place: &Place) -> BoxFuture<'static, Option<Chosen>> {
        let (pool, current) = (self.pool.clone(), chosen.place);
        let beyond = place.window.tip().number + 2;
        async move { pool.ahead_of(current, beyond).await }.boxed()
    }

    fn leave_behind(&self, chosen: &Chosen, better: &Chosen) {
        warn!(
            rpc = better.node.host(),
            "the node in use lags behind another one"
        );
        self.pool.failed(
            chosen,
            true,
            &RpcError::unavailable("it lags behind another node"),
        );
    }

    /// Remembers endpoints that take subscriptions and push nothing: such a one is polled.
    fn note_pushes(&mut self, chosen: &Chosen, heads: &Heads) {
        match heads.is_mute() {
            Some(true) => *self.mute.entry(chosen.place).or_default() += 1,
            Some(false) => {
                self.mute.remove(&chosen.place);
            }
            None => {}
        }
    }

    /// Brings the followed modules in line with the wanted ones.
    pub(super) async fn take_modules(
        &mut self,
        node: &Node,
        modules: &mut Receiver<BTreeSet<ModuleAddress>>,
        place: &mut Place,
        joining: &mut Joining,
    ) -> Result<(), Setback> {
        let wanted = modules.borrow_and_update().clone();
        if place.watch.keep_only(&wanted) {
            place.drop_unwatched();
        }
        if joining.consider(&wanted, place) {
            // What a module reads up to must be stored, or a crash would leave it ahead of the cursor.
            self.save(place).await?;
            self.look_back(node, place).await?;
            joining.start(&wanted, place);
        }
        Ok(())
    }

    /// Publishes where we are, after every step.
    fn publish(&mut self, place: &Place, joining: &Joining) {
        self.settled |= joining.is_done();
        let at_tip = self.settled && self.committer.rollback().is_none();
        let unread = joining.unread();
        let confirmed = place.window.base();
        let pending: Vec<_> = place
            .window
            .tail()
            .flat_map(|block| block.events.iter().cloned())
            .collect();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.confirmed = Some(confirmed);
            status.set_at_tip(at_tip, Instant::now());
            status.pending = pending;
            status.trouble = None;
            status.unread_modules = unread;
            *status != before
        });
    }
}
