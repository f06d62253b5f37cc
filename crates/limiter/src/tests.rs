//! The promises, measured at the passing side with a clock moved by hand. Loops over
//! seeds, so that each case is another plan, another demand and other pauses.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use std::time::Duration;

use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Limiter, Observed},
};

use crate::{local::LocalLimiter, time::Time};

/// Repeatable chance: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A limiter, its clock, and a caller that always asks for one more.
struct World {
    nanos: Arc<AtomicU64>,
    limiter: LocalLimiter,
}

const MILLI: u64 = 1_000_000;

impl World {
    fn new(plan: &str) -> World {
        let nanos = Arc::new(AtomicU64::new(0));
        World { limiter: LocalLimiter::at(&plan.parse().unwrap(), Time::Held(nanos.clone())), nanos }
    }

    fn now(&self) -> f64 {
        self.nanos.load(Ordering::SeqCst) as f64 / 1e9
    }

    fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Always asks, until `end` seconds; returns the times of passing. Wakes up to
    /// `late` milliseconds after the moment asked for, as timers do.
    fn ask_until(&self, end: f64, group: Group, late: u64, chance: &mut Chance) -> Vec<f64> {
        let mut passed = Vec::new();
        let buckets = self.limiter.buckets();
        let bucket = buckets.way(group).next().unwrap();
        let mut due = None;
        while self.now() < end {
            match bucket.pay(&mut due, &self.limiter.brake) {
                None => {
                    passed.push(self.now());
                    due = None;
                }
                Some(wait) => self.advance(wait + Duration::from_nanos(chance.below(late * MILLI + 1))),
            }
        }
        passed
    }
}

/// The smallest burst that explains the passings at the given rate: the most that any
/// window passed beyond rate × its length.
fn burst_needed(passed: &[f64], rate: f64) -> f64 {
    let mut least = f64::INFINITY;
    let mut most = 0.0f64;
    for (count, time) in passed.iter().enumerate() {
        let surplus = count as f64 - rate * time;
        least = least.min(surplus);
        most = most.max(surplus - least + 1.0);
    }
    most
}

#[test]
fn no_window_passes_more_than_burst_and_rate_allow() {
    let plans = [
        ("free", 2.0, 2.0),
        ("enterprise", 50.0, 16.0),
        ("enterprise-dev", 10.0, 2.0),
        ("private-100", 50.0, 50.0),
        ("private-10000", 5000.0, 5000.0),
        ("custom:1:5", 1.0, 5.0),
        ("custom:7:300", 7.0, 300.0),
    ];
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let (plan, burst, rate) = plans[seed as usize % plans.len()];
        let world = World::new(plan);
        let mut passed = Vec::new();
        for _ in 0..6 {
            // A while of asking, then a while without: the bucket fills up and is not spent beyond its size.
            let end = world.now() + chance.below(8000) as f64 / 1000.0;
            passed.extend(world.ask_until(end, Group::UserWrites, 3, &mut chance));
            world.advance(Duration::from_millis(chance.below(5000)));
        }
        let needed = burst_needed(&passed, rate);
        assert!(needed <= burst + 1e-6, "{plan}, seed {seed}: took a burst of {needed}");
    }
}

#[test]
fn nearly_all_of_what_is_allowed_is_used_when_always_asked() {
    for (plan, burst, rate) in [
        ("enterprise", 50.0, 16.0),
        ("private-100", 50.0, 50.0),
        ("private-10000", 5000.0, 5000.0),
        ("free", 2.0, 2.0),
    ] {
        let world = World::new(plan);
        let span = 600.0;
        let passed = world.ask_until(span, Group::UserWrites, 2, &mut Chance(1)).len() as f64;
        let allowed = burst + rate * span;
        assert!(passed / allowed >= 0.99, "{plan}: {passed} of {allowed}");
    }
}

#[test]
fn a_full_bucket_is_not_spent_in_one_burst() {
    for (plan, at_once) in [("enterprise", 34), ("private-500", 3), ("free", 1), ("enterprise-dev", 8)] {
        let world = World::new(plan);
        let mut due = None;
        let mut count = 0;
        while world.limiter.buckets().global.as_ref().unwrap().pay(&mut due, &world.limiter.brake).is_none() {
            due = None;
            count += 1;
        }
        assert_eq!(count, at_once, "{plan}");
    }
}

#[test]
fn groups_of_the_essentials_plan_have_buckets_of_their_own() {
    let world = World::new("essentials");
    let mut chance = Chance(5);
    let writes = world.ask_until(60.0, Group::UserWrites, 1, &mut chance);
    assert!((190..=220).contains(&writes.len()), "200 a minute and what the bucket held: {}", writes.len());
    assert!(burst_needed(&writes, 200.0 / 60.0) <= 20.0);
    // A minute of writing has used nothing of the others' buckets.
    assert!(
        world.limiter.buckets().groups[1].as_ref().unwrap().pay(&mut None, &world.limiter.brake).is_none()
    );
    let start = world.now();
    let rest = world.ask_until(start + 60.0, Group::Rest, 1, &mut chance);
    assert!((140..=160).contains(&rest.len()), "{}", rest.len());
}

#[test]
fn a_429_makes_everyone_wait_then_go_slower_then_climb_back_to_the_plan() {
    let world = World::new("private-100");
    let mut chance = Chance(9);
    world.ask_until(5.0, Group::UserWrites, 1, &mut chance);
    assert_eq!(world.limiter.rate(), Some(50.0));

    for _ in 0..10 {
        world.limiter.throttled(Group::UserWrites, Some(Duration::from_secs(2)));
    }
    assert_eq!(world.limiter.rate(), Some(40.0), "ten of the same instant count once");
    let paused_until = world.now() + 2.0;
    assert!(world.limiter.waiting().unwrap().wait >= Duration::from_secs(2));

    let passed = world.ask_until(paused_until + 2.0, Group::UserReads, 1, &mut chance);
    assert!(passed[0] >= paused_until, "the other group waits too");
    assert!((78..=90).contains(&passed.len()), "two seconds at 40 to 42 a second: {}", passed.len());

    world.ask_until(paused_until + 20.0, Group::UserWrites, 1, &mut chance);
    assert_eq!(world.limiter.rate(), Some(50.0), "never above the plan");
    let start = world.now();
    let full = world.ask_until(start + 20.0, Group::UserWrites, 1, &mut chance);
    assert!((990..=1001).contains(&full.len()), "{}", full.len());
}

#[test]
fn the_rate_never_falls_below_the_floor_and_pauses_grow() {
    let world = World::new("private-100");
    let mut pauses = Vec::new();
    for _ in 0..40 {
        world.limiter.throttled(Group::UserWrites, None);
        let pause = world.limiter.brake.pause_left().unwrap();
        pauses.push(pause);
        world.advance(pause);
    }
    let rate = world.limiter.rate().unwrap();
    assert!((2.5..=10.0).contains(&rate), "{rate}");
    assert!(pauses[0] <= Duration::from_millis(313) && pauses[39] >= Duration::from_secs(6), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(10)));
    world.advance(Duration::from_secs(60));
    assert_eq!(world.limiter.rate(), Some(50.0));
}

#[test]
fn a_header_can_not_freeze_the_process() {
    let world = World::new("off");
    world.limiter.throttled(Group::UserWrites, Some(Duration::from_secs(86_400)));
    let waiting = world.limiter.waiting().unwrap();
    assert_eq!((waiting.wait, waiting.per_second), (Duration::from_secs(3_600), None));
    assert_eq!(world.limiter.rate(), None);
}

/// Auth0 as it counts: a bucket refilled all the time or at the start of each second,
/// and another client that uses it too.
struct Server {
    size: f64,
    rate: f64,
    stepwise: bool,
    foreign: f64,
    left: f64,
    at: f64,
    refused: u32,
}

impl Server {
    fn new(size: f64, rate: f64, stepwise: bool, foreign: f64) -> Server {
        Server { size, rate, stepwise, foreign, left: size, at: 0.0, refused: 0 }
    }

    /// One request; returns what remains.
    fn request(&mut self, now: f64) -> Option<u32> {
        let (from, to) = if self.stepwise { (self.at.floor(), now.floor()) } else { (self.at, now) };
        self.left =
            (self.left + (to - from) * self.rate - (now - self.at) * self.foreign).min(self.size).max(0.0);
        self.at = now;
        if self.left < 1.0 {
            self.refused += 1;
            return None;
        }
        self.left -= 1.0;
        Some(self.left as u32)
    }
}

/// Runs against the server for a while, answers coming back `latency` later; returns the
/// number of requests that passed.
fn run(plan: &str, server: &mut Server, seconds: f64, latency: f64) -> u32 {
    let world = World::new(plan);
    let mut chance = Chance(3);
    let (mut due, mut passed, mut answers) = (None, 0, VecDeque::new());
    while world.now() < seconds {
        while answers.front().is_some_and(|(at, _)| *at <= world.now()) {
            match answers.pop_front() {
                Some((_, Some(remaining))) => {
                    world
                        .limiter
                        .observe(Group::UserWrites, Observed { limit: server.size as u32, remaining });
                }
                _ => world.limiter.throttled(Group::UserWrites, None),
            }
        }
        match world.limiter.buckets().global.as_ref().unwrap().pay(&mut due, &world.limiter.brake) {
            None => {
                let answer = server.request(world.now());
                passed += u32::from(answer.is_some());
                answers.push_back((world.now() + latency, answer));
                due = None;
            }
            Some(wait) => {
                let wait = wait.min(Duration::from_millis(20));
                world.advance(wait + Duration::from_nanos(chance.below(MILLI)));
            }
        }
    }
    passed
}

#[test]
fn a_server_of_either_kind_never_answers_429_and_is_used_to_the_full() {
    for stepwise in [false, true] {
        for (plan, size, rate) in
            [("enterprise", 50.0, 16.0), ("private-100", 50.0, 50.0), ("private-500", 250.0, 250.0)]
        {
            let mut server = Server::new(size, rate, stepwise, 0.0);
            let passed = f64::from(run(plan, &mut server, 300.0, 0.08));
            let share = passed / (rate * 300.0);
            assert!(share >= 0.99, "{plan}, stepwise {stepwise}: {share}");
            let refused = f64::from(server.refused) / passed;
            assert!(refused < 0.001, "{plan}, stepwise {stepwise}: {} refused", server.refused);
        }
    }
}

#[test]
fn foreign_use_costs_permits_and_lowers_no_rate() {
    for (plan, size, rate) in [("enterprise", 50.0, 16.0), ("private-500", 250.0, 250.0)] {
        let mut server = Server::new(size, rate, false, rate / 4.0);
        let passed = f64::from(run(plan, &mut server, 300.0, 0.08));
        let share = passed / (rate * 300.0);
        assert!((0.73..=0.80).contains(&share), "{plan}: {share} beside a client that takes a quarter");
        assert_eq!(server.refused, 0, "{plan}");
    }
}

#[test]
fn a_server_that_allows_less_than_the_plan_is_served_without_stopping() {
    let mut server = Server::new(10.0, 2.0, false, 0.0);
    let passed = run("enterprise", &mut server, 600.0, 0.08);
    assert!(passed >= 600, "{passed} of 1200");
}

#[tokio::test]
async fn a_thousand_waiting_pass_in_order_and_never_faster_than_allowed() {
    let limiter = Arc::new(LocalLimiter::new(&"custom:100:1000".parse().unwrap()));
    let start = tokio::time::Instant::now();
    let (sender, mut passed) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..1000 {
        let (limiter, sender) = (limiter.clone(), sender.clone());
        tokio::spawn(async move {
            limiter.acquire(Group::UserWrites).await;
            sender.send((number, start.elapsed().as_secs_f64())).unwrap();
        });
    }
    drop(sender);
    let mut count = 0;
    while let Some((number, at)) = passed.recv().await {
        assert_eq!(number, count, "first come, first served");
        count += 1;
        assert!(f64::from(count) <= 100.0 + 1000.0 * at, "{count} after {at} s");
    }
    assert_eq!(count, 1000);
    assert!(
        limiter.waiting().is_none_or(|waiting| waiting.wait < Duration::from_secs(1)),
        "nobody is left in the queue"
    );
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_queue_and_off_never_waits() {
    let limiter = LocalLimiter::new(&"custom:1:1".parse().unwrap());
    limiter.acquire(Group::Rest).await;
    let gave_up = tokio::time::timeout(Duration::from_millis(5), limiter.acquire(Group::Rest)).await;
    assert!(gave_up.is_err());
    assert!(limiter.waiting().unwrap().wait <= Duration::from_millis(1010), "{:?}", limiter.waiting());

    let off = LocalLimiter::new(&LimitPlan::off());
    for _ in 0..100_000 {
        off.acquire(Group::UserWrites).await;
    }
    assert_eq!(off.waiting(), None);
}

#[test]
fn another_plan_is_kept_from_now_on_without_a_fresh_burst() {
    let world = World::new("custom:50:16");
    let mut chance = Chance(4);
    world.ask_until(10.0, Group::UserWrites, 1, &mut chance);
    for (plan, rate) in [("custom:25:8", 8.0), ("custom:100:32", 32.0), ("custom:50:16", 16.0)] {
        world.limiter.set_plan(&plan.parse().unwrap());
        assert_eq!(world.limiter.rate(), Some(rate));
        let start = world.now();
        let passed = world.ask_until(start + 20.0, Group::UserWrites, 1, &mut chance).len() as f64;
        assert!((rate * 19.5..=rate * 20.0 + 2.0).contains(&passed), "{plan}: {passed}");
    }
}

#[tokio::test]
async fn callers_who_wait_follow_a_change_of_the_plan_and_are_counted() {
    let limiter = Arc::new(LocalLimiter::new(&"custom:1:1".parse().unwrap()));
    limiter.acquire(Group::UserWrites).await;
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire(Group::UserWrites).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(
        limiter.waiting().unwrap().to_string(),
        "waiting for the limit: user writes, 1 requests/s allowed"
    );
    // At the old rate this would take 200 s.
    limiter.set_plan(&"custom:1000:1000".parse().unwrap());
    for caller in waiting {
        caller.await.unwrap();
    }
    let figures = limiter.figures();
    assert_eq!((figures.groups[0].granted, figures.waiters, figures.processes), (201, 0, 1));
    assert_eq!(figures.shared_reachable, None);
}

/// Callers of the local limiter that each ask anew once their request is answered.
struct Demand {
    limiter: Arc<LocalLimiter>,
    sent: Arc<[AtomicU64; 4]>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Demand {
    fn new(plan: &str) -> Demand {
        let limiter = Arc::new(LocalLimiter::new(&plan.parse().unwrap()));
        Demand { limiter, sent: Arc::default(), callers: Vec::new() }
    }

    fn ask(&mut self, group: Group, callers: usize) {
        for _ in 0..callers {
            let (limiter, sent) = (self.limiter.clone(), self.sent.clone());
            self.callers.push(tokio::spawn(async move {
                loop {
                    limiter.acquire(group).await;
                    sent[group as usize].fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(80)).await;
                }
            }));
        }
    }

    fn stop(&mut self) {
        self.callers.drain(..).for_each(|caller| caller.abort());
    }

    /// Requests a second, by group.
    async fn measured(&self, seconds: u64) -> [f64; 4] {
        let sent = || [0, 1, 2, 3].map(|index: usize| self.sent[index].load(Ordering::SeqCst));
        let before = sent();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let after = sent();
        [0, 1, 2, 3].map(|index: usize| (after[index] - before[index]) as f64 / seconds as f64)
    }
}

#[tokio::test(start_paused = true)]
async fn creation_gets_all_but_the_share_of_reading_back_and_reading_back_what_is_left() {
    for (plan, rate) in [("private-100", 50.0), ("enterprise", 16.0), ("free", 2.0)] {
        let mut demand = Demand::new(plan);
        demand.ask(Group::ReadBack, 64);
        demand.measured(5).await;
        demand.ask(Group::UserWrites, 64);
        demand.measured(20).await;
        let [creates, _, _, back] = demand.measured(100).await;
        let told = format!("{plan}: {creates} created, {back} read back");
        assert!(creates >= 0.93 * rate, "{told}");
        assert!((0.03 * rate..=0.07 * rate).contains(&back), "{told}");
        assert!(creates + back >= 0.99 * rate, "{told}");
        demand.stop();
        demand.ask(Group::ReadBack, 64);
        let [creates, _, _, back] = demand.measured(100).await;
        assert!(creates == 0.0 && back >= 0.99 * rate, "{plan}: {back} read back alone");
        demand.stop();
        // Creation that leaves something.
        demand.ask(Group::ReadBack, 64);
        demand.ask(Group::UserReads, 1);
        let [_, reads, _, back] = demand.measured(100).await;
        assert!(reads + back >= 0.99 * rate, "{plan}: {reads} and {back}");
        demand.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn creation_with_a_bucket_of_its_own_holds_nobody_back_and_another_plan_reaches_all() {
    let mut demand = Demand::new("essentials");
    demand.ask(Group::UserWrites, 64);
    demand.ask(Group::ReadBack, 64);
    demand.measured(20).await;
    let [creates, _, _, back] = demand.measured(60).await;
    assert!(creates >= 0.98 * 200.0 / 60.0 && back >= 0.98 * 500.0 / 60.0, "{creates}, {back}");
    demand.limiter.set_plan(&"private-100".parse().unwrap());
    demand.measured(5).await;
    let [creates, _, _, back] = demand.measured(20).await;
    assert!(creates >= 46.0 && back >= 1.5, "{creates}, {back}");
}

/// Demand that comes and goes at random: never more than is allowed, and never less while
/// somebody always waits.
#[tokio::test(start_paused = true)]
async fn the_limit_is_used_and_kept_whoever_comes_and_goes() {
    for seed in 0..20 {
        let mut chance = Chance(seed);
        let mut demand = Demand::new("private-100");
        demand.ask(Group::ReadBack, 64);
        demand.measured(5).await;
        let (mut sent, mut seconds) = (0.0, 0);
        for _ in 0..20 {
            demand.stop();
            demand.ask(Group::ReadBack, 64);
            demand.ask(Group::UserWrites, [0, 1, 16, 64][chance.below(4) as usize]);
            demand.ask(Group::UserReads, [0, 0, 3][chance.below(3) as usize]);
            let phase = 1 + chance.below(5);
            sent += demand.measured(phase).await.iter().sum::<f64>() * phase as f64;
            seconds += phase;
        }
        demand.stop();
        let allowed = 50.0 * seconds as f64;
        assert!(sent >= 0.985 * allowed && sent <= allowed + 2.0, "seed {seed}: {sent} of {allowed}");
    }
}
