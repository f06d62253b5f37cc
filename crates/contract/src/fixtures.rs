//! Time and chance that tests hold, a user at Auth0, and a run.
//!
//! `ferry-domain`'s own unit tests take this file too (`crates/domain/src/lib.rs`). They
//! can't import a package that is built on theirs: its `Clock` would be another trait.

use std::sync::Mutex;

use ferry_domain::{
    Auth0UserId, OnExisting, RunId, RunSpec, RunState, RunView, SourceIdentity, Tally,
    ports::{Clock, DirectoryUser, Random, RunNow},
    threshold::StopAfter,
};
use serde_json::Map;
use time::{Duration, OffsetDateTime};

/// A clock that does not run; tests move it.
#[derive(Debug)]
pub struct ManualClock(Mutex<OffsetDateTime>);

impl ManualClock {
    /// Starts at a given second since 1970.
    pub fn at(unix: i64) -> Self {
        ManualClock(Mutex::new(OffsetDateTime::UNIX_EPOCH + Duration::seconds(unix)))
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Chance that repeats itself: SplitMix64, which passes the usual tests and
/// needs no package. Not for secrets outside tests.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// The same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        SeededRandom(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A user with an id in connection `db` and nothing else.
pub fn directory_user(id: &str) -> DirectoryUser {
    DirectoryUser {
        id: Auth0UserId(id.into()),
        email: None,
        email_verified: false,
        connection: "db".into(),
        name: None,
        given_name: None,
        family_name: None,
        nickname: None,
        picture: None,
        blocked: false,
        user_metadata: Map::new(),
        app_metadata: Map::new(),
    }
}

/// A running run of migration `m` over a file, into connection `db` of tenant `t`.
pub fn run_now() -> RunNow {
    RunNow {
        migration: "m".into(),
        source: SourceIdentity { kind: "csv".into(), location: "/users.csv".into() },
        spec: RunSpec {
            tenant: "t".into(),
            connection: "db".into(),
            on_existing: OnExisting::Adopt,
            batch_size: 100,
            max_attempts: 5,
            limits: "off".into(),
            write_back: None,
            source_digest: String::new(),
            stop_after: StopAfter::default(),
        },
        state: RunState::Running,
    }
}

/// The same run as it is seen, by its number, in this state.
pub fn run_view(number: u128, state: RunState) -> RunView {
    let RunNow { migration, source, spec, .. } = run_now();
    RunView {
        id: RunId(uuid::Uuid::from_u128(number)),
        migration,
        source,
        spec,
        state,
        tally: Tally::default(),
        verified: 0,
        discrepancies: 0,
        requests: 0,
        open_batches: 0,
        revision: 0,
        round: 1,
        rate: None,
        why: None,
        abandoned: false,
        created_at: OffsetDateTime::UNIX_EPOCH,
        moved_at: OffsetDateTime::UNIX_EPOCH,
        started_at: None,
        provisioned_at: None,
        sealed_at: None,
    }
}
