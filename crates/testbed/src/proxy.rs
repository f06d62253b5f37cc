//! A TCP proxy between one process and a server, to hurt only that connection.
//!
//! Packet loss is emulated by stalls: on a real network TCP turns a lost packet into a
//! pause until it is sent again, which is what a program sees.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// What happens to connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// Where connections go.
    pub to: SocketAddr,
    /// Added to each direction.
    pub latency: Duration,
    /// `(n, time)`: every n-th piece is delayed by `time`.
    pub stall: Option<(u64, Duration)>,
    /// Connections are closed, new ones too.
    pub cut: bool,
    /// Nothing that the server says arrives; connections stay open.
    pub mute: bool,
    /// `(n, bytes)`: every n-th answer ends after `bytes`, and the connection with it.
    pub break_answer: Option<(u64, usize)>,
}

/// A running proxy; ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    weather: watch::Sender<Weather>,
    /// Answers broken off so far.
    pub broken: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Passes everything on to this server, without delay and whole.
    pub async fn before(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calm =
            Weather { to, latency: Duration::ZERO, stall: None, cut: false, mute: false, break_answer: None };
        let (weather, seen) = watch::channel(calm);
        let broken = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, seen, broken.clone()));
        Proxy { port, weather, broken, task }
    }

    /// From now on.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Closes all connections, new ones too, or lets them through again.
    pub fn cut(&self, cut: bool) {
        self.change(|weather| weather.cut = cut);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, weather: watch::Receiver<Weather>, broken: Arc<AtomicU64>) {
    let pieces = Arc::new(AtomicU64::new(0));
    // Dropped with this task, and with it every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        while connections.try_join_next().is_some() {}
        let now = weather.borrow().clone();
        if now.cut {
            continue;
        }
        let (weather, pieces, broken) = (weather.clone(), pieces.clone(), broken.clone());
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(now.to).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let mut gone = weather.clone();
            tokio::select! {
                () = carry(from_client, to_server, weather.clone(), pieces.clone(), None) => {}
                () = carry(from_server, to_client, weather, pieces, Some(broken)) => {}
                _ = gone.wait_for(|is| is.cut || is.to != now.to) => {}
            }
        });
    }
}

/// One direction. `broken` marks the answers' direction, and counts those that were broken.
async fn carry(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    pieces: Arc<AtomicU64>,
    broken: Option<Arc<AtomicU64>>,
) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>(1_024);
    // Owns the sender, and drops it at the end: then the writer ends after the last piece.
    let reading = async move {
        let mut buffer = vec![0; 64 * 1_024];
        let mut due = Instant::now();
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let now = weather.borrow().clone();
            let number = pieces.fetch_add(1, Ordering::Relaxed) + 1;
            let mut piece = buffer[..read].to_vec();
            if let Some(broken) = &broken {
                if now.mute {
                    continue;
                }
                if let Some((_, bytes)) = now.break_answer.filter(|(every, _)| number.is_multiple_of(*every))
                {
                    broken.fetch_add(1, Ordering::Relaxed);
                    piece.truncate(bytes);
                    let _ = send.send((Instant::now(), piece)).await;
                    return;
                }
            }
            let stall = now.stall.filter(|(every, _)| number.is_multiple_of(*every));
            // Later pieces wait for the one that is held up: TCP keeps their order.
            due = due.max(Instant::now() + now.latency + stall.map_or(Duration::ZERO, |(_, hold)| hold));
            if send.send((due, piece)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, write(to, receive));
}

async fn write(mut to: OwnedWriteHalf, mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>) {
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}
