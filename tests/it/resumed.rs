//! Workers hear of orders twice a second. A batch that is sent meanwhile is worked on all the same: it is not
//! handed back and sent again until they have heard.

use ferry_testbed::until;

use crate::world::World;

/// How often the batches of a run were leased.
const LEASED: &str = "SELECT sum(token)::bigint FROM ferry.jobs WHERE kind = 'provision'";
const OPEN: &str =
    "SELECT count(*) FROM ferry.jobs WHERE kind = 'provision' AND state IN ('queued', 'leased')";

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_leased_once_more_after_each_resume() {
    let Some(mut world) = World::new("resumed").await else { return };
    world.place.set("AUTH0_PLAN", "custom:1:1"); // so that no batch ends meanwhile
    let run = world.started(200, &["--batch-size", "50"]);
    let batches = world.number("SELECT count(*) FROM ferry.jobs WHERE kind = 'provision'").await;
    world.worker(&[]);
    world.worker(&[]);
    all_leased(&world, batches).await;
    for (stop, go_on) in
        [(vec!["run", "pause", &run], vec!["run", "resume", &run]), (vec!["stop-all"], vec!["resume-all"])]
    {
        world.place.must(&[&stop[..], &["--yes"]].concat());
        until("all are handed back", async || world.number(OPEN).await == 0).await;
        let before = world.number(LEASED).await;
        world.place.must(&[&go_on[..], &["--yes"]].concat());
        all_leased(&world, batches).await;
        let again = world.number(LEASED).await - before;
        assert_eq!(again, batches, "leases after {go_on:?}");
    }
    world.end().await;
}

async fn all_leased(world: &World, batches: i64) {
    let leased = "SELECT count(*) FROM ferry.jobs WHERE kind = 'provision' AND state = 'leased'";
    until("all batches are worked on", async || {
        let still = world.number(leased).await == batches;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        still && world.number(leased).await == batches
    })
    .await;
}
