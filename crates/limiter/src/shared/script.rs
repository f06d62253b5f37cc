//! The script's arguments and its answer.

use std::{sync::LazyLock, time::Duration};

use ferry_domain::limits::LimitPlan;
use redis::{Script, ScriptInvocation};

use super::rules;
use crate::{meter::Totals, model::Model, turns::WITH_BUCKETS};

/// By the server's clock: members' own clocks may differ.
pub(crate) static EXCHANGE: LazyLock<Script> =
    LazyLock::new(|| script("local time = redis.call('TIME') local now = time[1] * 1000000 + time[2]"));

/// The same by a clock that the test moves.
#[cfg(test)]
pub(crate) static EXCHANGE_AT: LazyLock<Script> = LazyLock::new(|| script("local now = tonumber(ARGV[1])"));

/// The script behind the lines that set `now` and the constants.
fn script(set_now: &str) -> Script {
    Script::new(&format!("{set_now}\n{}{}", rules::as_lua(), include_str!("exchange.lua")))
}

/// Slots are handed out at most this far ahead; a process that needs more asks again.
pub(crate) const HORIZON: Duration = Duration::from_secs(5);

/// Keys are kept after the last exchange for what is left of a pause, for this, and for the
/// time that a bucket needs to fill: by then all buckets are full and the rate is regained,
/// which is the initial state.
const KEPT_MS: f64 = 60_000.0;

/// The two keys of a tenant; the braces keep them in one slot of a cluster.
pub(crate) fn keys(tenant: &str) -> [String; 2] {
    // A tenant's name can't end the hash tag early.
    let tenant: String = tenant.chars().map(|c| if c == '{' || c == '}' { '_' } else { c }).collect();
    ["state", "members"].map(|part| format!("ferry:{{limit:{tenant}}}:{part}"))
}

/// What the process knows of the shared state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It has seen the state: if there is none, it was lost.
    Known = 0,
    /// Its first exchange.
    #[default]
    First = 1,
    /// It was without the store for a while and used its own share.
    Back = 2,
    /// It stops and gives its slots back.
    Leaving = 3,
}

/// One bucket's part: 0 is the bucket of all, then the groups' in the order of [`WITH_BUCKETS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// `None` where the plan has no such bucket.
    pub(crate) model: Option<Model>,
    /// Permits given back.
    pub(crate) returned: u32,
    /// Answers whose headers described this bucket since the last exchange.
    pub(crate) seen: u32,
    /// The highest remaining number in these headers.
    pub(crate) remaining: f64,
}

/// What a process reports and asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) member: String,
    pub(crate) mode: Mode,
    /// Share of the rate that it used while it was away.
    pub(crate) share: f64,
    /// A 429, with the wait that the server asked for.
    pub(crate) pull: Option<Option<Duration>>,
    /// From 0 up to 1; spreads the pause.
    pub(crate) chance: f64,
    /// This many 429s within 5 s trigger the brake; fewer are strays.
    pub(crate) many: u32,
    /// The plan changed: the brake begins anew.
    pub(crate) anew: bool,
    pub(crate) parts: [Part; 4],
    /// Callers that go first wait and get no slot yet with this request: reading back has to wait.
    pub(crate) others_wait: bool,
    /// 429s since the last exchange.
    pub(crate) answers: u32,
    /// In the order of `Group::ALL`.
    pub(crate) wanted: [u32; 4],
    /// Requests that callers sent since the last exchange, in the same order.
    pub(crate) sent: Totals,
}

/// The answer to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reply {
    /// The server's clock in microseconds.
    pub(crate) now: i64,
    /// Slots of another epoch are void.
    pub(crate) epoch: i64,
    pub(crate) members: u32,
    /// Share of the plan's rate.
    pub(crate) factor: f64,
    /// End of the last pause, by the server's clock.
    pub(crate) since: i64,
    /// Whether our 429 was the first of its incident.
    pub(crate) braked: bool,
    pub(crate) foreign: u64,
    /// 429s since the rate was last the plan's, to all.
    pub(crate) answers: u64,
    /// Requests of all so far, in the order of `Group::ALL`.
    pub(crate) sent: Totals,
    /// Per group, microseconds after `now`.
    pub(crate) slots: [Vec<i64>; 4],
}

impl Request {
    pub(crate) fn for_plan(plan: &LimitPlan) -> Request {
        let part = |figures: Option<_>| Part { model: figures.map(Model::of), ..Part::default() };
        let [writes, reads, rest] = WITH_BUCKETS.map(|group| part(plan.group(group)));
        let parts = [part(plan.global), writes, reads, rest];
        Request { parts, many: many(&parts), ..Request::default() }
    }

    /// The same without what must not be taken in twice.
    pub(crate) fn once_more(&self) -> Request {
        let parts = self.parts.map(|part| Part { returned: 0, seen: 0, ..part });
        Request { parts, answers: 0, sent: Totals::default(), ..self.clone() }
    }

    /// `now` is for tests; the script for production reads the server's clock.
    pub(crate) fn invocation<'a>(&self, script: &'a Script, tenant: &str, now: i64) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for key in keys(tenant) {
            call.key(key);
        }
        let pull = match self.pull {
            None => -1.0,
            Some(asked) => asked.map_or(0.0, |pause| pause.as_micros() as f64),
        };
        call.arg(now).arg(&self.member).arg(self.mode as u8).arg(exact(self.share));
        call.arg(exact(pull)).arg(exact(self.chance)).arg(HORIZON.as_micros() as u64).arg(self.many);
        call.arg(u8::from(self.anew)).arg(u8::from(self.others_wait)).arg(self.answers);
        let mut fills: f64 = 0.0;
        for part in &self.parts {
            let model = part.model.unwrap_or(Model {
                size: 0.0,
                rate: 0.0,
                held_back: 0.0,
                room: 0.0,
                tolerance: 0.0,
            });
            for figure in [model.rate, model.room, model.held_back, model.tolerance] {
                call.arg(exact(figure));
            }
            call.arg(part.returned).arg(part.seen).arg(exact(part.remaining));
            if model.rate > 0.0 {
                fills = fills.max(model.room / model.rate * 1_000.0);
            }
        }
        for wanted in self.wanted {
            call.arg(wanted);
        }
        for sent in self.sent {
            call.arg(sent);
        }
        call.arg((KEPT_MS + fills).ceil() as u64);
        call
    }
}

/// Three, or 3 % of what the narrowest bucket allows in 5 s.
pub(crate) fn many(parts: &[Part; 4]) -> u32 {
    let rates = parts.iter().filter_map(|part| part.model).map(|model| model.rate);
    let narrowest = rates.reduce(f64::min).unwrap_or(0.0);
    (narrowest * 5.0 * 0.03).max(3.0) as u32
}

/// Lua reads it back as the same number.
fn exact(number: f64) -> String {
    format!("{number:?}")
}

impl Reply {
    /// `None` for an answer that the script does not give.
    pub(crate) fn read(figures: &[i64]) -> Option<Reply> {
        let (head, mut rest) = figures.split_at_checked(16)?;
        let mut slots = [const { Vec::new() }; 4];
        for (group, slots) in slots.iter_mut().enumerate() {
            let (own, others) = rest.split_at_checked(usize::try_from(head[8 + group]).ok()?)?;
            *slots = own.to_vec();
            rest = others;
        }
        Some(Reply {
            now: head[0],
            epoch: head[1],
            members: u32::try_from(head[2]).ok()?,
            factor: head[3] as f64 / 1e6,
            since: head[4],
            braked: head[5] == 1,
            foreign: u64::try_from(head[6]).ok()?,
            answers: u64::try_from(head[7]).ok()?,
            sent: [12, 13, 14, 15].map(|index: usize| u64::try_from(head[index]).unwrap_or_default()),
            slots,
        })
    }
}
