use std::{collections::HashMap, sync::Arc};

use crate::outbox::Outbox;

/// Members in one piece of a list: the most that a change copies of one that is handed out.
const CHUNK: usize = 128;

/// A roster this small is searched from end to end.
const SMALL: usize = 16;

/// A set of outboxes that is handed out without being copied.
///
/// What was handed out stays as it was: a change copies the piece that it is in, and the list of the pieces.
#[derive(Default)]
pub(crate) struct Roster {
    receivers: Receivers,
    /// Where each member stands, by its address; empty while the roster is small.
    places: HashMap<usize, usize>,
}

/// A roster as it was at one moment.
#[derive(Clone, Default)]
pub(crate) struct Receivers {
    chunks: Arc<Vec<Arc<Vec<Arc<Outbox>>>>>,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.receivers.len()
    }

    pub(crate) fn contains(&self, outbox: &Arc<Outbox>) -> bool {
        self.place(outbox).is_some()
    }

    pub(crate) fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// Adds a member; one that is there already stays there once.
    pub(crate) fn insert(&mut self, outbox: &Arc<Outbox>) {
        if self.contains(outbox) {
            return;
        }
        let at = self.len();
        let chunks = Arc::make_mut(&mut self.receivers.chunks);
        match chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(Arc::clone(outbox)),
            _ => chunks.push(Arc::new(vec![Arc::clone(outbox)])),
        }
        if at >= SMALL {
            if self.places.is_empty() {
                self.places = self.receivers.iter().map(address).zip(0..).collect();
            }
            self.places.insert(address(outbox), at);
        }
    }

    /// Removes a member, whose place the last one takes.
    pub(crate) fn remove(&mut self, outbox: &Arc<Outbox>) {
        let Some(at) = self.place(outbox) else { return };
        let chunks = Arc::make_mut(&mut self.receivers.chunks);
        let last_chunk = chunks.last_mut().expect("it has a member");
        let last = Arc::make_mut(last_chunk).pop().expect("no chunk is empty");
        if last_chunk.is_empty() {
            chunks.pop();
            chunks.shrink_to(chunks.len() * 2);
            self.places.shrink_to(chunks.len() * 2 * CHUNK);
        }
        self.places.remove(&address(outbox));
        if !Arc::ptr_eq(&last, outbox) {
            if let Some(place) = self.places.get_mut(&address(&last)) {
                *place = at;
            }
            Arc::make_mut(&mut chunks[at / CHUNK])[at % CHUNK] = last;
        }
        if self.len() <= SMALL {
            self.places = HashMap::new();
        }
    }

    fn place(&self, outbox: &Arc<Outbox>) -> Option<usize> {
        match self.places.is_empty() {
            true => self.receivers.iter().position(|member| Arc::ptr_eq(member, outbox)),
            false => self.places.get(&address(outbox)).copied(),
        }
    }
}

impl Receivers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Arc<Outbox>> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
    }

    fn len(&self) -> usize {
        self.chunks.split_last().map_or(0, |(last, full)| full.len() * CHUNK + last.len())
    }
}

fn address(outbox: &Arc<Outbox>) -> usize {
    Arc::as_ptr(outbox).addr()
}

#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        backlog::Load,
        budget::Budget,
        fanout::{Fanout, RunLimit},
        id::SessionId,
        outbox::Bounds,
    };

    fn fanout() -> Fanout {
        let limit = Load { deliveries: 1, bytes: 1 };
        Fanout::new(1, Bounds::default(), RunLimit { messages: 1, bytes: 1 }, limit, &Arc::new(Budget::new(1)))
    }

    fn outbox(fanout: &Fanout) -> Arc<Outbox> {
        let id = SessionId::random();
        Arc::new(Outbox::new(id, Arc::clone(fanout.lane(&id))))
    }

    proptest! {
        #[test]
        fn roster_is_a_set_and_what_it_handed_out_stays_as_it_was(
            changes in prop::collection::vec((0..300_usize, any::<bool>(), any::<bool>()), 0..2000),
        ) {
            let fanout = fanout();
            let outboxes: Vec<_> = (0..300).map(|_| outbox(&fanout)).collect();
            let addresses = |receivers: &Receivers| {
                let mut all: Vec<_> = receivers.iter().map(address).collect();
                all.sort_unstable();
                all
            };

            let mut roster = Roster::default();
            let mut model = std::collections::BTreeSet::new();
            let mut handed_out = Vec::new();
            for (at, is_insert, hand_out) in changes {
                if is_insert {
                    roster.insert(&outboxes[at]);
                    model.insert(address(&outboxes[at]));
                } else {
                    roster.remove(&outboxes[at]);
                    model.remove(&address(&outboxes[at]));
                }
                prop_assert_eq!(roster.contains(&outboxes[at]), is_insert);
                if hand_out {
                    handed_out.push((roster.receivers().clone(), model.clone()));
                }
            }
            prop_assert_eq!(roster.len(), model.len());
            for (receivers, model) in handed_out.iter().step_by(50) {
                prop_assert_eq!(addresses(receivers), model.iter().copied().collect::<Vec<_>>());
                prop_assert!((0..model.len()).all(|at| receivers.get(at).is_some()));
                prop_assert!(receivers.get(model.len()).is_none());
            }
        }
    }

    #[test]
    fn a_roster_that_shrinks_gives_its_memory_back() {
        let fanout = fanout();
        let mut roster = Roster::default();
        let outboxes: Vec<_> = (0..10_000).map(|_| outbox(&fanout)).collect();
        outboxes.iter().for_each(|outbox| roster.insert(outbox));
        outboxes.iter().skip(100).for_each(|outbox| roster.remove(outbox));
        assert_eq!(roster.len(), 100);
        assert!(roster.places.capacity() < 1000 && roster.receivers.chunks.capacity() < 10);
        // As large as it is it is not searched from end to end, and once it is small it notes no places.
        assert_eq!(roster.places.len(), 100);
        outboxes[SMALL..100].iter().for_each(|outbox| roster.remove(outbox));
        assert_eq!((roster.len(), roster.places.capacity()), (SMALL, 0));
    }
}
