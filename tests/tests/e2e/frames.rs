//! What a client may not put on the wire, and what it may: the catalogue's cases 22 to 29 and 31.

use axum_live::{CloseReason, Frame as Payload, Live, Session};
use axum_live_test::Frame;

use crate::node::{Node, assert_closes};

/// A node that gives raw frames back.
async fn raw() -> Node {
    Node::start(Live::builder().on_frame(async |session: Session<()>, frame: Payload| {
        session.send_frame(frame).unwrap();
    }))
    .await
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::to_bytes).collect()
}

/// Asserts that these bytes end the session with this code, before anything that follows them.
async fn refuses(node: &mut Node, sent: &[u8], code: u16) {
    let shown = sent[..sent.len().min(40)].escape_ascii();
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    socket.write([sent, &Frame::text("ignored").to_bytes()].concat()).await.unwrap();
    assert_closes(&mut socket, code).await;
    socket.expect_eof().await.unwrap();
    let (closed, reason) = node.closed().await;
    assert_eq!(closed, session);
    match code {
        1002 => assert!(matches!(reason, CloseReason::Protocol(_)), "{shown}: {reason:?}"),
        1007 => assert_eq!(reason, CloseReason::InvalidUtf8, "{shown}"),
        _ => assert_eq!(reason, CloseReason::TooBig, "{shown}"),
    }
    assert_eq!(node.live.stats().topics(), 0);
}

/// Asserts that these frames are one message.
async fn accepts(node: &mut Node, frames: &[Frame]) {
    let (mut socket, _) = node.open().await;
    socket.write(bytes(frames)).await.unwrap();
    let message = socket.frame().await.unwrap();
    let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
    assert!(message.opcode() == frames[0].opcode() && message.is_final() && message.payload() == whole);
    drop(socket);
    node.closed().await;
}

#[tokio::test]
async fn c22_unmasked_reserved_bits_and_reserved_opcodes_are_1002() {
    let mut node = raw().await;
    refuses(&mut node, &Frame::text("a").unmasked().to_bytes(), 1002).await;
    refuses(&mut node, &Frame::ping("a").unmasked().to_bytes(), 1002).await;
    for bits in 1..8 {
        refuses(&mut node, &Frame::text("a").reserved(bits).to_bytes(), 1002).await;
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        refuses(&mut node, &Frame::new(opcode, "a").to_bytes(), 1002).await;
    }
}

#[tokio::test]
async fn c23_a_control_frame_is_short_and_whole_or_1002() {
    let mut node = raw().await;
    for opcode in [Frame::PING, Frame::PONG, Frame::CLOSE] {
        refuses(&mut node, &Frame::new(opcode, [3; 126]).to_bytes(), 1002).await;
        refuses(&mut node, &Frame::new(opcode, "").unfinished().to_bytes(), 1002).await;
    }
    let (mut socket, _) = node.open().await;
    socket.send(&Frame::ping([7; 125])).await.unwrap();
    let pong = socket.frame().await.unwrap();
    assert_eq!((pong.opcode(), pong.payload()), (Frame::PONG, &[7; 125][..]));
}

#[tokio::test]
async fn c24_a_stray_continuation_and_interleaved_data_are_1002() {
    let mut node = raw().await;
    refuses(&mut node, &Frame::new(Frame::CONTINUATION, "a").to_bytes(), 1002).await;
    refuses(&mut node, &Frame::new(Frame::CONTINUATION, "a").unfinished().to_bytes(), 1002).await;
    for second in [Frame::text("b"), Frame::binary("b")] {
        refuses(&mut node, &bytes(&[Frame::text("a").unfinished(), second]), 1002).await;
    }
    let (mut socket, _) = node.open().await;
    let end = Frame::new(Frame::CONTINUATION, "b");
    socket.write(bytes(&[Frame::text("a").unfinished(), Frame::ping("between"), end])).await.unwrap();
    assert_eq!(socket.frame().await.unwrap().payload(), b"between");
    assert_eq!(socket.expect_text().await.unwrap(), "ab");
}

#[tokio::test]
async fn c25_text_that_is_not_utf_8_is_1007_at_once() {
    let mut node = raw().await;
    let text = |payload: &[u8]| Frame::new(Frame::TEXT, payload);
    refuses(&mut node, &text(b"ok\xff").to_bytes(), 1007).await;
    refuses(&mut node, &text(b"cut off \xe2\x82").to_bytes(), 1007).await;
    refuses(&mut node, &text(b"surrogate \xed\xa0\x80").to_bytes(), 1007).await;
    refuses(&mut node, &bytes(&[text(b"\xc3").unfinished(), Frame::new(Frame::CONTINUATION, "a")]), 1007).await;
    refuses(&mut node, &Frame::new(Frame::CLOSE, b"\x03\xe8\xff").to_bytes(), 1007).await;

    // In a first fragment, and in a frame of which the rest does not come.
    for stalled in [text(b"ok\xff").unfinished(), text(b"ok\xff").declaring(100)] {
        let (mut socket, _) = node.open().await;
        socket.send(&stalled).await.unwrap();
        assert_closes(&mut socket, 1007).await;
    }
    let split = [text(b"\xe2").unfinished(), Frame::new(Frame::CONTINUATION, b"\x82\xac")];
    accepts(&mut node, &split).await;
    accepts(&mut node, &[Frame::binary(b"\xff\xfe")]).await;
}

#[tokio::test]
async fn c26_declared_length_over_limit_is_1009_from_the_header_alone() {
    let mut node = raw().await;
    for length in [(64 << 10) + 1, 1 << 32, 1 << 62, 1 << 63, u64::MAX] {
        let (mut socket, _) = node.open().await;
        socket.send(&Frame::binary("").declaring(length)).await.unwrap();
        assert_closes(&mut socket, 1009).await;
        socket.expect_eof().await.unwrap();
    }
    accepts(&mut node, &[Frame::binary(vec![1; 64 << 10])]).await;

    let mut node = Node::start(Live::builder().read_limit(10)).await;
    refuses(&mut node, &Frame::text("eleven byte").to_bytes(), 1009).await;
}

#[tokio::test]
async fn c27_a_declared_length_costs_nothing_before_its_bytes_come() {
    // More than any machine has: who allocated it would not live to tell.
    let mut node = Node::start(Live::builder().read_limit(1 << 46)).await;
    let (mut socket, session) = node.open().await;
    socket.send(&Frame::binary([7; 20]).declaring(1 << 46)).await.unwrap();
    socket.half_close().await.unwrap();
    assert_eq!(node.closed().await, (session, CloseReason::Lost));
}

#[tokio::test]
async fn c28_fragments_that_add_up_past_the_limit_are_1009() {
    let mut node = raw().await;
    let begun = Frame::binary(vec![1; 40_000]).unfinished();
    // From the second header, of a frame that would fit alone.
    let more = Frame::new(Frame::CONTINUATION, "").declaring(40_000);
    refuses(&mut node, &bytes(&[begun.clone(), more]), 1009).await;
    let more = Frame::new(Frame::CONTINUATION, "").declaring(25_537);
    refuses(&mut node, &bytes(&[begun.clone(), more]), 1009).await;
    accepts(&mut node, &[begun, Frame::new(Frame::CONTINUATION, vec![2; 25_536])]).await;
}

#[tokio::test]
async fn c29_a_message_in_more_than_1024_fragments_is_1009() {
    let mut node = raw().await;
    let mut frames = vec![Frame::text("").unfinished()];
    frames.resize(1023, Frame::new(Frame::CONTINUATION, "").unfinished());
    let last = Frame::new(Frame::CONTINUATION, "");
    accepts(&mut node, &[&frames[..], std::slice::from_ref(&last)].concat()).await;
    frames.resize(1024, frames[1].clone());
    refuses(&mut node, &bytes(&[&frames[..], &[last]].concat()), 1009).await;
}

#[tokio::test]
async fn c31_a_close_frame_with_a_code_that_may_not_be_sent_is_1002() {
    let mut node = raw().await;
    refuses(&mut node, &Frame::new(Frame::CLOSE, [3]).to_bytes(), 1002).await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        refuses(&mut node, &Frame::close(code, "").to_bytes(), 1002).await;
    }
}

#[tokio::test]
async fn a_length_not_in_its_shortest_form_is_1002() {
    let mut node = raw().await;
    refuses(&mut node, b"\x82\xfe\x00\x01\0\0\0\0a", 1002).await;
    refuses(&mut node, b"\x82\xff\0\0\0\0\0\0\x00\x7e\0\0\0\0", 1002).await;
}

#[tokio::test]
async fn raw_frames_come_to_on_frame_as_they_are_text_or_binary() {
    let mut node = raw().await;
    let (mut socket, session) = node.open().await;
    for frame in [Frame::text("no envelope"), Frame::binary([0, 159, 146, 150]), Frame::text(""), Frame::binary("")] {
        socket.send(&frame).await.unwrap();
        let back = socket.frame().await.unwrap();
        assert_eq!((back.opcode(), back.payload()), (frame.opcode(), frame.payload()));
    }
    session.subscribe("t").unwrap();
    assert_eq!(node.live.publish_frame("t", &Payload::binary([1, 2, 3])).unwrap(), 1);
    let published = socket.frame().await.unwrap();
    assert_eq!((published.opcode(), published.payload()), (Frame::BINARY, &[1, 2, 3][..]));
    assert_eq!(node.live.stats().undecodable_messages(), 0);
}
