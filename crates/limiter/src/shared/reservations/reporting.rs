//! What the reservations report: why callers wait, and the figures for metrics.

use std::time::Duration;

use ferry_domain::ports::{Group, GroupFigures, LimiterFigures, Waiting};
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
        let (busiest, waiting) = (0..4)
            .map(|group| (group, self.queues[group].waiting()))
            .rev()
            .max_by_key(|(_, waiting)| *waiting)?;
        let group = Group::ALL[busiest];
        let rate = self.plan.per_second_of(group).map(|rate| rate * self.factor());
        if waiting == 0 && pause.is_none() {
            return None;
        }
        let queue = &self.queues[busiest];
        let behind = (waiting + 1).saturating_sub(queue.slots.len()) as f64;
        let last = queue.slots.back().map_or(Duration::ZERO, |slot| slot.saturating_duration_since(now));
        let own = rate.map(|rate| rate / f64::from(self.last.members));
        let wait = last + own.map_or(Duration::ZERO, |own| Duration::from_secs_f64(behind / own));
        Some(Waiting {
            group,
            wait: wait.max(pause.unwrap_or_default()),
            per_minute: rate.map(|rate| rate * 60.0),
        })
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
            ..self.counts.figures()
        }
    }
}
