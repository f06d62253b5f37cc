//! Rate limits: the arithmetic with a clock of its own, and the headers over HTTP.

use ferry_simulator::limits::{Bucket, Group, Limits, Rate, Reading};
use ferry_simulator::{Config, Plan, Refill};

use crate::support::{Client, read};

/// A moment in the middle of a second, far from zero.
const NOW: u64 = 1_800_000_000_250;

fn drain(bucket: &mut Bucket, now_ms: u64) -> u32 {
    let mut taken = 0;
    while bucket.take(now_ms).admitted {
        taken += 1;
    }
    taken
}

fn plan(name: &str) -> Plan {
    name.parse().unwrap()
}

#[test]
fn a_token_bucket_fills_by_the_millisecond() {
    let mut bucket = Bucket::new(Rate::per_second(50, 16), Refill::TokenBucket);
    assert_eq!(drain(&mut bucket, NOW), 50);
    // 16 a second: one every 62.5 ms.
    assert!(!bucket.take(NOW + 62).admitted);
    assert!(bucket.take(NOW + 63).admitted);
    assert_eq!(drain(&mut bucket, NOW + 1_000), 15);
    assert_eq!(drain(&mut bucket, NOW + 100_000), 50);
}

#[test]
fn a_fixed_window_fills_at_the_start_of_a_second() {
    let mut bucket = Bucket::new(Rate::per_second(50, 16), Refill::FixedWindow);
    assert_eq!(drain(&mut bucket, NOW), 50);
    assert_eq!(drain(&mut bucket, NOW + 749), 0);
    assert_eq!(drain(&mut bucket, NOW + 750), 16);
    assert_eq!(drain(&mut bucket, NOW + 2_750), 32);
}

#[test]
fn reset_is_the_second_in_which_the_bucket_is_full() {
    let second = NOW.div_ceil(1_000);
    let mut bucket = Bucket::new(Rate::per_second(50, 16), Refill::TokenBucket);
    let first = Reading { admitted: true, limit: 50, remaining: 49, reset: second };
    assert_eq!(bucket.take(NOW), first);
    drain(&mut bucket, NOW);
    // 50 missing at 16 a second: 3,125 ms.
    let refused = Reading { admitted: false, limit: 50, remaining: 0, reset: (NOW + 3_125).div_ceil(1_000) };
    assert_eq!(bucket.take(NOW), refused);

    // The recorded bucket: 100 a day, 864 s for each missing request.
    let day = Rate { burst: 100, amount: 100, period_ms: 86_400_000 };
    let mut bucket = Bucket::new(day, Refill::TokenBucket);
    let readings: Vec<Reading> = (0..6).map(|_| bucket.take(1_800_000_000_000)).collect();
    let ahead = |index: usize| readings[index].reset - 1_800_000_000;
    assert_eq!((readings[3].remaining, ahead(3)), (96, 3_456));
    assert_eq!((readings[5].remaining, ahead(5)), (94, 5_184));

    let mut bucket = Bucket::new(Rate::per_second(50, 16), Refill::FixedWindow);
    drain(&mut bucket, NOW);
    // Four windows bring 64, three only 48.
    assert_eq!(bucket.take(NOW).reset, 1_800_000_004);
}

#[test]
fn a_clock_set_back_changes_nothing() {
    for refill in [Refill::TokenBucket, Refill::FixedWindow] {
        let mut bucket = Bucket::new(Rate::per_second(2, 2), refill);
        assert_eq!(drain(&mut bucket, NOW), 2);
        assert_eq!(drain(&mut bucket, NOW - 10_000), 0);
        assert_eq!(drain(&mut bucket, NOW + 1_000), 2);
    }
}

#[test]
fn groups_have_their_own_buckets_on_essentials() {
    let mut limits = Limits::new(&plan("essentials"), Refill::TokenBucket);
    let mut most = |group| (0..1_000).filter(|_| limits.take(group, NOW).unwrap().admitted).count();
    assert_eq!(most(Group::UserWrites), 20);
    assert_eq!(most(Group::UserDeletes), 20);
    assert_eq!(most(Group::UserReads), 40);
    assert_eq!(most(Group::ConnectionReads), 5);
    assert_eq!(most(Group::Rest), 10);
    // 200 a minute: one every 300 ms.
    assert!(!limits.take(Group::UserWrites, NOW + 299).unwrap().admitted);
    assert!(limits.take(Group::UserWrites, NOW + 300).unwrap().admitted);
}

#[test]
fn one_bucket_for_all_on_the_other_plans() {
    for (name, burst) in [
        ("free", 2),
        ("enterprise", 50),
        ("enterprise-dev", 10),
        ("private-20", 20),
        ("private-100", 50),
        ("private-500", 250),
        ("private-1500", 750),
        ("custom:7:3", 7),
    ] {
        let mut limits = Limits::new(&plan(name), Refill::TokenBucket);
        let groups = [Group::UserWrites, Group::UserReads, Group::Rest];
        let admitted = (0..2_000).filter(|n| limits.take(groups[n % 3], NOW).unwrap().admitted).count();
        assert_eq!(admitted, burst, "{name}");
        // Tokens are another API.
        assert!(limits.take(Group::Token, NOW).unwrap().admitted, "{name}");
    }
    let mut none = Limits::new(&Plan::off(), Refill::TokenBucket);
    assert_eq!(none.take(Group::UserWrites, NOW), None);
}

#[test]
fn an_unknown_plan_is_told_the_known_ones() {
    for wrong in ["gold", "custom:0:5", "custom:5", "custom:a:b", "Free", ""] {
        let text = wrong.parse::<Plan>().unwrap_err().to_string();
        for known in ["free", "professional", "private-1500", "custom:BURST"] {
            assert!(text.contains(known), "{text}");
        }
    }
    assert_eq!(plan("custom:7:3").name(), "custom:7:3");
}

#[tokio::test]
async fn answers_carry_the_limit_and_429_its_body() {
    let client = Client::start(Config {
        limits: plan("custom:3:1"),
        refill: Refill::FixedWindow,
        ..Config::default()
    })
    .await;
    let url = client.url("/api/v2/connections");
    let anonymous = read(client.http.get(url).send().await.unwrap()).await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(anonymous.header("x-ratelimit-limit"), None);

    let first = client.get("/connections").await;
    assert_eq!(first.number("x-ratelimit-limit"), 3);
    assert_eq!(first.number("x-ratelimit-remaining"), 2);
    // At most one comes back each second, so a handful of requests meets the limit.
    let mut refused = client.get("/connections").await;
    while refused.status != 429 {
        refused = client.get("/connections").await;
    }
    refused.refuses(429, "Too Many Requests", Some("too_many_requests"), "Global limit has been reached");
    assert_eq!(refused.number("x-ratelimit-remaining"), 0);
    assert!(refused.number("x-ratelimit-reset") > first.number("x-ratelimit-reset"));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(client.simulator.stats().rate_limited, 1);

    client.simulator.advance(std::time::Duration::from_secs(3));
    assert_eq!(client.get("/connections").await.status, 200);
}
