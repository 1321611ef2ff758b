use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use parking_lot::Mutex;

/// Chunks, each twice as long as the one before: for 4,095 values.
const CHUNKS: usize = 12;

/// The values that took the place of a session's first one, the newest of which counts. They are lent for as long as a
/// handle is borrowed, so none is dropped before the session.
pub(crate) struct Renewals<V> {
    chunks: [OnceLock<Box<[OnceLock<V>]>>; CHUNKS],
    count: AtomicUsize,
    /// Held by who adds one.
    turn: Mutex<()>,
}

/// A value was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// There are as many as may be.
    Full,
    Refused,
}

impl<V> Renewals<V> {
    pub(crate) fn newest(&self) -> Option<&V> {
        let (chunk, at) = place(self.count.load(SeqCst).checked_sub(1)?);
        self.chunks[chunk].get()?[at].get()
    }

    /// Adds a value, if it is admitted when its turn has come.
    pub(crate) fn add(&self, value: V, admit: impl FnOnce() -> bool) -> Result<(), NotAdded> {
        let _turn = self.turn.lock();
        let count = self.count.load(SeqCst);
        let (chunk, at) = place(count);
        let chunk = self.chunks.get(chunk).ok_or(NotAdded::Full)?;
        if !admit() {
            return Err(NotAdded::Refused);
        }
        let chunk = chunk.get_or_init(|| (0..(count + 1).next_power_of_two()).map(|_| OnceLock::new()).collect());
        chunk[at].set(value).map_err(|_| NotAdded::Full)?;
        self.count.store(count + 1, SeqCst);
        Ok(())
    }
}

impl<V> Default for Renewals<V> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], count: AtomicUsize::new(0), turn: Mutex::default() }
    }
}

/// The chunk of the value of this number, and its place in it.
fn place(number: usize) -> (usize, usize) {
    let chunk = (number + 1).ilog2();
    (chunk as usize, number + 1 - (1 << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_and_older_ones_stay_where_they_are() {
        let renewals = Renewals::default();
        assert_eq!(renewals.newest(), None::<&String>);
        let mut lent = Vec::new();
        for number in 0..100 {
            renewals.add(number.to_string(), || true).unwrap();
            lent.push(renewals.newest().unwrap());
        }
        assert_eq!(renewals.add(String::new(), || false), Err(NotAdded::Refused));
        assert!(lent.iter().enumerate().all(|(number, lent)| **lent == number.to_string()));
        assert_eq!(renewals.newest().unwrap(), "99");
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let renewals = Renewals::default();
        assert!((0..4095).all(|number| renewals.add(number, || true).is_ok()));
        assert_eq!(renewals.add(4095, || true), Err(NotAdded::Full));
        assert_eq!(renewals.newest(), Some(&4094));
    }
}
