use std::{future, io};

use tokio::signal;
use tracing::error;

/// Waits until the process is asked to stop: by Ctrl-C, or by SIGTERM as systemd, Docker and Kubernetes do. For
/// [`Serve::with_graceful_shutdown`](crate::Serve::with_graceful_shutdown), or axum's.
///
/// From the first poll on the two no longer end the process by themselves, so whatever waits for this has to. Where
/// the system does not let us listen to a signal, that is logged, and the other one counts.
pub async fn stop_signal() {
    tokio::select! {
        () = come(signal::ctrl_c()) => {}
        () = come(terminate()) => {}
    }
}

async fn come(signal: impl Future<Output = io::Result<()>>) {
    if let Err(error) = signal.await {
        error!(target: "axum_live", %error, "a signal will not stop the process");
        future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminate() -> io::Result<()> {
    signal::unix::signal(signal::unix::SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminate() -> io::Result<()> {
    future::pending().await
}
