use std::{
    hash::{BuildHasher, RandomState},
    thread,
};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};

use crate::{id::SessionId, session::Session};

/// A shard with room for so many more than it holds gives room back.
const SLACK: usize = 64;

/// The sessions of a node, found by the ids that they hold themselves: a pointer each.
///
/// No guard of a shard leaves this file but in a [`Vacancy`].
pub(crate) struct Directory<V> {
    shards: Box<[Mutex<HashTable<Session<V>>>]>,
    hasher: RandomState,
}

/// The place of an id that no session has; nobody else can take it meanwhile.
pub(crate) struct Vacancy<'a, V> {
    shard: MutexGuard<'a, HashTable<Session<V>>>,
    hasher: &'a RandomState,
}

impl<V> Directory<V> {
    pub(crate) fn vacancy(&self, id: &SessionId) -> Option<Vacancy<'_, V>> {
        let hash = self.hasher.hash_one(id);
        let shard = self.shard(hash).lock();
        let is_free = shard.find(hash, |session| session.id() == id).is_none();
        is_free.then_some(Vacancy { shard, hasher: &self.hasher })
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<Session<V>> {
        let hash = self.hasher.hash_one(id);
        self.shard(hash).lock().find(hash, |session| session.id() == id).cloned()
    }

    /// Takes a session out. It is dropped by the caller, for with the last handle goes the user's value, and what its
    /// `Drop` calls may need this shard.
    pub(crate) fn remove(&self, id: &SessionId) -> Option<Session<V>> {
        let hash = self.hasher.hash_one(id);
        let mut shard = self.shard(hash).lock();
        let place = shard.find_entry(hash, |session| session.id() == id).ok()?;
        let (session, _) = place.remove();
        if shard.capacity() > 4 * shard.len() + SLACK {
            let room = 2 * shard.len();
            shard.shrink_to(room, |session| self.hasher.hash_one(session.id()));
        }
        Some(session)
    }

    pub(crate) fn all(&self) -> Vec<Session<V>> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|session| all.push(session.clone()));
        all
    }

    /// Shows each session, with its shard locked: for what is short and runs no code of the user's.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&Session<V>)) {
        for shard in &self.shards {
            shard.lock().iter().for_each(&mut show);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Session<V>>> {
        // The table takes the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

impl<V> Vacancy<'_, V> {
    /// Enters the session whose id this is the place of.
    pub(crate) fn fill(mut self, session: Session<V>) {
        let hash = |session: &Session<V>| self.hasher.hash_one(session.id());
        self.shard.insert_unique(hash(&session), session, hash);
    }
}

impl<V> Default for Directory<V> {
    fn default() -> Self {
        let shards = 4 * thread::available_parallelism().map_or(1, |cores| cores.get());
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{live::Live, session_info::SessionInfo};

    #[tokio::test]
    async fn a_crowd_is_spread_over_the_shards_and_gives_its_room_back_as_it_leaves() {
        const CROWD: usize = 5000;

        let live = Live::<()>::builder().build();
        let crowd: Vec<_> = (0..CROWD).map(|_| live.accept((), SessionInfo::default()).unwrap()).collect();
        let directory = Directory::default();
        for session in crowd.iter().map(|pending| pending.session()) {
            directory.vacancy(session.id()).unwrap().fill(session.clone());
            assert!(directory.vacancy(session.id()).is_none());
        }
        assert_eq!((directory.len(), directory.all().len()), (CROWD, CROWD));
        let fair = CROWD / directory.shards.len();
        assert!(directory.shards.iter().all(|shard| (fair / 2..fair * 2).contains(&shard.lock().len())));

        for session in crowd.iter().map(|pending| pending.session()) {
            let shard = directory.shard(directory.hasher.hash_one(session.id()));
            let before = shard.lock().capacity();
            assert_eq!(directory.get(session.id()).as_ref(), Some(session));
            assert_eq!(directory.remove(session.id()).as_ref(), Some(session));
            assert_eq!(directory.get(session.id()), None);
            let shard = shard.lock();
            let (sessions, room) = (shard.len(), shard.capacity());
            assert!(room <= 4 * sessions + SLACK, "{sessions} sessions have room for {room}");
            // The place of one that left may be lost until the shard is made anew.
            let is_made_anew = room + 1 < before;
            assert!(!is_made_anew || room >= 2 * sessions, "{sessions} sessions have room for no more than {room}");
        }
        assert!(directory.remove(crowd[0].session().id()).is_none());
    }
}
