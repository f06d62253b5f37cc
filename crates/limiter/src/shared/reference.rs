//! The script against the same rules in plain Rust, by a clock that the test moves.
//!
//! The reference has no hashes, sorted sets and arguments; where both agree over thousands
//! of random exchanges, the script does what it should. The constants are in `rules`, once
//! for both.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::{collections::BTreeMap, time::Duration};

use ferry_domain::limits::LimitPlan;
use proptest::prelude::*;

use super::{
    rules::{INCIDENT, MEMBER, NEAR, PATIENCE, PROBED, RETURNED, WAITS, micros},
    script::{EXCHANGE_AT, HORIZON, Mode, Reply, Request},
};
use crate::{
    brake::{DOUBLINGS, FLOOR, LOWERED, PAUSE, REGAINED, SOON},
    foreign::{ENOUGH, WINDOW},
    turns::EVERY,
};

/// Microseconds since the epoch at which the tests begin.
pub(super) const START: i64 = 1_800_000_000_000_000;

#[derive(Clone, Copy, Default)]
struct Level {
    left: f64,
    at: f64,
}

#[derive(Clone, Copy, Default)]
struct Window {
    seen: u32,
    from: f64,
    smallest: f64,
}

/// The state that all processes share.
#[derive(Clone)]
struct Shared {
    epoch: f64,
    factor: f64,
    since: f64,
    pulled: f64,
    ceiling: f64,
    streak: i32,
    back: f64,
    before: f64,
    count: u32,
    hard: bool,
    stray: f64,
    /// Slots that went first since the last to read back.
    first: u32,
    answers: u64,
    sent: [u64; 4],
    last: f64,
    levels: [Option<Level>; 4],
    windows: [Window; 4],
}

#[derive(Default)]
struct Reference {
    shared: Option<Shared>,
    members: BTreeMap<String, f64>,
    /// When a member last said that callers wait who go first.
    waiting: BTreeMap<String, f64>,
}

impl Shared {
    /// The clock was set back: all times move with it.
    fn move_times(&mut self, now: f64) {
        let set_back = std::mem::replace(&mut self.last, now) - now;
        let levels = self.levels.iter_mut().flatten().map(|level| &mut level.at);
        let windows = self.windows.iter_mut().map(|window| &mut window.from);
        let brake = [&mut self.since, &mut self.pulled, &mut self.stray, &mut self.back];
        for time in levels.chain(windows).chain(brake).filter(|time| **time > 0.0) {
            *time -= set_back.max(0.0);
        }
    }

    fn factor_at(&self, time: f64) -> f64 {
        let up = (time - self.since).max(0.0) / 1e6;
        let reach = (self.ceiling - self.factor).max(0.0) / REGAINED;
        if up <= reach {
            return (self.factor + REGAINED * up).min(1.0);
        }
        let slow = (up - reach).min(PATIENCE.as_secs_f64());
        let fast = up - reach - slow;
        (self.factor.max(self.ceiling) + PROBED * slow + REGAINED * fast).min(1.0)
    }

    /// What a 429 does: (slots are void, one slot less, whether it is the first of its incident).
    fn pull(&mut self, now: f64, asked: f64, request: &Request) -> (bool, bool, bool) {
        if self.hard && now < self.since.max(self.pulled + micros(INCIDENT)) {
            let longer = asked > 0.0 && now + asked > self.since;
            if longer {
                (self.since, self.epoch) = (now + asked, now);
            }
            return (longer, false, false);
        }
        if self.hard || self.pulled == 0.0 || now >= self.pulled + micros(SOON) {
            let again = self.hard && now - self.since < micros(SOON);
            self.streak = if again { (self.streak + 1).min(DOUBLINGS as i32) } else { 0 };
            self.before = self.factor_at(now);
            (self.count, self.hard, self.pulled) = (0, false, now);
        }
        self.count += 1;
        if asked > 0.0 || self.count >= request.many {
            self.ceiling = self.before * NEAR;
            self.factor = (self.before * LOWERED).max(FLOOR);
            let doubled = micros(PAUSE) * 2f64.powi(self.streak);
            let pause = if asked > 0.0 { asked } else { doubled * (0.75 + request.chance / 2.0) };
            (self.pulled, self.since, self.epoch, self.hard) = (now, now + pause, now, true);
            return (true, false, true);
        }
        if self.count > 1 && now < self.stray + micros(INCIDENT) {
            return (false, false, false);
        }
        self.factor = (self.factor_at(now) * NEAR).max(FLOOR);
        self.ceiling = self.before;
        (self.since, self.stray) = (now, now);
        (false, true, false)
    }
}

impl Reference {
    fn exchange(&mut self, request: &Request, now: f64) -> Reply {
        let lost = self.shared.is_none();
        let fresh = Shared {
            epoch: now,
            factor: 1.0,
            since: 0.0,
            pulled: 0.0,
            ceiling: 1.0,
            streak: 0,
            back: 0.0,
            before: 1.0,
            count: 0,
            hard: false,
            stray: 0.0,
            first: 0,
            answers: 0,
            sent: [0; 4],
            last: now,
            levels: [None; 4],
            windows: [Window::default(); 4],
        };
        let shared = self.shared.get_or_insert(fresh);
        shared.move_times(now);
        match request.mode {
            Mode::Leaving => drop(self.members.remove(&request.member)),
            _ => drop(self.members.insert(request.member.clone(), now)),
        }
        self.members.retain(|_, seen| *seen > now - micros(MEMBER));
        if shared.factor_at(now) >= 1.0 {
            shared.answers = 0;
        }
        shared.answers += u64::from(request.answers);
        let asked = request.pull.map(|asked| asked.map_or(0.0, |pause| pause.as_micros() as f64));
        let pulled = asked.map(|asked| shared.pull(now, asked, request));
        let (void, stray, braked) = pulled.unwrap_or_default();
        if request.anew {
            (shared.factor, shared.ceiling, shared.streak) = (1.0, 1.0, 0);
            (shared.count, shared.hard, shared.answers) = (0, false, 0);
        }
        let factor = shared.factor_at(now);
        let resuming = request.mode == Mode::Back && now - shared.back >= micros(RETURNED);
        let mut foreign = 0.0;
        let mut rates = [0.0; 4];
        for (index, part) in request.parts.iter().enumerate() {
            let Some(model) = part.model else {
                shared.levels[index] = None;
                continue;
            };
            let rate = model.rate * factor / 1e6;
            rates[index] = rate;
            let start = if lost && request.mode == Mode::First { model.room } else { 0.0 };
            let level = shared.levels[index].get_or_insert(Level { left: start, at: now });
            if void {
                *level = Level { left: 0.0, at: shared.since };
            }
            if now > level.at {
                *level = Level { left: level.left + (now - level.at) * rate, at: now };
            }
            level.left = (level.left + f64::from(part.returned)).min(model.room);
            if stray {
                level.left = level.left.min(0.0) - 1.0;
            }
            if resuming {
                level.left = level.left.min(0.0);
            } else if request.mode == Mode::Back {
                level.left -= request.share * rate * (now - shared.back);
            }
            if part.seen > 0 {
                let window = &mut shared.windows[index];
                if window.seen == 0 {
                    *window = Window { seen: 0, from: now, smallest: 1e9 };
                }
                window.seen += part.seen;
                let difference = model.held_back + level.left.max(0.0) - part.remaining;
                window.smallest = window.smallest.min(difference);
                if window.seen >= ENOUGH && now - window.from >= micros(WINDOW) {
                    let excess =
                        (window.smallest - model.tolerance).floor().min(model.held_back + model.room);
                    if excess > 0.0 {
                        level.left -= excess;
                        foreign += excess;
                    }
                    window.seen = 0;
                }
            }
        }
        if resuming {
            shared.back = now;
        }
        self.waiting.remove(&request.member);
        if request.others_wait && request.mode != Mode::Leaving {
            self.waiting.insert(request.member.clone(), now);
        }
        self.waiting.retain(|_, told| *told > now - micros(WAITS) && *told <= now);
        let mut slots: [Vec<i64>; 4] = Default::default();
        for (group, slots) in slots.iter_mut().enumerate() {
            let (last, own) = (group == 3, if group == 3 { 2 } else { 1 + group });
            let has = |bucket: usize| request.parts[bucket].model.is_some();
            for _ in 0..request.wanted[group] {
                if last && !self.waiting.is_empty() && shared.first < EVERY - 1 {
                    break;
                }
                let way = [0, own];
                let mut slot = now.max(shared.since);
                for index in way {
                    if let Some(level) = shared.levels[index].filter(|level| level.left < 1.0) {
                        slot = slot.max(level.at + (1.0 - level.left) / rates[index]);
                    }
                }
                if slot - now > HORIZON.as_micros() as f64 {
                    break;
                }
                for index in way {
                    if let Some(level) = &mut shared.levels[index] {
                        level.left -= 1.0;
                    }
                }
                slots.push((slot - now).ceil() as i64);
                if last {
                    shared.first = 0;
                } else if own == 2 || !has(own) && !has(2) {
                    shared.first = (shared.first + 1).min(EVERY - 1);
                }
            }
        }
        for (total, sent) in shared.sent.iter_mut().zip(request.sent) {
            *total += sent;
        }
        Reply {
            now: now as i64,
            epoch: shared.epoch as i64,
            members: self.members.len().max(1) as u32,
            factor: (factor * 1e6).floor() / 1e6,
            since: shared.since as i64,
            braked,
            foreign: foreign as u64,
            answers: shared.answers,
            sent: shared.sent,
            slots,
        }
    }
}

/// One step of a random history: time passes, and a process makes an exchange.
#[derive(Clone, Debug)]
struct Step {
    passes: i64,
    member: u8,
    mode: u8,
    wanted: [u32; 4],
    others_wait: bool,
    returned: u32,
    pull: Option<Option<u64>>,
    seen: u32,
    remaining: u32,
    chance: f64,
    anew: bool,
    flush: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop_oneof![
            4 => Just(0i64),
            4 => 1..2_000i64,
            4 => 1_000..400_000i64,
            4 => 1_000_000..9_000_000i64,
            1 => 9_000_000..4_000_000_000i64,
            1 => -4_000_000_000..0i64, // the clock is set back
        ],
        0..4u8,
        prop_oneof![8 => Just(0u8), 2 => Just(1u8), 1 => Just(2u8), 1 => Just(3u8)],
        ([0..8u32, 0..4u32, 0..4u32, 0..4u32], any::<bool>()),
        prop_oneof![4 => Just(0u32), 1 => 0..6u32],
        prop_oneof![20 => Just(None), 1 => Just(Some(None)), 1 => (100_000..3_600_000_000u64).prop_map(|p| Some(Some(p)))],
        (0..3u32, 0..60u32),
        0.0..1.0f64,
        [prop_oneof![15 => Just(false), 1 => Just(true)], prop_oneof![40 => Just(false), 1 => Just(true)]],
    );
    let step = step.prop_map(
        |(
            passes,
            member,
            mode,
            (wanted, others_wait),
            returned,
            pull,
            (seen, remaining),
            chance,
            [anew, flush],
        )| Step {
            passes,
            member,
            mode,
            wanted,
            others_wait,
            returned,
            pull,
            seen,
            remaining,
            chance,
            anew,
            flush,
        },
    );
    proptest::collection::vec(step, 1..60)
}

impl Step {
    fn request(&self, plan: &LimitPlan) -> Request {
        let mut request = Request::for_plan(plan);
        request.member = format!("m{}", self.member);
        request.mode = [Mode::Known, Mode::First, Mode::Back, Mode::Leaving][usize::from(self.mode)];
        request.share = 0.25;
        request.pull = self.pull.map(|asked| asked.map(Duration::from_micros));
        request.chance = self.chance;
        request.anew = self.anew;
        for part in &mut request.parts {
            (part.returned, part.seen) = (self.returned, self.seen);
            part.remaining = self.remaining.into();
        }
        request.wanted = self.wanted;
        request.others_wait = self.others_wait;
        request.answers = self.pull.map_or(0, |_| 1 + self.seen);
        request.sent = self.wanted.map(u64::from);
        request
    }
}

/// The most that any window of time handed out beyond `rate × length`: the burst that explains it.
fn burst_needed(slots: &mut [f64], rate: f64) -> f64 {
    slots.sort_by(f64::total_cmp);
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    for (count, time) in slots.iter().enumerate() {
        let surplus = count as f64 - rate * time;
        least = least.min(surplus);
        most = most.max(surplus - least + 1.0);
    }
    most
}

pub(super) fn redis() -> Option<redis::Connection> {
    let Ok(url) = std::env::var("TEST_REDIS_URL") else {
        eprintln!("skipped: TEST_REDIS_URL names no Redis");
        return None;
    };
    Some(redis::Client::open(url).unwrap().get_connection().unwrap())
}

pub(super) fn tenant(test: &str, chance: f64) -> String {
    format!("{test}-{}-{chance}", std::process::id())
}

const PLANS: [&str; 5] = ["free", "essentials", "enterprise", "private-100", "custom:700:2000"];

#[test]
fn the_script_does_what_the_rules_say() {
    let Some(store) = redis() else { return };
    let store = std::cell::RefCell::new(store);
    let mut config = ProptestConfig::with_cases(150);
    config.failure_persistence = None;
    proptest!(config, |(steps in steps(), plan in 0..PLANS.len())| {
        let tenant = tenant("rules", crate::brake::chance());
        let mut store = store.borrow_mut();
        let plan: LimitPlan = PLANS[plan].parse().unwrap();
        let (mut reference, mut now) = (Reference::default(), START);
        for step in &steps {
            now += step.passes;
            if step.flush {
                let _: () = redis::cmd("DEL").arg(&super::script::keys(&tenant)).query(&mut *store).unwrap();
                reference = Reference::default();
            }
            let request = step.request(&plan);
            let figures: Vec<i64> =
                request.invocation(&EXCHANGE_AT, &tenant, now).invoke(&mut *store).unwrap();
            let expected = reference.exchange(&request, now as f64);
            prop_assert_eq!(Reply::read(&figures).unwrap(), expected, "{:?}", step);
        }
        let _: () = redis::cmd("DEL").arg(&super::script::keys(&tenant)).query(&mut *store).unwrap();
    });
}

#[test]
fn no_window_hands_out_more_than_burst_and_rate_allow() {
    let Some(mut store) = redis() else { return };
    for (plan, burst, rate) in [
        ("free", 2.0, 2.0),
        ("enterprise", 50.0, 16.0),
        ("private-100", 50.0, 50.0),
        ("custom:700:2000", 700.0, 2000.0),
    ] {
        let tenant = tenant(plan, crate::brake::chance());
        let plan: LimitPlan = plan.parse().unwrap();
        let (mut slots, mut now) = (Vec::new(), START);
        for turn in 0..600u32 {
            let mut request = Request::for_plan(&plan);
            request.member = format!("m{}", turn % 3);
            request.mode = if turn == 0 { Mode::First } else { Mode::Known };
            request.wanted = [1 + turn % 7, turn % 3, 0, turn % 5];
            request.others_wait = turn % 11 < 5;
            let figures: Vec<i64> =
                request.invocation(&EXCHANGE_AT, &tenant, now).invoke(&mut store).unwrap();
            let reply = Reply::read(&figures).unwrap();
            slots.extend(reply.slots.iter().flatten().map(|slot| (now - START + slot) as f64 / 1e6));
            // A period of asking, then one without: what refills is not spent beyond the bucket's size.
            now += if turn % 100 == 99 { 20_000_000 } else { 7_000 };
        }
        assert!(slots.len() as f64 > burst, "{}: only {}", plan.name(), slots.len());
        let needed = burst_needed(&mut slots, rate);
        assert!(needed <= burst + 1e-3, "{}: took a burst of {needed}", plan.name());
    }
}
