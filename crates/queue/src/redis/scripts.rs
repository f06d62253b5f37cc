//! The scripts, and the only place that knows how apalis-redis lays out a queue.
//!
//! A queue's keys are its name and a suffix: `active` (list of ids that wait),
//! `scheduled` (ids with a time; we send nothing early, so it stays empty),
//! `inflight:<worker>` (sets), `data` (payloads by id), `meta:<id>`, `workers`
//! (names by last heartbeat), `done`, `dead`. Names carry a hash tag, so a
//! script's keys share a slot of a cluster (fault 14).
//!
//! **Pushing by a script of our own.** What a queue holds must be counted and
//! added to in one step: several feeders with a window each put 8,000 jobs into
//! Redis and stopped it for ever (measured). Rejected: a counting script before
//! apalis's sink. It leaves a gap for a second relay, its sink is broken after
//! one failed push (fault 18), and it puts every job into `scheduled`, from
//! where one `unpack` moves all of them (fault 1). The script writes what
//! apalis's own does for a task without a time: directly into `active`. The
//! price is that a new apalis may change the layout; the suite would fail then.

use std::sync::LazyLock;

use ::redis::Script;

/// A script behind the helpers they share.
macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("lua/held.lua"), include_str!($file))))
    };
}

pub(super) static PUSH: LazyLock<Script> = script!("lua/push.lua");
pub(super) static DEPTH: LazyLock<Script> = script!("lua/depth.lua");
pub(super) static MISSING: LazyLock<Script> = script!("lua/missing.lua");
pub(super) static AGAIN: LazyLock<Script> = script!("lua/again.lua");
pub(super) static FINISHED: LazyLock<Script> = script!("lua/finished.lua");
pub(super) static HALVES: LazyLock<Script> = script!("lua/halves.lua");
pub(super) static STRAYS: LazyLock<Script> = script!("lua/strays.lua");
pub(super) static BEAT: LazyLock<Script> = script!("lua/beat.lua");
pub(super) static PROBE: LazyLock<Script> = script!("lua/probe.lua");
pub(super) static RETIRE: LazyLock<Script> = script!("lua/retire.lua");

/// Sends in one push script: about 200 KB, a few milliseconds of Redis's time.
pub(super) const PUSH_CHUNK: usize = 500;

/// Sends one script looks for; the queue's ids are read once for all of them.
pub(super) const MISSING_CHUNK: usize = 2_000;

/// Ids one janitor script looks at: about a millisecond, so that other clients don't wait for it.
pub(super) const SWEEP_CHUNK: usize = 500;

/// Scripts one sweep runs for each queue and task at most: 50,000 ids.
pub(super) const SWEEP_ROUNDS: usize = 100;

/// How long a worker's description outlives the last sweep that saw it, in seconds.
pub(super) const DESCRIPTION_LASTS: usize = 3_600;
