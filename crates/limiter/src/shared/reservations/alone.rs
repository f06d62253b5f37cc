//! The time without the store: slots of the process's own share of the rate, and its own brake.
//!
//! A pause lasts through the change, in both directions: one that all processes keep goes on
//! here, and a wait that the server named here is told to the store on return.

use std::time::Duration;

use ferry_domain::ports::Group;
use tokio::time::Instant;

use super::{Link, POLL_EVERY, Reservations};
use crate::{shared::script::Request, turns::bucket_of};

/// A timer that is late by up to this loses nothing.
const CATCH_UP: Duration = Duration::from_millis(10);

impl Reservations {
    /// Brakes without the store: slots are void. The store is told on return of a wait that
    /// the server named.
    pub(super) fn brake_alone(&mut self, named: Option<Duration>, now: Instant) -> Option<Duration> {
        self.untold = self.untold.max(named.map(|wait| now + wait));
        let pause = self.brake.pull(named);
        self.queues.iter_mut().for_each(|queue| queue.slots.clear());
        self.wait_for_pause(now);
        pause
    }

    /// Slots of the own share come after the pause.
    fn wait_for_pause(&mut self, now: Instant) {
        if let Some(pause) = self.pause(now) {
            self.next = self.next.map(|next| next.max(now + pause));
        }
    }

    /// Slots of the process's own share, a few milliseconds ahead.
    pub(super) fn own_slots(&mut self, now: Instant) {
        let share = self.share() * self.brake.factor();
        let soonest = now.checked_sub(CATCH_UP).unwrap_or(now);
        for group in Group::ALL {
            let way = [0, 1 + bucket_of(group)].map(|index| (index, self.parts[index].model));
            let queue = &mut self.queues[group as usize];
            let mut wanted = queue.waiting().saturating_sub(queue.slots.len());
            while wanted > 0 && self.limited(group) {
                let known = way.iter().filter(|(_, model)| model.is_some());
                let slot = known.map(|(index, _)| self.next[*index]).fold(soonest, Instant::max);
                if slot > now + POLL_EVERY {
                    break;
                }
                for (index, model) in way {
                    if let Some(model) = model {
                        self.next[index] = slot + Duration::from_secs_f64(1.0 / (model.rate * share));
                    }
                }
                self.queues[group as usize].slots.push_back(slot);
                wanted -= 1;
            }
        }
    }

    /// This process's part of the plan while the store is away.
    pub(super) fn share(&self) -> f64 {
        match self.clock {
            Some(_) => self.last.factor / f64::from(self.last.members),
            None => self.floor_share,
        }
    }

    /// The store did not answer, or refused to; true when it was not known to be away yet.
    pub(crate) fn failed(&mut self, request: &Request, refused: bool, now: Instant) -> bool {
        self.refused_by_store = refused;
        if let Some(named) = request.pull
            // A wait that was heeded alone before is not a new one.
            && (named.is_none() || self.end_of_wait(request) > self.untold)
        {
            self.brake_alone(named, now);
        }
        let was_known = self.link != Link::Away;
        if was_known {
            // Reserved slots are still ours; slots of the own share follow them.
            let last = self.queues.iter().filter_map(|queue| queue.slots.back()).max();
            let last = last.map_or(now, |last| now.max(*last));
            let share = self.share();
            self.next = self.parts.map(|part| {
                let each = part.model.map_or(0.0, |model| 1.0 / (model.rate * share));
                last + Duration::from_secs_f64(each)
            });
            self.link = Link::Away;
        }
        self.wait_for_pause(now);
        was_known
    }

    /// End of the wait that the present request tells the store.
    pub(super) fn end_of_wait(&self, request: &Request) -> Option<Instant> {
        Some(self.tried? + request.pull.flatten()?)
    }
}
