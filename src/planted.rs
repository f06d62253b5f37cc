//! Accounts that users of the example application have at Auth0 before anybody is moved.

use ferry_seed::{ExistingUser, Population};
use ferry_simulator::{PlantedUser, Simulator};

/// Makes them; returns how many.
pub fn plant(simulator: &Simulator, example: &Population) -> usize {
    let plant = |user: ExistingUser| {
        simulator.plant(PlantedUser {
            email_verified: user.email_verified,
            name: Some(user.name),
            ..PlantedUser::new(&user.email)
        })
    };
    let ids: Vec<String> = example.existing().map(plant).collect();
    ids.len()
}
