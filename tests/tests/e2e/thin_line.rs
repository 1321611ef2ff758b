//! A client on a thin line (case 46), which the kernel plays: a network of its own, whose loopback carries 64 kbit/s.
//! `cargo test --release -p axum-live-e2e --test e2e thin_line -- --ignored`, with `unshare`, `ip` and `tc` (Debian's
//! util-linux and iproute2).

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use axum_live::{Frame as Payload, Live};
use axum_live_test::Frame;

use crate::node::Node;

/// Set where the line is thin.
const ON_THE_LINE: &str = "AXUM_LIVE_ON_A_THIN_LINE";

/// Makes the line thin, and runs what follows on it.
const THIN_LINE: &str = "ip link set lo up mtu 1500 \
    && tc qdisc add dev lo root tbf rate 64kbit burst 4000 latency 120s \
    && exec \"$@\"";

#[test]
#[ignore = "takes two minutes, and a network namespace"]
fn c46_a_client_on_a_line_of_64_kbit_a_second_gets_all_though_it_says_nothing() {
    if env::var_os(ON_THE_LINE).is_some() {
        return takes_its_time();
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-root-user", "sh", "-c", THIN_LINE, "sh"]).arg(env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--test-threads", "1", "c46_a_client_on_a_line_of_64_kbit"]);
    let output = command.env(ON_THE_LINE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    // No test of that name is a success too.
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::main(flavor = "current_thread")]
async fn takes_its_time() {
    const FRAMES: u8 = 200;
    const SIZE: usize = 4 << 10;

    let start = Instant::now();
    let mut node = Node::start(Live::builder()).await;
    let (socket, session) = node.open().await;
    let mut socket = socket.patience(Duration::from_secs(60));
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    let (mut next, mut pings) = (0, 0);
    while next < FRAMES {
        let frame = socket.frame().await.unwrap();
        if frame.opcode() == Frame::PING {
            pings += 1;
        } else {
            assert!(frame.payload() == vec![next; SIZE], "frame {next} is {frame:?}");
            next += 1;
        }
    }
    let time = start.elapsed();
    assert!(!session.is_closed(), "{:?} after {time:?}", session.close_reason());
    assert!(time > Duration::from_secs(90), "the line was not thin: {time:?}, {pings} pings");
}
