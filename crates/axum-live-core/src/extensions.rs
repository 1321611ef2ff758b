use std::{
    any::{Any, TypeId},
    fmt, mem,
    sync::Arc,
};

use crate::sync::Mutex;

/// What hooks and handlers have attached to a session, one value of each type.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// # use axum_live::Session;
/// struct Locale(String);
///
/// fn greet(session: &Session<()>) -> &'static str {
///     match session.extensions().get::<Locale>() {
///         Some(locale) if locale.0 == "fr" => "bonjour",
///         _ => "hello",
///     }
/// }
/// ```
#[derive(Default)]
pub struct SessionExtensions {
    values: Mutex<Vec<(TypeId, Value)>>,
}

type Value = Arc<dyn Any + Send + Sync>;

impl SessionExtensions {
    /// Attaches a value, and answers the one of its type that it takes the place of.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let value: Value = Arc::new(value);
        let mut values = self.values.lock();
        match values.iter_mut().find(|(id, _)| *id == TypeId::of::<T>()) {
            Some((_, old)) => typed(mem::replace(old, value)),
            None => {
                values.push((TypeId::of::<T>(), value));
                None
            }
        }
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.values.lock();
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        typed(Arc::clone(value))
    }

    /// The value of this type; where there is none, this one from now on.
    pub fn get_or_insert_with<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(value) = self.get() {
            return value;
        }
        let made: Value = Arc::new(make());
        let mut values = self.values.lock();
        // Somebody else may have been as quick; and `make` is not ours, so it ran without the lock.
        let there = values.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, value)| Arc::clone(value));
        let value = there.unwrap_or_else(|| {
            values.push((TypeId::of::<T>(), Arc::clone(&made)));
            made
        });
        typed(value).expect("a value stands under its own type")
    }

    /// Takes the value of this type away.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.values.lock();
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        typed(values.swap_remove(at).1)
    }
}

impl fmt::Debug for SessionExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionExtensions").finish_non_exhaustive()
    }
}

fn typed<T: Send + Sync + 'static>(value: Value) -> Option<Arc<T>> {
    value.downcast().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type_is_kept() {
        let extensions = SessionExtensions::default();
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("one"), None);
        assert_eq!(extensions.insert(2_u8).as_deref(), Some(&1));
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&2));
        assert_eq!(*extensions.get_or_insert_with(|| 3_u8), 2);
        assert_eq!(*extensions.get_or_insert_with(|| 3_u16), 3);
        assert_eq!(extensions.remove::<u8>().as_deref(), Some(&2));
        assert_eq!(extensions.get::<u8>(), None);
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"one"));
    }
}
