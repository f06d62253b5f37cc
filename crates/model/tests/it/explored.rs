//! With every safeguard in place nothing breaks, and the end stays in reach.

use ferry_model::{Faults, Names, World, stuck};
use stateright::{Checker, Model};

/// Explores a world to its end, in two ways.
pub fn holds(name: &str, world: World) {
    let checker = world.clone().checker().spawn_dfs().join();
    println!("{name}: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    for property in world.properties() {
        let found = checker.discovery(property.name);
        if property.expectation.discovery_is_failure() {
            let way = found.map(|path| path.into_actions());
            assert!(way.is_none(), "{name}: \"{}\" is broken by {way:?}", property.name);
        }
    }
    assert!(checker.discovery(Names::ENDS).is_some(), "{name}: nothing ever ends");
    if world.faults.expiries > 0 {
        assert!(checker.discovery(Names::OVERTAKEN).is_some(), "{name}: no holder is ever overtaken");
    }
    let reach = stuck(&world);
    assert_eq!(reach.states, checker.unique_state_count());
    assert_eq!(reach.stuck, 0, "{name}: no way to the end after {:?}", reach.way);
}

const NONE: Faults = Faults { crashes: 0, expiries: 0, losses: 0, doubles: 0, answers: 0, hand_backs: 0 };

#[test]
fn one_batch_survives_dead_and_overtaken_holders_and_lost_answers() {
    let faults = Faults { crashes: 1, expiries: 1, answers: 1, ..NONE };
    holds("one batch of two, holders", World { faults, ..World::small() });
}

#[test]
fn one_batch_survives_an_unreliable_queue() {
    let faults = Faults { crashes: 1, losses: 1, doubles: 1, hand_backs: 1, ..NONE };
    holds("one batch of two, queue", World { faults, ..World::small() });
}

#[test]
fn one_user_survives_each_fault_once() {
    holds("one batch of one, all faults", World { users: 1, ..World::small() });
}

#[test]
fn two_batches_are_sealed_by_the_last_verifier() {
    let faults = Faults { expiries: 1, ..NONE };
    holds("two batches of one", World { batches: 2, users: 1, sweep: false, faults, ..World::small() });
}

#[test]
fn a_cancelled_item_was_never_sent_or_was_asked_for() {
    let faults = Faults { crashes: 1, expiries: 1, ..NONE };
    let world = World { cancel: true, late_requests: false, faults, ..World::small() };
    holds("cancel, one batch of two", world);
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn larger_worlds_hold_too() {
    let faults = Faults { crashes: 1, expiries: 1, ..NONE };
    holds("one batch of two, all faults", World::small());
    holds("three workers", World { workers: 3, faults, ..World::small() });
    holds("each fault twice", World { users: 1, faults: Faults::each(2), ..World::small() });
    holds(
        "two batches of two",
        World { batches: 2, faults: Faults { crashes: 1, ..NONE }, ..World::small() },
    );
}
