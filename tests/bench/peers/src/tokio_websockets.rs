//! A task and a bounded channel a session; what has piled up in the channel goes out in one flush.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::serve::Listener;
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::mpsc, task};
use tokio_websockets::{Error, Message, Payload, ServerBuilder, WebSocketStream};

use crate::request::{ACK, Caller, Publication, Request, measured};

const CAPACITY: usize = 256;

type Queue = mpsc::Sender<Message>;

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, Vec<Queue>>>>);

pub async fn serve(mut listener: impl Listener<Io = TcpStream>) {
    let topics = Topics::default();
    loop {
        let (stream, _) = listener.accept().await;
        let topics = topics.clone();
        tokio::spawn(async move {
            if let Ok((_, socket)) = ServerBuilder::new().accept(stream).await {
                // The end of a session is nobody's error.
                run(socket, topics).await.ok();
            }
        });
    }
}

async fn run(mut socket: WebSocketStream<TcpStream>, topics: Topics) -> Result<(), Error> {
    let (queue, mut queued) = mpsc::channel(CAPACITY);
    let session = Session { queue, topics };
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => session.answer(message?, &mut socket).await?,
                None => return Ok(()),
            },
            message = queued.recv() => {
                socket.feed(message.expect("the session holds a sender")).await?;
                while let Ok(message) = queued.try_recv() {
                    socket.feed(message).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

struct Session {
    queue: Queue,
    topics: Topics,
}

impl Session {
    async fn answer(&self, message: Message, socket: &mut WebSocketStream<TcpStream>) -> Result<(), Error> {
        let Some(Ok(request)) = message.as_text().map(Request::parse) else { return Ok(()) };
        let answer = match request {
            Request::Subscribe { topic } => {
                self.topics.subscribe(topic, self.queue.clone());
                Message::text(ACK)
            }
            Request::Publish(publication) => {
                self.topics.publish(&publication);
                return Ok(());
            }
            Request::Measure(publication, caller) => Message::text(self.topics.measure(publication, caller).await),
            Request::Echo => message,
        };
        socket.send(answer).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut topics = self.topics.0.lock().expect("nobody panics with it");
        topics.values_mut().for_each(|queues| queues.retain(|queue| !queue.same_channel(&self.queue)));
    }
}

impl Topics {
    fn subscribe(&self, topic: String, queue: Queue) {
        self.0.lock().expect("nobody panics with it").entry(topic).or_default().push(queue);
    }

    /// Whose queue is full misses it.
    fn publish(&self, publication: &Publication) {
        let message = Message::text(Payload::from(publication.message()));
        let topics = self.0.lock().expect("nobody panics with it");
        for queue in topics.get(&publication.topic).into_iter().flatten() {
            queue.try_send(message.clone()).ok();
        }
    }

    async fn measure(&self, publication: Publication, caller: Caller) -> String {
        let topics = self.clone();
        let publish = move || {
            let start = Instant::now();
            topics.publish(&publication);
            measured(start.elapsed())
        };
        match caller {
            Caller::Handler => publish(),
            Caller::Thread => task::spawn_blocking(publish).await.expect("it does not panic"),
        }
    }
}
