//! Redis forgets, breaks off, stops, is slow, or was never there.

use std::time::Duration;

use ferry_domain::ports::{Group, Limiter};
use ferry_simulator::Refill;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Server, Tenant, eventually, plain};

#[track_caller]
fn hardly_refused(tenant: &Tenant) {
    let (admitted, refused) = tenant.counted();
    assert!(refused * 100 <= admitted, "{refused} refused beside {admitted} admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_starts_empty() {
    let Some(server) = Server::start().await else { return };
    let tenant = Tenant::start("custom:50:20", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..3).map(|_| tenant.process(&server.url())).collect();
    eventually("the first burst is over", || tenant.counted().0 >= 90).await;
    let mut store = plain(&server.url()).await;
    for lost in 1..=3 {
        redis::cmd("FLUSHALL").exec_async(&mut store).await.unwrap();
        eventually("work goes on", || tenant.counted().0 >= 90 + 40 * lost).await;
        assert_eq!(tenant.counted().1, 0, "each full bucket would have been a burst of 30");
    }
    assert!(processes.iter().all(|process| process.limiter.figures().processes == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_are_made_again() {
    let Some(server) = Server::start().await else { return };
    let tenant = Tenant::start("custom:20:20", Refill::FixedWindow).await;
    let processes: Vec<_> = (0..2).map(|_| tenant.process(&server.url())).collect();
    let mut store = plain(&server.url()).await;
    for cut in 1..=4 {
        eventually("work goes on", || tenant.counted().0 >= 30 * cut).await;
        let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
        redis::cmd("CLIENT").arg(&kill).exec_async(&mut store).await.unwrap();
    }
    eventually("shared again", || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true))
    })
    .await;
    hardly_refused(&tenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_goes_on_with_its_share_and_comes_back_without_a_burst() {
    let Some(mut server) = Server::start().await else { return };
    let tenant = Tenant::start("custom:50:20", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..4).map(|_| tenant.process(&server.url())).collect();
    eventually("all at work", || processes.iter().all(|p| p.limiter.figures().processes == 4)).await;
    eventually("the first burst is over", || tenant.counted().0 >= 80).await;
    server.kill();
    eventually("all notice", || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(false))
    })
    .await;
    let (before, at) = (tenant.counted().0, tenant.refilled(20.0));
    eventually("four seconds' worth", || tenant.counted().0 >= before + 80).await;
    let (used, possible) = ((tenant.counted().0 - before) as f64, tenant.refilled(20.0) - at);
    assert!(used >= 0.85 * possible, "{used} of {possible}");
    assert_eq!(tenant.counted().1, 0, "four shares are one limit");
    server.start_again().await;
    eventually("shared again", || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true))
    })
    .await;
    let before = tenant.counted().0;
    eventually("five seconds' worth", || tenant.counted().0 >= before + 100).await;
    assert_eq!(tenant.counted().1, 0, "no burst on return");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_saw_redis_uses_the_floor() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tenant = Tenant::start("custom:100:100", Refill::TokenBucket).await;
    let process = tenant.process(&format!("redis://{nobody}"));
    eventually("three seconds' worth of a tenth", || tenant.counted().0 >= 30).await;
    let (used, floor) = (tenant.counted().0 as f64, tenant.refilled(10.0));
    assert!(used <= floor + 2.0, "{used} requests, the floor gives {floor}");
    let figures = process.limiter.figures();
    assert_eq!(figures.shared_reachable, Some(false));
    assert!(process.limiter.waiting().unwrap().to_string().contains("user reads"));
    // A 429 is heeded alone.
    process.limiter.throttled(Group::UserReads, None);
    assert!(process.limiter.figures().factor < 0.9);
}

/// Passes bytes on after a while, both ways.
async fn slow_line(to: String, delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((here, _)) = listener.accept().await {
            let there = TcpStream::connect(&to).await.unwrap();
            let ((from_here, to_here), (from_there, to_there)) = (here.into_split(), there.into_split());
            for (mut from, mut to) in [(from_here, to_there), (from_there, to_here)] {
                let (sender, mut parts) = tokio::sync::mpsc::unbounded_channel();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 65_536];
                    while let Ok(length @ 1..) = from.read(&mut bytes).await {
                        let due = tokio::time::Instant::now() + delay;
                        if sender.send((due, bytes[..length].to_vec())).is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move {
                    while let Some((due, bytes)) = parts.recv().await {
                        tokio::time::sleep_until(due).await;
                        if to.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                });
            }
        }
    });
    format!("redis://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_is_asked_ahead() {
    let Some(server) = Server::start().await else { return };
    let place = server.url().trim_start_matches("redis://").to_owned();
    let slow = slow_line(place, Duration::from_millis(100)).await;
    let tenant = Tenant::start("custom:50:50", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..2).map(|_| tenant.process(&slow)).collect();
    eventually("all at work", || processes.iter().all(|p| p.limiter.figures().processes == 2)).await;
    let (before, at) = (tenant.counted().0, tenant.refilled(50.0));
    eventually("six seconds' worth", || tenant.counted().0 >= before + 300).await;
    let (used, possible) = ((tenant.counted().0 - before) as f64, tenant.refilled(50.0) - at);
    assert!(used >= 0.9 * possible, "{used} of {possible}");
    assert!(processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true)));
    hardly_refused(&tenant);
}
