//! Redis forgets, breaks off, stops, is slow, or was never there.

use std::time::Duration;

use ferry_domain::ports::{Group, Limiter};
use ferry_simulator::Refill;
use ferry_testbed::{OwnRedis, Proxy, local, redis_at, until};

use crate::support::Tenant;

#[track_caller]
fn hardly_refused(tenant: &Tenant) {
    let (admitted, refused) = tenant.counted();
    assert!(refused * 100 <= admitted, "{refused} refused beside {admitted} admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_starts_empty() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let tenant = Tenant::start("custom:50:20", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..3).map(|_| tenant.process(&server.url())).collect();
    until("the first burst is over", async || tenant.counted().0 >= 90).await;
    let mut store = redis_at(&server.url()).await;
    for lost in 1..=3 {
        redis::cmd("FLUSHALL").exec_async(&mut store).await.unwrap();
        until("work goes on", async || tenant.counted().0 >= 90 + 40 * lost).await;
        assert_eq!(tenant.counted().1, 0, "each full bucket would have been a burst of 30");
    }
    assert!(processes.iter().all(|process| process.limiter.figures().processes == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_are_made_again() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let tenant = Tenant::start("custom:20:20", Refill::FixedWindow).await;
    let processes: Vec<_> = (0..2).map(|_| tenant.process(&server.url())).collect();
    let mut store = redis_at(&server.url()).await;
    for cut in 1..=4 {
        until("work goes on", async || tenant.counted().0 >= 30 * cut).await;
        let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
        redis::cmd("CLIENT").arg(&kill).exec_async(&mut store).await.unwrap();
    }
    until("shared again", async || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true))
    })
    .await;
    hardly_refused(&tenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_goes_on_with_its_share_and_comes_back_without_a_burst() {
    let Some(mut server) = OwnRedis::private(&[]) else { return };
    let tenant = Tenant::start("custom:50:20", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..4).map(|_| tenant.process(&server.url())).collect();
    until("all at work", async || processes.iter().all(|p| p.limiter.figures().processes == 4)).await;
    until("the first burst is over", async || tenant.counted().0 >= 80).await;
    server.kill();
    until("all notice", async || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(false))
    })
    .await;
    tenant.uses("four shares are used", 20.0).await;
    assert_eq!(tenant.counted().1, 0, "four shares are one limit");
    server.up();
    until("shared again", async || {
        processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true))
    })
    .await;
    let before = tenant.counted().0;
    until("five seconds' worth", async || tenant.counted().0 >= before + 100).await;
    assert_eq!(tenant.counted().1, 0, "no burst on return");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_saw_redis_uses_the_floor() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tenant = Tenant::start("custom:100:100", Refill::TokenBucket).await;
    let process = tenant.process(&format!("redis://{nobody}"));
    until("three seconds' worth of a tenth", async || tenant.counted().0 >= 30).await;
    let (used, floor) = (tenant.counted().0 as f64, tenant.refilled(10.0));
    assert!(used <= floor + 2.0, "{used} requests, the floor gives {floor}");
    let figures = process.limiter.figures();
    assert_eq!(figures.shared_reachable, Some(false));
    assert!(process.limiter.waiting().unwrap().to_string().contains("user reads"));
    // A 429 is heeded alone.
    process.limiter.throttled(Group::UserReads, None);
    assert!(process.limiter.figures().factor < 0.9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_redis_is_asked_ahead() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let proxy = Proxy::before(local(server.port)).await;
    proxy.change(|weather| weather.latency = Duration::from_millis(100));
    let slow = format!("redis://127.0.0.1:{}", proxy.port);
    let tenant = Tenant::start("custom:50:50", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..2).map(|_| tenant.process(&slow)).collect();
    until("all at work", async || processes.iter().all(|p| p.limiter.figures().processes == 2)).await;
    tenant.uses("the limit is used", 50.0).await;
    assert!(processes.iter().all(|p| p.limiter.figures().shared_reachable == Some(true)));
    hardly_refused(&tenant);
}
