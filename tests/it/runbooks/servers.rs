//! PostgreSQL or Redis is away.

use ferry_testbed::{OwnRedis, Proxy};

use super::{Page, all, queue_says};
use crate::world::World;

pub const ALERTS: &[&str] = &["FerryLedgerDown", "FerryQueueDown"];

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_does_not_answer() {
    let Some(mut world) = World::new("runbooks: ledger away").await else { return };
    world.place.set("AUTH0_PLAN", "custom:20:20"); // so that it is not over before the cut
    let run = world.started(200, &["--batch-size", "20"]);
    let mut url = url::Url::parse(&world.database.url).unwrap();
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5_432));
    let server = tokio::net::lookup_host(address).await.unwrap().next().unwrap();
    let proxy = Proxy::before(server).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.port)).unwrap();
    world.place.set("DATABASE_URL", url.as_str());
    world.worker(&[]);
    world.until(&run, "moving", |shown| shown["created"].as_i64() > Some(0)).await;
    proxy.cut(true);
    all(&["FerryLedgerDown"], &world.place, &run, &[("ferry check", 10, &["error ledger"])]);
    proxy.cut(false);
    assert_ne!(world.show(&run)["state"], "sealed", "there is something to go on with");
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_away_and_comes_back_empty() {
    let Some(mut world) = World::new("runbooks: queue away").await else { return };
    let Some(mut redis) = OwnRedis::private(&[]) else { return };
    world.place.set("REDIS_URL", redis.url());
    world.place.set("AUTH0_PLAN", "custom:20:20"); // so that it is not over before the kill
    let run = world.started(300, &["--batch-size", "20"]);
    world.worker(&[]);
    world.until(&run, "moving", |shown| shown["created"].as_i64() > Some(0)).await;
    redis.kill();
    queue_says(&world, "Redis").await;
    let expected: &[_] = &[("ferry check", 10, &["error redis"][..]), ("ferry queue list", 0, &["Redis"])];
    let page = Page { alert: "FerryQueueDown", place: &world.place, run: &run, expected };
    page.look();
    redis.up();
    assert_ne!(world.show(&run)["state"], "sealed", "there is something to go on with");
    page.mend();
    world.until_sealed(&run).await;
    world.assert_settled(&run).await;
    world.end().await;
}
