//! The close codes of the page: each is caused, and comes with the words that stand there.

use axum_live_test::{Frame, RawSocket, Request};

use crate::{app::App, page};

/// A client that has done what ends its session.
async fn cause(code: u16, app: &App) -> RawSocket {
    let path = match code {
        1013 => "/poor",
        4001 => "/brief",
        4504 => "/single",
        4009 | 4012 => "/restless",
        4011 | 4014 => "/hasty",
        4013 => "/wary",
        _ => "/ws",
    };
    // Little fits between the two, so that a client that does not read is felt.
    let mut socket = RawSocket::connect_with_receive_buffer(app.addr, 128 << 10).await.unwrap();
    socket.upgrade(&Request::new(&format!("{path}?user=ana"))).await.unwrap();
    match code {
        1000 => socket.send_json("bye", ()).await.unwrap(),
        1001 => drop(tokio::spawn({
            let live = app.live.clone();
            async move { live.shutdown().await }
        })),
        1002 => socket.send(&Frame::text("").unmasked()).await.unwrap(),
        1007 => socket.send(&Frame::new(Frame::TEXT, [0xff])).await.unwrap(),
        1009 => socket.send(&Frame::text("").declaring(65_537)).await.unwrap(),
        1011 => socket.send_json("panic", ()).await.unwrap(),
        1013 | 4008 => socket.send_json("flood", ()).await.unwrap(),
        4009 => {
            socket.send_json("flood", ()).await.unwrap();
            // From ping to ping of a client that answers the write timeout passes.
            let mut clock = RawSocket::open(app.addr, "/restless?user=bob").await.unwrap();
            for _ in 0..4 {
                assert_eq!(clock.frame().await.unwrap().opcode(), Frame::PING);
                clock.send(&Frame::pong("")).await.unwrap();
            }
        }
        4011 => socket.send(&Frame::text("half").declaring(8)).await.unwrap(),
        4001 | 4012 => {}
        4013 => {
            for _ in 0..64 {
                socket.send_json("echo", ()).await.unwrap();
            }
        }
        4014 => socket.send_json("hang", ()).await.unwrap(),
        4500 => {
            for _ in 0..16 {
                socket.send_text("nonsense").await.unwrap();
            }
        }
        4501 => {
            socket.send_json("echo", "here").await.unwrap();
            socket.expect_json("echo").await.unwrap();
            assert_eq!(app.live.user("ana").revoke(), 1);
        }
        4504 => drop(RawSocket::open(app.addr, "/single?user=ana").await.unwrap()),
        4505 => {
            for n in 0..128 + 16 {
                let topic = serde_json::json!({ "topic": format!("many:{n}") });
                socket.send_json("subscribe", topic).await.unwrap();
            }
        }
        other => panic!("nothing is known to close with {other}"),
    }
    socket
}

/// The close frame behind whatever else comes.
async fn last_words(mut socket: RawSocket) -> (u16, String) {
    loop {
        let frame = socket.frame().await.unwrap();
        if let Some((code, words)) = frame.as_close() {
            return (code.unwrap(), words.to_owned());
        }
    }
}

#[tokio::test]
async fn every_close_code_of_the_page_comes_with_its_words() {
    let table = page::table("### Close codes");
    assert_eq!(table.len(), 18, "{table:?}");
    for row in table {
        let [code, words, _] = row[..] else { panic!("{row:?}") };
        let app = App::serve().await;
        let socket = cause(code.parse().unwrap(), &app).await;
        let (closed_with, told) = last_words(socket).await;
        assert_eq!((closed_with.to_string().as_str(), format!("`{told}`").as_str()), (code, words));
    }
}
