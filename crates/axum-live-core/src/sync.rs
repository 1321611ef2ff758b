//! What the model checker replaces or has to be told of (CONTRIBUTING.md, "The loom models").

#[cfg(axum_live_loom)]
pub(crate) use self::model::{Mutex, Sighting};
#[cfg(axum_live_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(axum_live_loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(axum_live_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tells the model checker of an access to something shared that it cannot see. Nothing otherwise.
#[cfg(not(axum_live_loom))]
#[derive(Default)]
pub(crate) struct Sighting;

#[cfg(not(axum_live_loom))]
impl Sighting {
    pub(crate) fn note(&self) {}
}

#[cfg(axum_live_loom)]
mod model {
    use loom::sync::{
        MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    #[derive(Default)]
    pub(crate) struct Sighting(AtomicUsize);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model does not poison")
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl Sighting {
        pub(crate) fn note(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
}
