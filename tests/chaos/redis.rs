//! Faults 16 to 23: the transport forgets, refuses, or can't be reached.

use crate::{
    results::Told,
    scene::{Setup, play},
    watch::{queued, recovery},
};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn s18_an_emptied_redis_is_filled_again_by_one_command() {
    play(Setup::new(18, "FLUSHALL, queue rebuild").own_redis(&[]), async |scene| {
        scene.start(&[]);
        scene.workers(2);
        scene.until_done(20).await;
        let lost = queued(&scene.pool).await;
        let at = Instant::now();
        let mut redis = scene.redis().await;
        let _: () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        let rebuilt = scene.json(&["queue", "rebuild", "--yes", "--reason", "chaos", "--output", "json"]);
        let after = recovery(&scene.pool, &lost, at, crate::scene::PATIENCE).await;
        scene.until_sealed().await;
        Told::recovered(after, format!("{} queued jobs lost, {} sent again", lost.len(), rebuilt["lost"]))
    })
    .await;
}
