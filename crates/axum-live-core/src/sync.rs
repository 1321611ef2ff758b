//! What the model checker replaces or has to be told of (CONTRIBUTING.md, "The loom models").

#[cfg(axum_live_loom)]
pub(crate) use self::model::{Mutex, Notify, Sighting};
#[cfg(axum_live_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(axum_live_loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(axum_live_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(axum_live_loom))]
pub(crate) use tokio::sync::Notify;

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
    use std::{
        future::poll_fn,
        mem,
        task::{Poll, Waker},
    };

    use loom::sync::{
        MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// As much of tokio's as one waiter sees.
    #[derive(Default)]
    pub(crate) struct Notify(Mutex<Notice>);

    #[derive(Default)]
    struct Notice {
        is_given: bool,
        waiter: Option<Waker>,
    }

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

    impl Notify {
        pub(crate) fn notify_one(&self) {
            let waiter = {
                let mut notice = self.0.lock();
                notice.is_given = true;
                notice.waiter.take()
            };
            waiter.into_iter().for_each(Waker::wake);
        }

        pub(crate) async fn notified(&self) {
            poll_fn(|cx| {
                let mut notice = self.0.lock();
                if mem::take(&mut notice.is_given) {
                    return Poll::Ready(());
                }
                notice.waiter = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }

    impl Sighting {
        pub(crate) fn note(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
}
