use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

/// Allocations up to this size are counted by their size.
const SIZES: usize = 4096;

/// Alignments that a counted allocation may have: up to 2^7.
const ALIGNMENTS: usize = 8;

/// The system's allocator, with a count of what is allocated for each size and alignment, and of all bytes.
pub struct Ledger {
    live: [[AtomicIsize; SIZES]; ALIGNMENTS],
    held: AtomicIsize,
    peak: AtomicIsize,
}

/// How many allocations of each size and alignment there are at one moment.
pub struct Balance(Vec<(Layout, isize)>);

impl Ledger {
    pub const fn new() -> Self {
        Self {
            live: [const { [const { AtomicIsize::new(0) }; SIZES] }; ALIGNMENTS],
            held: AtomicIsize::new(0),
            peak: AtomicIsize::new(0),
        }
    }

    /// Bytes of all sizes.
    pub fn held(&self) -> isize {
        self.held.load(Relaxed)
    }

    /// The most bytes that were held at a time.
    pub fn peak(&self) -> isize {
        self.peak.load(Relaxed)
    }

    /// Begins anew with what is held.
    pub fn forget_peak(&self) {
        self.peak.store(self.held(), Relaxed);
    }

    pub fn balance(&self) -> Balance {
        let sizes = |(power, sizes): (usize, &[AtomicIsize; SIZES])| {
            let live = |(size, count): (usize, &AtomicIsize)| {
                let layout = Layout::from_size_align(size, 1 << power).expect("a power of two");
                (layout, count.load(Relaxed))
            };
            sizes.iter().enumerate().map(live).collect::<Vec<_>>()
        };
        Balance(self.live.iter().enumerate().flat_map(sizes).collect())
    }

    fn note(&self, layout: Layout, change: isize) {
        let bytes = change * layout.size() as isize;
        let held = self.held.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(held, Relaxed);
        let power = layout.align().trailing_zeros() as usize;
        if let Some(count) = self.live.get(power).and_then(|sizes| sizes.get(layout.size())) {
            count.fetch_add(change, Relaxed);
        }
    }
}

impl Balance {
    /// What has been allocated since `earlier`, and not freed.
    pub fn since(&self, earlier: &Balance) -> impl Iterator<Item = (Layout, isize)> {
        self.0.iter().zip(&earlier.0).map(|((layout, now), (_, then))| (*layout, now - then))
    }
}

// SAFETY: every call is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Ledger {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(layout, 1);
        // SAFETY: the caller's promises are the system's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.note(layout, -1);
        // SAFETY: the caller's promises are the system's conditions.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.note(layout, -1);
        if let Ok(layout) = Layout::from_size_align(size, layout.align()) {
            self.note(layout, 1);
        }
        // SAFETY: the caller's promises are the system's conditions.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
