use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time,
};

use crate::census::Full;

/// Tells a client why it is not let in, without a look at what it asks: over HTTP/1.1, which whoever speaks HTTP/2 to
/// us without having been told takes for an error.
pub(super) async fn tell(mut io: impl AsyncRead + AsyncWrite + Unpin, full: Full) {
    let told = async {
        io.write_all(answer(full).as_bytes()).await?;
        io.shutdown().await?;
        // A connection that is closed with something unread is reset, and the answer may be lost by that.
        let mut unread = [0; 1024];
        while io.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // It is not our loss when the client does not hear it.
    let _ = time::timeout(PATIENCE, told).await;
}

fn answer(full: Full) -> String {
    let (status, text) = match full {
        Full::Total => ("503 Service Unavailable", "the server has all the connections that it may have"),
        Full::Address => ("429 Too Many Requests", "too many connections from this address"),
    };
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nretry-after: {RETRY_AFTER}\r\nconnection: close\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{text}"
    )
}

/// Seconds: places become free when sessions end, which nobody can foretell.
const RETRY_AFTER: u32 = 5;

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::{io::duplex, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn c70_who_does_not_read_or_does_not_leave_is_given_up_after_a_second() {
        for room in [16, 4096] {
            let (_client, server) = duplex(room);
            let start = Instant::now();
            tell(server, Full::Total).await;
            assert_eq!(start.elapsed(), PATIENCE, "with room for {room} bytes");
        }
    }
}
