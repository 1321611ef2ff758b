//! The README and the guide, whose Rust is compiled and run as documentation tests.

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
mod readme {}

#[doc = include_str!("../../docs/README.md")]
#[cfg(doctest)]
mod guide {}

#[doc = include_str!("../../docs/getting-started.md")]
#[cfg(doctest)]
mod getting_started {}

#[doc = include_str!("../../docs/sessions.md")]
#[cfg(doctest)]
mod sessions {}

#[doc = include_str!("../../docs/messages.md")]
#[cfg(doctest)]
mod messages {}

#[doc = include_str!("../../docs/topics.md")]
#[cfg(doctest)]
mod topics {}

#[doc = include_str!("../../docs/people.md")]
#[cfg(doctest)]
mod people {}

#[doc = include_str!("../../docs/client.md")]
#[cfg(doctest)]
mod client {}

#[doc = include_str!("../../docs/testing.md")]
#[cfg(doctest)]
mod testing {}

#[doc = include_str!("../../docs/deploying.md")]
#[cfg(doctest)]
mod deploying {}

#[doc = include_str!("../../docs/reliability.md")]
#[cfg(doctest)]
mod reliability {}

#[doc = include_str!("../../docs/observing.md")]
#[cfg(doctest)]
mod observing {}

#[doc = include_str!("../../docs/inspector.md")]
#[cfg(doctest)]
mod inspector {}

#[doc = include_str!("../../docs/from-go.md")]
#[cfg(doctest)]
mod from_go {}

#[doc = include_str!("../../docs/performance.md")]
#[cfg(doctest)]
mod performance {}

#[doc = include_str!("../../docs/security.md")]
#[cfg(doctest)]
mod security {}

#[doc = include_str!("../../docs/wire.md")]
#[cfg(doctest)]
mod wire {}
