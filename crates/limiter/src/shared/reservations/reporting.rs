//! What the reservations report: why callers wait, and the figures for metrics.

use std::time::Duration;

use ferry_domain::ports::{Alone, Group, GroupFigures, LimiterFigures, Waiting};
use tokio::time::Instant;

use super::{Link, Reservations};

impl Reservations {
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        // It lasts, too, when the store goes away meanwhile.
        let end = self.clock.map(|clock| clock.at(self.last.since));
        let left = end.and_then(|end| end.checked_duration_since(now)).filter(|left| !left.is_zero());
        left.max(self.brake.pause_left())
    }

    fn factor(&self) -> f64 {
        self.last.factor * self.brake.factor()
    }

    pub(crate) fn waiting(&mut self, now: Instant) -> Option<Waiting> {
        let pause = self.pause(now);
        let group = self.counts.busiest();
        let waiting = self.queues[group as usize].waiting();
        if waiting == 0 && pause.is_none() {
            return None;
        }
        let rate = self.plan.per_second_of(group).map(|rate| rate * self.factor());
        let queue = &self.queues[group as usize];
        let behind = (waiting + 1).saturating_sub(queue.slots.len()) as f64;
        let last = queue.slots.back().map_or(Duration::ZERO, |slot| slot.saturating_duration_since(now));
        let own = rate.map(|rate| rate / f64::from(self.last.members));
        let wait = last + own.map_or(Duration::ZERO, |own| Duration::from_secs_f64(behind / own));
        let wait = wait.max(pause.unwrap_or_default());
        match self.alone() {
            // What others use is not known.
            Some(Alone { share, .. }) => {
                let rate = self.plan.per_second_of(group);
                let per_second = rate.map(|rate| rate * share * self.brake.factor());
                Some(Waiting { group, wait, per_second, used: None })
            }
            None => {
                let used = self.meter.used(group, &self.plan, rate);
                Some(Waiting { group, wait, per_second: rate, used })
            }
        }
    }

    /// How the limit is kept without the store, once it is known to be away.
    fn alone(&self) -> Option<Alone> {
        let away = self.link == Link::Away;
        away.then(|| Alone { share: self.share(), refused: self.refused_by_store })
    }

    pub(crate) fn figures(&self) -> LimiterFigures {
        let group = |group: Group| GroupFigures {
            granted: self.counts.granted(group),
            allowed_per_second: self.plan.per_second_of(group).map(|rate| rate * self.factor()),
        };
        LimiterFigures {
            groups: Group::ALL.map(group),
            factor: self.factor(),
            shared_reachable: Some(self.link == Link::Shared),
            processes: self.last.members.into(),
            slowed_by: self.last.answers + self.brake.answers(),
            alone: self.alone(),
            ..self.counts.figures()
        }
    }
}
