//! Several processes on one limit.

use std::time::Duration;

use ferry_domain::ports::{Group, Limiter};
use ferry_simulator::Refill;
use ferry_testbed::{redis_at, shared_redis, until};

use crate::support::Tenant;

/// The simulator refused at most one of a hundred: a busy machine sends late now and then.
#[track_caller]
fn hardly_refused(tenant: &Tenant) {
    let (admitted, refused) = tenant.counted();
    assert!(refused * 100 <= admitted, "{refused} refused beside {admitted} admitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_keep_one_limit_and_share_it_evenly() {
    let Some(redis) = shared_redis() else { return };
    for refill in [Refill::TokenBucket, Refill::FixedWindow] {
        let tenant = Tenant::start("custom:40:40", refill).await;
        let processes: Vec<_> = (0..4).map(|_| tenant.process(&redis)).collect();
        until("eight seconds' worth of requests", async || tenant.counted().0 >= 320).await;
        hardly_refused(&tenant);
        let possible = 40.0 + tenant.refilled(40.0);
        assert!(tenant.counted().0 as f64 <= possible + 1.0);
        let granted = processes.iter().map(|process| process.limiter.figures().groups[1].granted);
        let (least, most) = (granted.clone().min().unwrap(), granted.max().unwrap());
        assert!(most <= 2 * least, "{least} to {most}");
        assert!(processes.iter().all(|process| process.limiter.figures().processes == 4));
        for process in processes {
            process.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_is_used_by_the_others() {
    let Some(redis) = shared_redis() else { return };
    let tenant = Tenant::start("custom:20:20", Refill::TokenBucket).await;
    let mut processes: Vec<_> = (0..4).map(|_| tenant.process(&redis)).collect();
    until("all at work", async || processes.iter().all(|p| p.limiter.figures().processes == 4)).await;
    for process in processes.drain(2..).collect::<Vec<_>>() {
        process.kill();
    }
    until("two are left", async || processes.iter().all(|p| p.limiter.figures().processes == 2)).await;
    tenant.uses("two processes use what four did", 20.0).await;
    hardly_refused(&tenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_incident_of_429s_slows_every_process_once() {
    let Some(redis) = shared_redis() else { return };
    let tenant = Tenant::start("custom:20:20", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..3).map(|_| tenant.process(&redis)).collect();
    until("all at work", async || processes.iter().all(|p| p.limiter.figures().processes == 3)).await;
    assert!(processes.iter().all(|p| p.limiter.figures().factor == 1.0));
    // One incident, as five requests of three processes see it.
    for process in processes.iter().chain(&processes[..2]) {
        process.limiter.throttled(Group::UserReads, None);
    }
    until("all are slower", async || processes.iter().all(|p| p.limiter.figures().factor < 1.0)).await;
    let factors: Vec<_> = processes.iter().map(|p| p.limiter.figures().factor).collect();
    assert!(factors.iter().all(|factor| *factor >= 0.799), "counted once: {factors:?}");
    until("the rate is regained", async || processes.iter().all(|p| p.limiter.figures().factor > 0.95)).await;
    hardly_refused(&tenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_is_followed_by_all_without_a_burst() {
    let Some(redis) = shared_redis() else { return };
    let tenant = Tenant::start("custom:40:40", Refill::TokenBucket).await;
    let processes: Vec<_> = (0..2).map(|_| tenant.process(&redis)).collect();
    until("work", async || tenant.counted().0 >= 80).await;
    for (plan, rate) in [("custom:20:20", 20.0), ("custom:40:40", 40.0)] {
        // Whichever is lower first, so that what comes in between is allowed.
        if rate > 20.0 {
            tenant.simulator.set_limits(&plan.parse().unwrap());
        }
        processes.iter().for_each(|process| process.limiter.set_plan(&plan.parse().unwrap()));
        tokio::time::sleep(Duration::from_millis(500)).await;
        tenant.simulator.set_limits(&plan.parse().unwrap());
        tenant.uses(plan, rate).await;
        until("the whole rate is allowed", async || {
            processes[0].limiter.figures().groups[1].allowed_per_second == Some(rate)
        })
        .await;
    }
    hardly_refused(&tenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_gives_back_and_is_no_longer_counted() {
    let Some(redis) = shared_redis() else { return };
    let tenant = Tenant::start("custom:2:1", Refill::TokenBucket).await;
    let (one, other) = (tenant.limiter(&redis), tenant.limiter(&redis));
    one.acquire(Group::UserReads).await;
    until("both are known", async || one.figures().processes == 2 && other.figures().processes == 2).await;
    one.acquire(Group::UserReads).await;
    // The other takes the next slot, a second ahead, and has no use for it.
    let given_up = tokio::time::timeout(Duration::from_millis(300), other.acquire(Group::UserReads)).await;
    assert!(given_up.is_err());
    let key = format!("ferry:{{limit:{}}}:state", tenant.name);
    let mut store = redis_at(&redis).await;
    let level = async |store: &mut redis::aio::MultiplexedConnection| -> f64 {
        redis::cmd("HGET").arg(&key).arg("l0").query_async(store).await.unwrap()
    };
    let before = level(&mut store).await;
    other.give_back().await;
    let after = level(&mut store).await;
    assert!(after >= (before + 0.99).min(1.0), "{before}, then {after}");
    let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut store).await.unwrap();
    assert!(ttl > 0, "keys expire");
    assert_eq!(one.waiting(), None);
}
