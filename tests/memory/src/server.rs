use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::Router;
use axum_live::{Live, LiveLayer, accept};
use tokio::net::TcpListener;

/// Serves as an application does.
pub async fn start(live: &Live<()>) -> io::Result<SocketAddr> {
    let app = Router::new().route("/live", LiveLayer::anonymous(live).handler(accept));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}
