use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};

use crate::node::Node;

/// The task that ticks for all sessions of a node. It starts with the first session, holds the node weakly and ends
/// with it; should its runtime end first, the next session starts another.
#[derive(Default)]
pub(crate) struct Sweeper {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    pub(crate) fn start<V: Send + Sync + 'static>(&self, node: &Arc<Node<V>>) {
        let mut task = self.task.lock();
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let tick = node.rhythm.tick;
        let budget = Arc::clone(&node.budget);
        let node = Arc::downgrade(node);
        *task = Some(tokio::spawn(async move {
            let mut next = Instant::now() + tick;
            loop {
                let is_tick = tokio::select! {
                    () = time::sleep_until(next) => true,
                    () = budget.exceeded().notified() => false,
                };
                let Some(node) = node.upgrade() else { return };
                node.relieve();
                if is_tick {
                    next = Instant::now() + tick;
                    node.sweep();
                }
            }
        }));
    }
}
