use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
};

const SIZE: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The read buffer that all sessions of a worker thread share, lent for one read and put back when dropped. Whoever
/// asks while it is lent gets another.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    pub(crate) fn borrow() -> Self {
        Self(SPARE.take().unwrap_or_else(|| vec![0; SIZE].into()))
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that is ending keeps no spare.
        let _ = SPARE.try_with(|spare| spare.set(Some(buffer)));
    }
}
