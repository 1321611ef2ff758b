use std::sync::Arc;

use axum::{Router, body::Body};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{DuplexStream, duplex};
use tower::ServiceExt;

use crate::{
    Frame, RawSocket, RawSocketError, Reply, Request,
    stall::{Stall, Stallable},
};

/// What the connection holds of either side before it has to wait for the other, in bytes.
const CAPACITY: usize = 16 << 20;

/// A client of an app in memory: a real handshake and a real session, and neither a port nor a server to stop. It works
/// with tokio's paused clock.
///
/// It reads while something is expected of it, and answers pings then; so does a clock that is advanced past the
/// heartbeat find a client that has vanished.
///
/// # Examples
///
/// An app, and the test of what its users are promised:
///
/// ```
/// use axum::{Router, extract::Query, http::StatusCode};
/// use axum_live::{Data, Live, LiveLayer, MessageRouter, Session, accept};
/// use axum_live_test::{LiveTest, RawSocketError, Request};
///
/// #[derive(serde::Deserialize)]
/// struct User {
///     user: String,
/// }
///
/// async fn authenticate(Query(user): Query<User>) -> Result<User, StatusCode> {
///     if user.user.is_empty() { Err(StatusCode::UNAUTHORIZED) } else { Ok(user) }
/// }
///
/// async fn say(session: Session<User>, live: Live<User>, Data(text): Data<String>) {
///     live.publish("said", &(&session.value().user, text)).ok();
/// }
///
/// fn app() -> Router {
///     let live = Live::<User>::builder()
///         .on_connect(async |session: Session<User>| session.subscribe("said").unwrap())
///         .on_message(MessageRouter::new().on("say", say).into_hook())
///         .build();
///     Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(accept))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), RawSocketError> {
/// // #[tokio::test]
/// // async fn what_one_says_all_hear() -> Result<(), RawSocketError> {
/// let app = app();
/// let mut ana = LiveTest::connect(&app, "/ws?user=ana").await?;
/// ana.send("say", "hello").await?;
/// assert_eq!(ana.expect::<(String, String)>("said").await?, ("ana".into(), "hello".into()));
///
/// ana.send("say", &7).await?;
/// let error: serde_json::Value = ana.expect("error").await?;
/// assert_eq!(error["code"], "bad_data");
///
/// let refusal = LiveTest::ask(&app, &Request::new("/ws?user=")).await?;
/// assert_eq!(refusal.status(), 401);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LiveTest {
    socket: RawSocket<DuplexStream>,
    stall: Arc<Stall>,
}

impl LiveTest {
    /// Connects to a route of the app.
    ///
    /// # Errors
    ///
    /// When the answer is no upgrade; [`ask`](Self::ask) is for what is to be refused.
    pub async fn connect(app: &Router, target: &str) -> Result<Self, RawSocketError> {
        Self::connect_with(app, &Request::new(target)).await
    }

    /// Connects with a handshake that has more to it: headers, subprotocols.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(app: &Router, handshake: &Request) -> Result<Self, RawSocketError> {
        let mut client = Self::serve(app);
        client.socket.upgrade(handshake).await?;
        Ok(client)
    }

    /// The app's answer to a request, whatever it is.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ask(app: &Router, request: &Request) -> Result<Reply, RawSocketError> {
        Self::serve(app).socket.request(request).await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the data cannot be made into JSON.
    pub async fn send<T: Serialize + ?Sized>(&mut self, topic: &str, data: &T) -> Result<(), RawSocketError> {
        let data = serde_json::to_value(data);
        let data = data.map_err(|error| RawSocketError::unexpected("data that is json", error.to_string()))?;
        self.socket.send_json(topic, data).await
    }

    /// The data of the next message, which must have this topic. Waits 10 seconds at most.
    ///
    /// # Errors
    ///
    /// When another message comes, or none, or the data has another shape.
    pub async fn expect<T: DeserializeOwned>(&mut self, topic: &str) -> Result<T, RawSocketError> {
        #[derive(Deserialize)]
        struct Envelope<T> {
            topic: String,
            data: T,
        }

        let frame = self.event().await?;
        let envelope = frame.as_text().and_then(|text| serde_json::from_str::<Envelope<T>>(text).ok());
        match envelope.filter(|envelope| envelope.topic == topic) {
            Some(envelope) => Ok(envelope.data),
            None => {
                let awaited = format!("a message on {topic:?} with {}", std::any::type_name::<T>());
                Err(RawSocketError::unexpected(&awaited, String::from_utf8_lossy(frame.payload())))
            }
        }
    }

    /// Waits for the server to close with this code, answers and hangs up; what comes back is what the server said of
    /// it.
    ///
    /// # Errors
    ///
    /// When something else comes, or another code.
    pub async fn expect_close(&mut self, code: u16) -> Result<String, RawSocketError> {
        let reason = closes_with(&self.event().await?, code)?;
        // The server may have had this answer already, when it was the client that closed.
        self.socket.close(code, "").await.ok();
        self.socket.half_close().await.ok();
        Ok(reason)
    }

    /// Takes no more from the server until [`resume`](Self::resume): the slowest of clients.
    pub fn stall(&self) {
        self.stall.set(true);
    }

    /// Takes again what the server writes.
    pub fn resume(&self) {
        self.stall.set(false);
    }

    /// Closes with 1000, and waits for the server's answer, whatever comes before it.
    ///
    /// # Errors
    ///
    /// When the server answers otherwise.
    pub async fn close(mut self) -> Result<(), RawSocketError> {
        self.socket.close(1000, "").await?;
        loop {
            let frame = self.event().await?;
            if frame.opcode() == Frame::CLOSE {
                return closes_with(&frame, 1000).map(drop);
            }
        }
    }

    /// The socket beneath, for what a client should not do.
    pub fn socket(&mut self) -> &mut RawSocket<DuplexStream> {
        &mut self.socket
    }

    /// The next frame that is more than a sign of life; pings are answered on the way.
    async fn event(&mut self) -> Result<Frame, RawSocketError> {
        loop {
            let frame = self.socket.frame().await?;
            match frame.opcode() {
                Frame::PING => self.socket.send(&Frame::pong(frame.payload())).await?,
                Frame::PONG => {}
                _ => return Ok(frame),
            }
        }
    }

    fn serve(app: &Router) -> Self {
        let (client, server) = duplex(CAPACITY);
        let stall = Arc::new(Stall::default());
        let io = TokioIo::new(Stallable::new(server, Arc::clone(&stall)));
        let app = app.clone().map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new));
        let connection = http1::Builder::new().serve_connection(io, TowerToHyperService::new(app)).with_upgrades();
        tokio::spawn(async move {
            // How the connection ends is the client's to see.
            connection.await.ok();
        });
        Self { socket: RawSocket::over(client), stall }
    }
}

/// The words of a frame that has to close with this code.
fn closes_with(frame: &Frame, code: u16) -> Result<String, RawSocketError> {
    match frame.as_close() {
        Some((Some(got), reason)) if got == code => Ok(reason.to_owned()),
        _ => {
            let got = String::from_utf8_lossy(frame.payload());
            Err(RawSocketError::unexpected(&format!("a close with {code}"), got))
        }
    }
}
