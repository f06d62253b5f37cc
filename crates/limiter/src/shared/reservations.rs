//! Slot reservations of one process: waiting callers (FIFO) and reserved send times.
//!
//! A slot whose time has come is given to the first caller, who may then send one request.
//! A slot that no caller takes for a second goes back to the store. While the store is away,
//! slots come from the process's own share of the rate instead, and everything else stays
//! the same. State only, no input or output: `mod.rs` talks to the store.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ferry_domain::{
    limits::LimitPlan,
    ports::{Group, Observed},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    brake::{self, Brake, chance},
    counts::Counts,
    meter::{Meter, Totals},
    shared::{
        clock::StoreClock,
        script::{Mode, Part, Reply, Request, many},
    },
    time::Time,
    turns::{Turns, bucket_of},
};

mod alone;
mod reporting;

/// Slots are asked for in chunks of this many seconds of the process's share of the rate.
const CHUNK: f64 = 0.1;
/// A slot that no caller takes goes back after this.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Poll interval while callers wait or slots are reserved: a 429 elsewhere is known within it.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// Heartbeat interval: the store counts a process that is heard of this often as alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Poll interval of callers that read back while others go first.
const HELD_BACK: Duration = Duration::from_millis(50);
/// Pause before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_millis(250);

/// One group's callers and slots.
#[derive(Default)]
struct GroupQueue {
    callers: VecDeque<oneshot::Sender<()>>,
    /// In order of time.
    slots: VecDeque<Instant>,
}

impl GroupQueue {
    /// The number of callers that still wait; those that gave up are removed.
    fn waiting(&mut self) -> usize {
        self.callers.retain(|caller| !caller.is_closed());
        self.callers.len()
    }
}

/// State of the connection to the store.
#[derive(Debug, PartialEq)]
enum Link {
    /// No answer yet.
    Unknown,
    Shared,
    Away,
}

/// Callers that wait, slots that are reserved for them, and what the store is told next.
pub(crate) struct Reservations {
    member: String,
    floor_share: f64,
    plan: LimitPlan,
    /// In the order of [`Group::ALL`].
    queues: [GroupQueue; 4],
    turns: Turns,
    parts: [Part; 4],
    pull: Option<Option<Duration>>,
    /// 429s since the last exchange.
    answers: u32,
    /// Requests that were told to the store.
    told: Totals,
    meter: Meter,
    /// When the process began, for the meter.
    start: Instant,
    /// The plan changed since the last exchange.
    anew: bool,
    /// End of the wait that the server named while the store was away: the store is told on return.
    untold: Option<Instant>,
    link: Link,
    /// The store answered the last exchange, with a refusal.
    refused_by_store: bool,
    clock: Option<StoreClock>,
    last: Reply,
    tried: Option<Instant>,
    /// The store gave no slots at the last exchange: they would be too far ahead.
    refused: bool,
    /// The store gave none to read back with: others wait.
    held_back: bool,
    /// The store was told that callers that go first wait.
    told_waits: bool,
    /// How long the store takes to answer.
    round_trip: Duration,
    /// For the time without the store: the brake, and the next free slot of each bucket.
    brake: Brake,
    next: [Instant; 4],
    pub(crate) counts: Arc<Counts>,
}

impl Reservations {
    pub(crate) fn new(
        member: String,
        plan: &LimitPlan,
        floor_share: f64,
        counts: Arc<Counts>,
        now: Instant,
    ) -> Reservations {
        Reservations {
            member,
            floor_share,
            plan: plan.clone(),
            queues: Default::default(),
            turns: Turns::default(),
            parts: Request::for_plan(plan).parts,
            pull: None,
            answers: 0,
            told: Totals::default(),
            meter: Meter::default(),
            start: now,
            refused_by_store: false,
            anew: false,
            untold: None,
            link: Link::Unknown,
            clock: None,
            last: Reply { factor: 1.0, members: 1, ..Reply::default() },
            tried: None,
            refused: false,
            held_back: false,
            told_waits: false,
            round_trip: Duration::ZERO,
            brake: Brake::new(Time::start()),
            next: [now; 4],
            counts,
        }
    }

    // --- callers ------------------------------------------------------------

    /// One more caller; `None` when the group has no limit and nothing pauses.
    pub(crate) fn enqueue(&mut self, group: Group, now: Instant) -> Option<oneshot::Receiver<()>> {
        if self.plan.way(group).next().is_none() && self.pause(now).is_none() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.queues[group as usize].callers.push_back(sender);
        Some(receiver)
    }

    pub(crate) fn observe(&mut self, group: Group, observed: Observed) {
        let size = |index: usize| self.parts[index].model.map(|model| model.size);
        let way = [0, 1 + bucket_of(group)].into_iter().filter(|index| size(*index).is_some());
        // The headers describe one bucket and don't say which (FACTS §12.4): the one of
        // that size, else the narrowest.
        let of_that_size = way.clone().find(|index| size(*index) == Some(f64::from(observed.limit)));
        let Some(index) = of_that_size.or_else(|| way.clone().next_back()) else { return };
        // A smaller bucket than planned: what was used is still comparable.
        let smaller = (size(index).unwrap_or(0.0) - f64::from(observed.limit)).max(0.0);
        let remaining = f64::from(observed.remaining) + smaller;
        let part = &mut self.parts[index];
        part.remaining = if part.seen == 0 { remaining } else { part.remaining.max(remaining) };
        part.seen += 1;
    }

    /// Takes in a 429. Returns the pause where this process has to brake alone.
    pub(crate) fn throttled(&mut self, retry_after: Option<Duration>, now: Instant) -> Option<Duration> {
        let named = brake::named(retry_after);
        if self.link == Link::Shared {
            let longer = self.pull.flatten().max(named);
            self.pull = Some(longer);
            self.answers += 1;
            return None;
        }
        self.brake_alone(named, now)
    }

    /// Keeps to another plan from the next exchange on, with what is left in the buckets.
    pub(crate) fn set_plan(&mut self, plan: &LimitPlan) {
        if self.plan == *plan {
            return;
        }
        // A process that has not heard of the others yet has nothing to forget for them.
        self.anew = self.link == Link::Shared;
        self.brake.start_anew();
        let fresh = Request::for_plan(plan).parts;
        for (part, fresh) in self.parts.iter_mut().zip(fresh) {
            part.model = fresh.model;
        }
        self.plan = plan.clone();
    }

    // --- slots and callers --------------------------------------------------

    /// Serves the callers that can be served, and returns when to look again.
    pub(crate) fn serve(&mut self, now: Instant) -> Instant {
        if self.link == Link::Away {
            self.own_slots(now);
        }
        let mut wake = now + POLL_EVERY;
        for group in Group::ALL {
            self.expire(group, now);
            self.hand_out(group, now);
            let queue = &mut self.queues[group as usize];
            if let Some(slot) = queue.slots.front().filter(|slot| **slot > now) {
                wake = wake.min(*slot);
            }
            // Without a limit only the pause is waited out.
            if !queue.callers.is_empty() && !self.limited(group) {
                match self.pause(now) {
                    Some(pause) => wake = wake.min(now + pause),
                    None => self.queues[group as usize].callers.drain(..).for_each(|caller| {
                        let _ = caller.send(());
                    }),
                }
            }
        }
        wake
    }

    /// Gives a group's slots whose time has come to callers.
    fn hand_out(&mut self, group: Group, now: Instant) {
        while self.queues[group as usize].slots.front().is_some_and(|slot| *slot <= now) {
            let Some(taker) = self.next_taker(group) else { break };
            let Some(caller) = self.queues[taker as usize].callers.pop_front() else { break };
            if caller.send(()).is_ok() {
                self.turns.note(taker);
                self.queues[group as usize].slots.pop_front();
            }
        }
    }

    /// The group whose caller takes a slot of this one: a slot is as good for all groups that
    /// take from the same buckets, and whoever reads back is the last to get one.
    fn next_taker(&self, of: Group) -> Option<Group> {
        let waits = |group: &Group| !self.queues[*group as usize].callers.is_empty();
        let shares = |group: &Group| self.plan.share_buckets(of, *group);
        let read_back = Some(Group::ReadBack).filter(|group| shares(group) && waits(group));
        if read_back.is_some() && self.turns.read_back_is_due() {
            return read_back;
        }
        let first = [of].into_iter().chain(Group::ALL).filter(|group| *group != Group::ReadBack);
        first.filter(shares).find(waits).or(read_back)
    }

    fn limited(&self, group: Group) -> bool {
        self.parts[0].model.is_some() || self.parts[1 + bucket_of(group)].model.is_some()
    }

    /// Gives back the slots that no caller took.
    fn expire(&mut self, group: Group, now: Instant) {
        let queue = &mut self.queues[group as usize];
        let before = queue.slots.len();
        while queue.slots.front().is_some_and(|slot| *slot + KEPT_FOR < now) {
            queue.slots.pop_front();
        }
        let expired = (before - queue.slots.len()) as u32;
        if expired > 0 && self.link == Link::Shared {
            self.give_back(group, expired);
        }
    }

    fn give_back(&mut self, group: Group, permits: u32) {
        self.parts[0].returned += permits;
        self.parts[1 + bucket_of(group)].returned += permits;
    }

    // --- the store ----------------------------------------------------------

    /// The next request to the store, if it is time for one.
    pub(crate) fn request(&mut self, now: Instant) -> Option<Request> {
        let wanted = Group::ALL.map(|group| self.wanted(group));
        let [writes, reads, rest, read_back] = wanted.map(|wanted| wanted > 0);
        let others_wait = self.others_wait(wanted);
        let since = self.tried.map_or(Duration::MAX, |tried| now.saturating_duration_since(tried));
        let due = match self.link {
            Link::Unknown => true,
            Link::Away => since >= STORE_RETRY,
            Link::Shared => {
                let busy =
                    self.queues.iter().any(|queue| !queue.callers.is_empty() || !queue.slots.is_empty());
                let pending = busy || self.parts.iter().any(|part| part.returned > 0 || part.seen > 0);
                let asks = (writes || reads || rest) && (!self.refused || since >= POLL_EVERY);
                let asks_back = read_back && (!self.held_back || since >= HELD_BACK);
                // Others should know now that they may read back.
                let done = self.told_waits && !others_wait;
                asks || asks_back
                    || done
                    || self.pull.is_some()
                    || since >= HEARTBEAT
                    || (pending && since >= POLL_EVERY)
            }
        };
        due.then(|| self.build_request(wanted, others_wait, now))
    }

    /// Whether callers that go before those that read back wait, and have no slot yet and get
    /// none with this request.
    fn others_wait(&mut self, wanted: [u32; 4]) -> bool {
        let (mut waiting, mut slots) = (0, 0);
        for group in Group::ALL.into_iter().filter(|group| *group != Group::ReadBack) {
            if self.plan.share_buckets(group, Group::ReadBack) {
                let queue = &mut self.queues[group as usize];
                waiting += queue.waiting();
                slots += queue.slots.len() + wanted[group as usize] as usize;
            }
        }
        waiting > slots
    }

    /// The number of slots to ask for in a group: at most what its callers need, and no
    /// more reserved than a chunk and what is used while the store answers.
    fn wanted(&mut self, group: Group) -> u32 {
        let waiting = self.queues[group as usize].waiting();
        let reserved = self.queues[group as usize].slots.len();
        let Some(rate) = self.rate(group) else { return 0 };
        let own = rate * self.last.factor / f64::from(self.last.members);
        let ahead = own * self.round_trip.as_secs_f64() * 2.0;
        let target = ((own * CHUNK).max(1.0) + ahead) as usize;
        if reserved > target / 2 {
            return 0;
        }
        waiting.min(target).saturating_sub(reserved) as u32
    }

    /// The plan's rate for a group, in requests per second.
    fn rate(&self, group: Group) -> Option<f64> {
        let way = [0, 1 + bucket_of(group)].into_iter().filter_map(|index| self.parts[index].model);
        way.map(|model| model.rate).reduce(f64::min)
    }

    fn build_request(&mut self, wanted: [u32; 4], others_wait: bool, now: Instant) -> Request {
        let mode = match self.link {
            Link::Shared => Mode::Known,
            Link::Away if self.clock.is_some() => Mode::Back,
            Link::Unknown | Link::Away => Mode::First,
        };
        // After an outage the first answer only brings the present state.
        let wanted = if self.link == Link::Away { [0; 4] } else { wanted };
        self.tried = Some(now);
        self.told_waits = others_wait;
        let untold = self.untold.and_then(|end| end.checked_duration_since(now));
        let pull = match untold.filter(|left| !left.is_zero()) {
            Some(left) => Some(self.pull.take().flatten().max(Some(left))),
            None => self.pull.take(),
        };
        let request = Request {
            member: self.member.clone(),
            mode,
            share: self.share(),
            pull,
            chance: chance(),
            many: many(&self.parts),
            anew: std::mem::take(&mut self.anew),
            parts: self.parts,
            others_wait,
            answers: std::mem::take(&mut self.answers),
            wanted,
            sent: self.untold_requests(),
        };
        for part in &mut self.parts {
            (part.returned, part.seen) = (0, 0);
        }
        request
    }

    /// Requests since the last exchange. What was sent without the store was sent by nobody's leave.
    fn untold_requests(&mut self) -> Totals {
        let totals = self.counts.totals();
        let before = std::mem::replace(&mut self.told, totals);
        match self.link {
            Link::Shared => [0, 1, 2, 3].map(|group: usize| totals[group] - before[group]),
            _ => Totals::default(),
        }
    }

    /// The last request of a process that stops: gives back all reserved slots.
    pub(crate) fn leave(&mut self, now: Instant) -> Option<Request> {
        if self.link != Link::Shared {
            return None;
        }
        for group in Group::ALL {
            let slots = std::mem::take(&mut self.queues[group as usize].slots);
            self.give_back(group, slots.len() as u32);
        }
        Some(Request { mode: Mode::Leaving, ..self.build_request([0; 4], false, now) })
    }

    /// The store answered what was asked at `asked`; true when it had been away.
    pub(crate) fn answered(&mut self, request: &Request, reply: Reply, asked: Instant, now: Instant) -> bool {
        let back = self.link == Link::Away;
        let took = now.saturating_duration_since(asked);
        self.round_trip = took.max((self.round_trip * 9 + took) / 10);
        let mut clock = self.clock.unwrap_or_else(|| StoreClock::first(now, reply.now));
        clock.note(now, reply.now);
        self.clock = Some(clock);
        // Slots from before a 429 or of a lost state are void, and so are those of our own share.
        if reply.epoch != self.last.epoch || self.link != Link::Shared {
            self.queues.iter_mut().for_each(|queue| queue.slots.clear());
        }
        self.link = Link::Shared;
        // A wait that was named while the store answered is told next.
        let untold = self.untold.take().filter(|end| Some(*end) > self.end_of_wait(request));
        let left = brake::named(untold.map(|end| end.saturating_duration_since(now)));
        if left.is_some() {
            self.pull = Some(self.pull.flatten().max(left));
        }
        (self.refused, self.held_back, self.refused_by_store) = (false, false, false);
        self.meter.note(now.saturating_duration_since(self.start), reply.sent);
        for (group, offsets) in Group::ALL.into_iter().zip(&reply.slots) {
            let slots = &mut self.queues[group as usize].slots;
            slots.extend(offsets.iter().map(|offset| clock.at(reply.now + offset)));
            slots.make_contiguous().sort_unstable();
            let refused = offsets.is_empty() && request.wanted[group as usize] > 0;
            match group {
                Group::ReadBack => self.held_back = refused,
                _ => self.refused |= refused,
            }
        }
        if reply.foreign > 0 {
            self.counts.foreign(reply.foreign);
            tracing::debug!(requests = reply.foreign, "others use the tenant's limit too");
        }
        self.last = Reply { slots: Default::default(), ..reply };
        back
    }
}
