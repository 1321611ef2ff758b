use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use serde_json::Value;

/// What the clients saw, which is to be what the server counts.
#[derive(Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    opened: u64,
    /// By the close frame's code, or by none.
    ended: BTreeMap<String, u64>,
    refused: BTreeMap<&'static str, u64>,
    timed_out: u64,
    /// Read on too late to be told why they were closed: for they took nothing, or answered no ping.
    unheard: u64,
    /// Went before they were answered: of these nobody knows whether they had a session.
    hasty: u64,
}

impl Tally {
    pub(super) fn opened(&self) {
        self.counts().opened += 1;
    }

    pub(super) fn ended(&self, code: Option<u16>) {
        *self.counts().ended.entry(code.map_or("none".to_owned(), |code| code.to_string())).or_default() += 1;
    }

    pub(super) fn refused(&self, reason: &'static str) {
        *self.counts().refused.entry(reason).or_default() += 1;
    }

    pub(super) fn timed_out(&self) {
        self.counts().timed_out += 1;
    }

    pub(super) fn unheard(&self) {
        self.counts().unheard += 1;
    }

    pub(super) fn was_hasty(&self) {
        self.counts().hasty += 1;
    }

    pub(super) fn sessions(&self) -> u64 {
        self.counts().opened
    }

    /// Asserts that the server counts the same, once all have gone.
    pub(super) fn assert_matches(&self, figures: &Value) {
        let counts = self.counts().clone();
        let count = |figure: &Value| figure.as_u64().unwrap_or(0);
        let (closed, refused) = (figures["closed"].as_object().unwrap(), figures["refused"].as_object().unwrap());
        assert_eq!(count(&figures["opened"]), closed.values().map(count).sum::<u64>(), "opened, and closed");

        let opened_unseen = count(&figures["opened"]) - counts.opened;
        let mut unseen: BTreeMap<_, _> = closed.iter().map(|(code, closed)| (code.clone(), count(closed))).collect();
        for (code, ended) in &counts.ended {
            let closed = unseen.get_mut(code).and_then(|closed| closed.checked_sub(*ended));
            unseen.insert(code.clone(), closed.unwrap_or_else(|| panic!("{ended} saw {code}, of {figures}")));
        }
        let unheard = unseen.remove("4009").unwrap_or(0) + unseen.remove("4012").unwrap_or(0);
        assert_eq!(unheard, counts.unheard, "4009 or 4012: {figures}");
        assert_eq!(unseen.remove("none").unwrap_or(0), opened_unseen, "without a close frame: {figures}");
        assert!(unseen.values().all(|count| *count == 0), "nobody saw {unseen:?}");

        let never_opened = refused.get("never_opened").map_or(0, count);
        let hasty = opened_unseen + never_opened;
        assert!(hasty <= counts.hasty, "{hasty} of {} that did not wait", counts.hasty);
        let seen = refused.iter().filter(|(reason, _)| *reason != "never_opened");
        let seen: BTreeMap<_, _> = seen.map(|(reason, refused)| (reason.as_str(), count(refused))).collect();
        assert_eq!(seen, counts.refused);
        assert_eq!(count(&figures["timed_out"]), counts.timed_out);
        assert_eq!(count(&figures["hook_panics"]), closed.get("1011").map_or(0, count));
        assert_eq!((count(&figures["overloads"]), count(&figures["evictions"])), (0, 0));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap()
    }
}
