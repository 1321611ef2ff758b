//! The list, and what changed in it since when.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// A list of things to do whose every change has a version.
pub(crate) struct List {
    /// The version of the last change.
    cursor: u64,
    /// Removals up to this version are forgotten.
    floor: u64,
    items: BTreeMap<u64, Item>,
    /// The version and the item of each removal since, the newest last.
    removals: VecDeque<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    id: u64,
    /// That of its last change.
    version: u64,
    text: String,
    done: bool,
}

/// What came after a version.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    /// The version to ask from the next time.
    cursor: u64,
    /// Whether `changed` is the whole list, and what a client has besides is to go.
    complete: bool,
    changed: Vec<Item>,
    removed: Vec<u64>,
}

/// A change was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    /// It was made to an older version than this one.
    Conflict(Item),
    Full,
}

impl List {
    pub(crate) const MOST_ITEMS: usize = 500;
    /// Removals that are remembered.
    pub(crate) const MEMORY: usize = 100;

    /// An empty list, whose changes have versions above `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self { cursor: start, floor: start, items: BTreeMap::new(), removals: VecDeque::new() }
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// What came after a version; everything, to those who were away for longer than removals are remembered, or know
    /// the list of another process.
    pub(crate) fn changes(&self, since: u64) -> Changes {
        let complete = !(self.floor..=self.cursor).contains(&since);
        let changed = self.items.values().filter(|item| complete || item.version > since).cloned().collect();
        let removed = self.removals.iter().filter(|(version, _)| !complete && *version > since);
        Changes { cursor: self.cursor, complete, changed, removed: removed.map(|(_, id)| *id).collect() }
    }

    pub(crate) fn add(&mut self, text: String) -> Result<Item, Refusal> {
        if self.items.len() == Self::MOST_ITEMS {
            return Err(Refusal::Full);
        }
        self.cursor += 1;
        let item = Item { id: self.cursor, version: self.cursor, text, done: false };
        self.items.insert(item.id, item.clone());
        Ok(item)
    }

    pub(crate) fn edit(&mut self, id: u64, version: u64, text: String, done: bool) -> Result<Item, Refusal> {
        self.check(id, version)?;
        self.cursor += 1;
        let item = Item { id, version: self.cursor, text, done };
        self.items.insert(id, item.clone());
        Ok(item)
    }

    pub(crate) fn remove(&mut self, id: u64, version: u64) -> Result<(), Refusal> {
        self.check(id, version)?;
        self.cursor += 1;
        self.items.remove(&id);
        self.removals.push_back((self.cursor, id));
        if self.removals.len() > Self::MEMORY
            && let Some((forgotten, _)) = self.removals.pop_front()
        {
            self.floor = forgotten;
        }
        Ok(())
    }

    /// Who changes an item has seen it as it is, or is told how it is.
    fn check(&self, id: u64, version: u64) -> Result<(), Refusal> {
        let item = self.items.get(&id).ok_or(Refusal::Missing)?;
        if item.version == version { Ok(()) } else { Err(Refusal::Conflict(item.clone())) }
    }
}
