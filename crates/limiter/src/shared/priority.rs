//! Moving users before reading them back, over several processes on one state, by a clock that
//! the test moves: who is served, how much, and whether the limit stays used.

#![allow(clippy::unwrap_used)]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ferry_domain::ports::Group;
use tokio::{sync::oneshot::Receiver, time::Instant};

use super::{
    reference::{START, redis, tenant},
    reservations::Reservations,
    script::{EXCHANGE_AT, Reply},
};
use crate::{brake::chance, counts::Counts};

const SECOND: i64 = 1_000_000;
/// A step of the clock, in microseconds.
const STEP: i64 = 1_000;
/// How long an answer of Auth0 takes.
const LATENCY: i64 = 80_000;

/// A process, and its callers by group: each asks anew once its request is answered.
struct Process {
    reservations: Reservations,
    waiting: [Vec<Receiver<()>>; 4],
    /// Moments at which answers come.
    out: [VecDeque<i64>; 4],
    sent: [u64; 4],
}

impl Process {
    /// As many callers as wanted; those that are too many stop after their answer.
    fn ask(&mut self, wanted: [usize; 4], time: i64, now: Instant) {
        for (index, group) in Group::ALL.into_iter().enumerate() {
            while self.out[index].front().is_some_and(|answered| *answered <= time) {
                self.out[index].pop_front();
            }
            let busy = self.waiting[index].len() + self.out[index].len();
            for _ in busy..wanted[index] {
                self.waiting[index].push(self.reservations.enqueue(group, now).unwrap());
            }
        }
    }

    fn send(&mut self, time: i64, now: Instant) {
        self.reservations.serve(now);
        for index in 0..4 {
            let before = self.waiting[index].len();
            self.waiting[index].retain_mut(|caller| caller.try_recv().is_err());
            let served = before - self.waiting[index].len();
            self.sent[index] += served as u64;
            self.out[index].extend((0..served).map(|_| time + LATENCY));
        }
    }
}

struct World {
    processes: Vec<Process>,
    store: redis::Connection,
    tenant: String,
    start: Instant,
    time: i64,
}

impl World {
    fn start(plan: &str, processes: usize) -> Option<World> {
        let (store, start, plan) = (redis()?, Instant::now(), plan.parse().unwrap());
        let process = |number: usize| Process {
            reservations: Reservations::new(
                format!("m{number}"),
                &plan,
                0.1,
                Arc::new(Counts::default()),
                start,
            ),
            waiting: Default::default(),
            out: Default::default(),
            sent: [0; 4],
        };
        let processes = (0..processes).map(process).collect();
        Some(World { processes, store, tenant: tenant("priority", chance()), start, time: 0 })
    }

    /// Lets `wanted` callers of each process ask for some seconds; returns what was sent a
    /// second, by group, over all.
    fn run(&mut self, seconds: i64, wanted: &[[usize; 4]]) -> [f64; 4] {
        let before: Vec<_> = self.processes.iter().map(|process| process.sent).collect();
        let end = self.time + seconds * SECOND;
        while self.time < end {
            self.time += STEP;
            let now = self.start + Duration::from_micros(self.time.unsigned_abs());
            for (process, wanted) in self.processes.iter_mut().zip(wanted) {
                process.ask(*wanted, self.time, now);
                if let Some(request) = process.reservations.request(now) {
                    let call = request.invocation(&EXCHANGE_AT, &self.tenant, START + self.time);
                    let figures: Vec<i64> = call.invoke(&mut self.store).unwrap();
                    process.reservations.answered(&request, Reply::read(&figures).unwrap(), now, now);
                }
                process.send(self.time, now);
            }
        }
        let sent = |index: usize| {
            let each = self.processes.iter().zip(&before);
            each.map(|(process, before)| process.sent[index] - before[index]).sum::<u64>()
        };
        [0, 1, 2, 3].map(|index| sent(index) as f64 / seconds as f64)
    }
}

const CREATES: [usize; 4] = [64, 0, 0, 0];
const READS_BACK: [usize; 4] = [0, 0, 0, 64];
const BOTH: [usize; 4] = [64, 0, 0, 64];
const NOTHING: [usize; 4] = [0; 4];

#[test]
fn creation_gets_all_but_the_share_of_reading_back() {
    for (plan, rate) in [("private-100", 50.0), ("private-500", 250.0), ("enterprise", 16.0)] {
        for processes in
            [vec![BOTH], vec![BOTH, BOTH], vec![CREATES, READS_BACK], vec![READS_BACK, BOTH, READS_BACK]]
        {
            let Some(mut world) = World::start(plan, processes.len()) else { return };
            world.run(8, &processes);
            let [creates, _, _, back] = world.run(20, &processes);
            let told = format!("{plan} {processes:?}: {creates} created, {back} read back");
            assert!(creates >= 0.93 * rate, "{told}");
            assert!((0.03 * rate..=0.07 * rate).contains(&back), "{told}");
            assert!(creates + back >= 0.99 * rate, "{told}");
        }
    }
}

#[test]
fn reading_back_has_the_whole_limit_while_nobody_creates() {
    for processes in [vec![READS_BACK], vec![READS_BACK, NOTHING], vec![READS_BACK; 3]] {
        let Some(mut world) = World::start("private-100", processes.len()) else { return };
        let creating: Vec<_> = processes.iter().map(|_| BOTH).collect();
        world.run(8, &creating);
        world.run(6, &processes); // callers that wait are still served
        let [creates, _, _, back] = world.run(20, &processes);
        assert_eq!(creates, 0.0);
        assert!(back >= 0.99 * 50.0, "{processes:?}: {back}");
    }
}

/// Few that create, and many that read back: all that creation leaves is used.
#[test]
fn what_creation_leaves_is_used() {
    for creating in [1, 2, 3] {
        let both = [creating, 0, 0, 64];
        for processes in [vec![both], vec![[creating, 0, 0, 0], READS_BACK], vec![both, READS_BACK]] {
            let Some(mut world) = World::start("private-100", processes.len()) else { return };
            world.run(8, &processes);
            let [creates, _, _, back] = world.run(20, &processes);
            let told = format!("{processes:?}: {creates} created, {back} read back");
            assert!(creates + back >= 0.99 * 50.0, "{told}");
            assert!(creates >= 3.0 * creating as f64, "{told}");
        }
    }
}

/// What resolves doubt about a user who is created goes as creation does.
#[test]
fn reads_that_belong_to_creation_go_first() {
    let Some(mut world) = World::start("private-100", 2) else { return };
    let processes = [[0, 64, 0, 0], READS_BACK];
    world.run(8, &processes);
    let [_, reads, _, back] = world.run(20, &processes);
    assert!(reads >= 46.0 && back <= 4.0, "{reads} resolved, {back} read back");
}

#[test]
fn creation_that_has_a_bucket_of_its_own_holds_nobody_back() {
    let Some(mut world) = World::start("essentials", 2) else { return };
    world.run(15, &[BOTH, BOTH]);
    let [creates, _, _, back] = world.run(30, &[BOTH, BOTH]);
    assert!(creates >= 0.98 * 200.0 / 60.0, "{creates}");
    assert!(back >= 0.98 * 500.0 / 60.0, "{back}");
}

/// Demand that comes and goes at random: never more than is allowed, and never less while
/// somebody always waits.
#[test]
fn the_limit_is_used_and_kept_whoever_comes_and_goes() {
    let below = |end: u64| (chance() * end as f64) as u64;
    for _ in 0..6 {
        let Some(mut world) = World::start("private-100", 3) else { return };
        world.run(8, &[BOTH; 3]);
        let (mut sent, mut seconds) = (0.0, 0);
        let mut history = Vec::new();
        for _ in 0..12 {
            let mut callers =
                [0, 1, 2].map(|_| [[0, 1, 16, 64][below(4) as usize], 0, 0, [0, 1, 64][below(3) as usize]]);
            callers[below(3) as usize][3] = 64;
            let phase = 1 + below(3) as i64;
            history.push((phase, callers));
            sent += world.run(phase, &callers).iter().sum::<f64>() * phase as f64;
            seconds += phase;
        }
        let allowed = 50.0 * seconds as f64;
        assert!(sent >= 0.985 * allowed, "{sent} of {allowed}: {history:?}");
        assert!(sent <= allowed + 2.0, "{sent} of {allowed}: {history:?}");
    }
}
