//! Asks a process for one of its pages, as a probe does.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Request, header},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take. Probes come every few seconds, and must not wait for one another.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pages that are asked for are a line long.
const LONGEST: usize = 64 << 10;

/// The status and the text of a page such as `/readyz`.
///
/// # Errors
/// When nobody listens, or no whole answer comes within 3 s.
pub async fn ask(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let late =
        |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, answer(address, path)).await.map_err(late)?
}

async fn answer(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .body(Body::empty())
        .map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = to_bytes(Body::new(response.into_body()), LONGEST).await.map_err(io::Error::other)?;
        Ok((status, String::from_utf8_lossy(&body).trim_end().to_owned()))
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        ended = connection => Err(ended.map_or_else(io::Error::other, |()| io::ErrorKind::UnexpectedEof.into())),
    }
}
