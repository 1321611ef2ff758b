//! Live sessions for axum: chat, notifications, presence, dashboards and collaboration, as one tower layer.
//!
//! A [`LiveLayer`] authenticates and upgrades inside axum's routing, then runs a [`Session`] for each connection.
//! Sessions have an id and a typed value, subscribe to topics, and [`publish`](Live::publish) reaches every
//! subscriber. Slow clients, sockets that died, floods and shutdowns are taken care of, by defaults that are safe.
//!
//! The [guide](https://github.com/axum-live/axum-live/blob/main/docs/README.md) begins with an empty folder, and has a
//! chapter for each of the subjects on this page.
//!
//! # In five minutes
//!
//! **1. The engine.** [`Live<V>`](Live) is a cheap handle; `V` is what you know of a client. Hooks say what is to be
//! done when something happens in a session.
//!
//! ```
//! use axum_live::{CloseReason, Live, Message, Session};
//! use serde::Deserialize;
//!
//! struct User {
//!     name: String,
//! }
//!
//! #[derive(Deserialize)]
//! struct Say {
//!     room: String,
//!     text: String,
//! }
//!
//! let live = Live::<User>::builder()
//!     .on_message(async |session: Session<User>, message: Message| {
//!         match (message.topic(), message.json::<Say>()) {
//!             ("say", Ok(say)) => {
//!                 let line = (&session.value().name, say.text);
//!                 session.live().publish(format!("room:{}", say.room), &line).ok();
//!             }
//!             _ => drop(session.send("error", "say what?")),
//!         }
//!     })
//!     .on_close(async |session: Session<User>, reason: CloseReason| {
//!         println!("{} left {:?}: {reason}", session.value().name, session.topics());
//!     })
//!     .build();
//! ```
//!
//! **2. The door.** Authentication is an async function of axum extractors: its `Ok` is the session's value, its `Err`
//! the HTTP answer. The handler under the layer runs between authentication and upgrade, with the session among its
//! extractors; what it sends is written first, and an answer that is no 2xx refuses the session.
//!
//! ```
//! use axum::{Router, extract::{Path, Query}, http::StatusCode};
//! use axum_live::{Live, LiveLayer, Session, SubscribeError};
//! # struct User { name: String }
//! # #[derive(serde::Deserialize)] struct Login { name: String }
//! # let live = Live::<User>::builder().build();
//!
//! async fn authenticate(Query(login): Query<Login>) -> Result<User, StatusCode> {
//!     match login.name.as_str() {
//!         "" => Err(StatusCode::UNAUTHORIZED),
//!         _ => Ok(User { name: login.name }),
//!     }
//! }
//!
//! async fn join(session: Session<User>, Path(room): Path<String>) -> Result<(), SubscribeError> {
//!     session.subscribe(format!("room:{room}"))
//! }
//!
//! let app = Router::new().route("/rooms/{room}", LiveLayer::new(&live, authenticate).handler(join));
//! # let _: Router = app;
//! ```
//!
//! **3. From anywhere else.** Handlers and background tasks publish with a clone of the same handle.
//!
//! ```
//! use axum::{Json, extract::State};
//! use axum_live::{Live, PublishError};
//! # struct User;
//!
//! async fn notify(State(live): State<Live<User>>, Json(notice): Json<String>) -> Result<(), PublishError> {
//!     let receivers = live.publish("news", &notice)?;
//!     println!("{receivers} were told");
//!     Ok(())
//! }
//! ```
//!
//! **4. The client.** Any WebSocket client does. Both sides send text frames with one JSON object each:
//!
//! ```js
//! const ws = new WebSocket("/rooms/lobby?name=ana");
//! ws.onopen = () => ws.send(JSON.stringify({ topic: "say", data: { room: "lobby", text: "hello" } }));
//! ws.onmessage = (event) => console.log(JSON.parse(event.data)); // {topic: "room:lobby", data: ["ana", "hello"]}
//! ```
//!
//! [`client`] serves one to browsers that reconnects, subscribes again and queues what is sent while offline.
//!
//! **5. The server.** [`serve`](serve()) does what `axum::serve` does, and keeps its patience with strangers short. When
//! it is told to end it writes what is queued, closes every session with 1001 and waits for its `on_close`, as
//! [`Live::drain`] does under any other server.
//!
//! ```
//! # use axum::Router;
//! # use axum_live::Live;
//! # async fn run(listener: tokio::net::TcpListener, app: Router, live: Live<()>) -> std::io::Result<()> {
//! let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(axum_live::stop_signal()).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # Messages to handlers
//!
//! Where messages become many, a [`MessageRouter`] brings each to a handler of its own, an async function of extractors
//! as in axum, and tells the client what failed. A [`SubscriptionPolicy`] lets clients subscribe by themselves, to what
//! it allows.
//!
//! ```
//! use axum_live::{ClientError, Data, Live, MessageRouter, Params, Session, SubscriptionPolicy};
//!
//! struct User {
//!     id: u64,
//! }
//!
//! async fn say(live: Live<User>, Params(room): Params<String>, Data(text): Data<String>) -> Result<(), ClientError> {
//!     live.publish(format!("room:{room}"), &text)?;
//!     Ok(())
//! }
//!
//! async fn own(session: Session<User>, Params(id): Params<u64>) -> bool {
//!     session.value().id == id
//! }
//!
//! let policy = SubscriptionPolicy::new().allow("room:{room}").allow_if("user:{id}", own);
//! let messages = MessageRouter::new().on("room:{room}:say", say).subscriptions(policy);
//! let live = Live::builder().on_message(messages.into_hook()).build();
//! ```
//!
//! # People
//!
//! A session is a tab. Tell the node [whose it is](Builder::user), and [`Live::user`] reaches all tabs of a person,
//! while [`Live::presence`] tells who is in a topic, by person and not by tab.
//!
//! ```
//! use axum_live::{ClientError, Live, Session};
//!
//! struct User {
//!     id: u64,
//! }
//!
//! async fn enter(session: Session<User>, live: Live<User>) -> Result<(), ClientError> {
//!     let lobby = live.presence("room:lobby")?;
//!     lobby.track(&session, &"on the phone")?; // present, until the session ends
//!     lobby.subscribe(&session)?; // told who is, and who comes and goes
//!     live.user(7).send("dm", "somebody came in")?;
//!     Ok(())
//! }
//!
//! let live = Live::builder().user(|user: &User| user.id).build();
//! ```
//!
//! # What holds
//!
//! - `send` and `publish` never wait. What a session is sent arrives in order and without a gap, or the session ends
//!   with a reason: a client that reads too slowly is closed with 4008, and delays nobody else.
//! - The hooks of one session never overlap. `on_connect` and `on_close` run once each for a session that opened, unless
//!   the runtime ends first or a shutdown runs out of time; a panic closes that session with 1011 and no other.
//! - A closed session is in no topic, and a topic without subscribers takes no memory.
//! - Clients that vanish are noticed (pings after 25 seconds of silence, the end 10 seconds later), as are clients that
//!   stop reading (30 seconds).
//! - A browser may connect from pages of the same host only, until [`Origins`] says otherwise.
//! - What a client declares takes no memory; what it sends, up to [`read_limit`](Builder::read_limit).
//!
//! # What it does, seen from outside
//!
//! [`Live::stats`] has the figures: sessions, what waits for them, how many closed and were refused and why, hooks that
//! panicked, are slow or block. The feature `metrics` adds `Live::report_metrics`, which hands them to the recorder of the
//! [`metrics`](https://docs.rs/metrics) facade, as for Prometheus. By tracing, under the target `axum_live`, it tells of
//! each session in a span, and never a payload, a token or a query.
//!
//! # Payloads of your own
//!
//! Where the messages are not our JSON envelope (Yjs, protobuf), [`on_frame`](Builder::on_frame) takes each text or
//! binary message as it came, and [`send_frame`](Session::send_frame) and [`publish_frame`](Live::publish_frame) send
//! them so.

mod addresses;
mod answer;
mod auth;
mod census;
mod client;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod inspector;
mod layer;
mod origin;
mod pattern;
mod policy;
mod router;
mod serve;
mod service;
mod stop_signal;
mod upgrade;

pub use auth::{Authenticate, Intent, NoIntent};
pub use axum_live_core::{
    Builder, CloseCode, CloseReason, ClosedSession, Drain, EncodeError, Excerpt, Frame, Grant, Heartbeat,
    InvalidCloseCode, InvalidSessionId, JournalEntry, JournalEvent, Limits, Live, Message, NoSession, Payload,
    Presence, PresenceError, Present, PublishError, Rate, RefusalReason, RenewError, SendError, Session,
    SessionExtensions, SessionId, SessionLimit, SessionPhase, SessionStats, ShutdownReport, Stats, SubscribeError,
    Topic, TopicError, UserId, UserSessions,
};
pub use client::client;
pub use inspector::Inspector;
pub use layer::{LiveLayer, accept};
pub use origin::{OriginError, Origins};
pub use policy::{SubscriptionPolicy, Verdict};
pub use router::{ClientError, Data, FromMessage, HandlerResult, MessageHandler, MessageParts, MessageRouter, Params};
pub use serve::{Connections, DrainReport, Serve, serve};
pub use service::LiveService;
pub use stop_signal::stop_signal;
