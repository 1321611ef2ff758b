#![expect(clippy::disallowed_types, reason = "no guard of the map leaves this file, and nothing in it awaits")]

use std::{hash::Hash, sync::Arc};

use dashmap::DashMap;

use crate::sync::{Mutex, Sighting};

/// A map whose values have a lock each, and which keeps no vacant value.
///
/// No guard of the map leaves this file, and none is held while a value's lock is taken or the caller's code runs.
pub(crate) struct Table<K: Eq + Hash, T> {
    entries: DashMap<K, Arc<Mutex<Entry<T>>>>,
    sighting: Sighting,
}

/// What a [`Table`] drops once nothing is in it.
pub(crate) trait Vacate: Default {
    fn is_vacant(&self) -> bool;
}

#[derive(Default)]
struct Entry<T> {
    value: T,
    /// It was left vacant and is leaving the map; whoever comes now makes a new one.
    retired: bool,
}

impl<K: Clone + Eq + Hash, T: Vacate> Table<K, T> {
    /// Looks at a value, under its lock.
    pub(crate) fn read<R>(&self, key: &K, look: impl FnOnce(&T) -> R) -> Option<R> {
        let entry = self.entry(key)?;
        let entry = entry.lock();
        (!entry.retired).then(|| look(&entry.value))
    }

    /// Changes a value, under its lock.
    pub(crate) fn change<R>(&self, key: &K, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let entry = self.entry(key)?;
        self.apply(key, &entry, change).ok()
    }

    /// Changes a value, under its lock; where there is none, a new one. Answers with the key that the map holds.
    pub(crate) fn enter<R, F: FnOnce(&mut T) -> R>(&self, key: &K, change: F) -> (K, R) {
        let mut change = change;
        loop {
            let (held, entry) = {
                let place = self.entries().entry(key.clone()).or_default();
                (place.key().clone(), Arc::clone(&place))
            };
            match self.apply(key, &entry, change) {
                Ok(result) => return (held, result),
                Err(unused) => change = unused,
            }
        }
    }

    /// Looks at every value, under its lock; those that come or go meanwhile may be among them or not.
    pub(crate) fn read_all<R>(&self, look: impl Fn(&T) -> R) -> Vec<(K, R)> {
        let all: Vec<_> = self.entries().iter().map(|entry| (entry.key().clone(), Arc::clone(entry.value()))).collect();
        let look = |(key, entry): (K, Arc<Mutex<Entry<T>>>)| {
            let entry = entry.lock();
            (!entry.retired).then(|| (key, look(&entry.value)))
        };
        all.into_iter().filter_map(look).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    fn entries(&self) -> &DashMap<K, Arc<Mutex<Entry<T>>>> {
        self.sighting.note();
        &self.entries
    }

    fn entry(&self, key: &K) -> Option<Arc<Mutex<Entry<T>>>> {
        self.entries().get(key).map(|entry| Arc::clone(&entry))
    }

    /// Gives the change back when the entry is retired.
    fn apply<R, F: FnOnce(&mut T) -> R>(&self, key: &K, entry: &Arc<Mutex<Entry<T>>>, change: F) -> Result<R, F> {
        let (result, retired) = {
            let mut entry = entry.lock();
            let result = if entry.retired { Err(change) } else { Ok(change(&mut entry.value)) };
            entry.retired = entry.value.is_vacant();
            (result, entry.retired)
        };
        // Whoever finds it retired removes it too, and so never waits for the one who retired it.
        if retired {
            self.remove(key, entry);
        }
        result
    }

    fn remove(&self, key: &K, retired: &Arc<Mutex<Entry<T>>>) {
        self.entries().remove_if(key, |_, entry| Arc::ptr_eq(entry, retired));
    }
}

impl<K: Eq + Hash, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { entries: DashMap::new(), sighting: Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Vacate for u32 {
        fn is_vacant(&self) -> bool {
            *self == 0
        }
    }

    #[test]
    fn c39_a_million_keys_used_once_leave_a_table_that_is_empty_and_has_not_grown() {
        let table = Table::<u32, u32>::default();
        for key in 0..1_000_000 {
            table.enter(&key, |value| *value += 1);
            assert_eq!(table.len(), 1);
            table.change(&key, |value| *value -= 1);
        }
        assert_eq!(table.len(), 0);
        assert!(table.entries.capacity() < 10_000, "{}", table.entries.capacity());
    }

    #[test]
    fn all_values_are_read_with_their_keys() {
        let table = Table::<u32, u32>::default();
        for key in 1..=100 {
            table.enter(&key, |value| *value = 2 * key);
        }
        let mut all = table.read_all(|value| *value);
        all.sort_unstable();
        assert!(all.into_iter().eq((1..=100).map(|key| (key, 2 * key))));
    }
}
