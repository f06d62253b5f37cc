//! What must hold in every state.

use stateright::Property;

use crate::{
    World,
    state::{BatchStand, ItemStand, JobStand, Phase, RunState, State, provision, verify},
};

/// Names of the properties, as tests and their output use them.
pub struct Names;

#[allow(missing_docs, reason = "each says itself")]
impl Names {
    pub const ONE_USER: &'static str = "no user is created twice";
    pub const FENCED: &'static str = "nothing is stored by a process that lost its lease";
    pub const SUMS: &'static str = "every item is counted once";
    pub const ONE_SEAL: &'static str = "a run is sealed once";
    pub const END_IS_END: &'static str = "an item ends once";
    pub const ONE_VERIFICATION: &'static str = "a batch is verified once";
    pub const EVENT: &'static str = "a provisioned batch has its verify job";
    pub const CREATED_EXISTS: &'static str = "a created item has its user";
    pub const CANCELLED_ABSENT: &'static str = "a cancelled item has no user";
    pub const LAST_SEALS: &'static str = "whoever verifies the last batch begins to seal";
    pub const SEALED_IS_WHOLE: &'static str = "a run that ended has nothing pending";
    /// Shows that the world moves at all.
    pub const ENDS: &'static str = "a run ends";
    /// Shows that the fault we fear really happens.
    pub const OVERTAKEN: &'static str = "a holder lives on after its lease went to another";
}

pub(crate) fn all() -> Vec<Property<World>> {
    vec![
        Property::always(Names::ONE_USER, |_, state: &State| state.users.iter().all(|users| *users <= 1)),
        Property::always(Names::FENCED, |_, state: &State| !state.stale_write),
        Property::always(Names::SUMS, sums),
        Property::always(Names::ONE_SEAL, |_, state: &State| state.seals <= 1),
        Property::always(Names::END_IS_END, |_, state: &State| {
            state.items.iter().all(|item| item.endings <= 1)
        }),
        Property::always(Names::ONE_VERIFICATION, |_, state: &State| {
            state.batches.iter().all(|batch| batch.verifications <= 1)
        }),
        Property::always(Names::EVENT, event),
        Property::always(Names::CREATED_EXISTS, |_, state: &State| {
            pairs(state).all(|(stand, users)| stand != ItemStand::Created || users > 0)
        }),
        Property::always(Names::CANCELLED_ABSENT, |_, state: &State| {
            pairs(state).all(|(stand, users)| stand != ItemStand::Cancelled || users == 0)
        }),
        Property::always(Names::LAST_SEALS, |_, state: &State| {
            !state.all_verified() || !matches!(state.run, RunState::Running | RunState::Cancelling)
        }),
        Property::always(Names::SEALED_IS_WHOLE, |world: &World, state: &State| {
            !ended(state) || (0..world.batches).all(|batch| state.batches[batch].pending == 0)
        }),
        Property::sometimes(Names::ENDS, |_, state: &State| done(state)),
        Property::sometimes(Names::OVERTAKEN, |world: &World, state: &State| {
            (0..world.workers).any(|w| overtaken(state, w))
        }),
    ]
}

fn pairs(state: &State) -> impl Iterator<Item = (ItemStand, u8)> + '_ {
    state.items.iter().map(|item| item.stand).zip(state.users)
}

fn sums(world: &World, state: &State) -> bool {
    (0..world.batches).all(|batch| {
        let row = &state.batches[batch];
        let count = |stand| {
            (0..world.users).filter(|slot| state.items[State::item(batch, *slot)].stand == stand).count()
        };
        usize::from(row.pending) == count(ItemStand::Pending)
            && usize::from(row.created) == count(ItemStand::Created)
            && usize::from(row.cancelled) == count(ItemStand::Cancelled)
    })
}

/// The event exists, or the process that owes it is still there.
fn event(world: &World, state: &State) -> bool {
    (0..world.batches).all(|batch| {
        let owed =
            |worker: &crate::state::Worker| worker.phase == Phase::EventDue && worker.job == provision(batch);
        state.batches[batch].stand != BatchStand::Provisioned
            || state.job(verify(batch)).stand != JobStand::Absent
            || state.workers.iter().any(owed)
    })
}

fn overtaken(state: &State, worker: usize) -> bool {
    let it = &state.workers[worker];
    it.phase == Phase::Crossing && it.token == 0 && matches!(state.job(it.job).stand, JobStand::Leased(_))
}

fn ended(state: &State) -> bool {
    matches!(state.run, RunState::Sealed | RunState::Cancelled)
}

/// The end that every state must be able to reach: the run ended and no job left.
pub fn done(state: &State) -> bool {
    ended(state) && state.jobs.iter().all(|job| matches!(job.stand, JobStand::Absent | JobStand::Done))
}
