use std::sync::{Arc, Weak};

use tokio::task;

use super::Lane;
use crate::sync::{Notify, Ordering::SeqCst};

/// Deliveries of one task before other tasks have their turn.
pub(super) const QUOTA: usize = 128;

/// The task of a lane.
///
/// It unmans the lane when it ends, be it with the runtime, and does what is left to do.
pub(crate) struct Shift {
    lane: Weak<Lane>,
    bell: Arc<Notify>,
}

impl Shift {
    /// Mans a lane that has no task.
    pub(super) fn begin(lane: &Arc<Lane>) -> Option<Self> {
        let is_free = !lane.manned.swap(true, SeqCst);
        is_free.then(|| Self { lane: Arc::downgrade(lane), bell: Arc::clone(&lane.bell) })
    }

    /// Carries what is handed over, until the lane is gone.
    pub(crate) async fn work(self) {
        while let Some(lane) = self.lane.upgrade() {
            while lane.carry(QUOTA) {
                task::yield_now().await;
            }
            drop(lane);
            self.bell.notified().await;
        }
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.upgrade() {
            // First, so that whoever hands over from now on carries: after the last look nobody would.
            lane.manned.store(false, SeqCst);
            lane.carry(usize::MAX);
        }
    }
}
