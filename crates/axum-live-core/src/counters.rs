use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{
    close::{CloseCode, CloseReason},
    refusal::RefusalReason,
};

/// What a node only ever adds to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened: Counter,
    pub(crate) closed: Tally<Close>,
    pub(crate) refused: Tally<RefusalReason>,
    pub(crate) messages: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) throttles: Counter,
    pub(crate) overloads: Counter,
    pub(crate) evictions: Counter,
    pub(crate) hook_panics: Counter,
    /// Sessions that we reset before all was said on both sides.
    pub(crate) cut_off: Counter,
}

/// How a session ended, as far as others may have ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Close {
    pub(crate) reason: &'static str,
    pub(crate) code: Option<CloseCode>,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// A count for each of a few kinds: for what happens once a session or a request, not once a message.
#[derive(Debug)]
pub(crate) struct Tally<K>(Mutex<BTreeMap<K, u64>>);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl<K: Copy + Ord> Tally<K> {
    pub(crate) fn add_one(&self, kind: K) {
        *self.0.lock().entry(kind).or_default() += 1;
    }

    pub(crate) fn totals(&self) -> BTreeMap<K, u64> {
        self.0.lock().clone()
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl From<&CloseReason> for Close {
    fn from(reason: &CloseReason) -> Self {
        Self { reason: reason.name(), code: reason.code() }
    }
}
