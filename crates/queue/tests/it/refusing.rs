//! Servers that answer questions and let no job move: each says why, before a worker tries.

use std::{sync::Arc, time::Duration};

use ferry_contract::queue::{Crew, Probe, QueueWorld, drained, envelopes, names};
use ferry_domain::{JobKind, ports::Queue};
use ferry_queue::{RedisOptions, RedisQueue};
use ferry_testbed::{OwnRedis, comes_true, redis_at};

use crate::support::RedisWorld;

async fn queue_at(url: &str) -> RedisQueue {
    RedisQueue::connect(url, RedisOptions::default()).await.unwrap()
}

async fn lacks(queue: &RedisQueue) -> String {
    match queue.probe().await {
        Ok(()) => panic!("the probe found nothing"),
        Err(error) => error.to_string(),
    }
}

async fn order(server: &OwnRedis, words: &[&str]) {
    let mut connection = redis_at(&server.url()).await;
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| _ = command.arg(word));
    command.exec_async(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_leaves_nothing_behind() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let queue = queue_at(&server.url()).await;
    queue.probe().await.unwrap();
    queue.probe().await.unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*").query_async(&mut redis_at(&server.url()).await).await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_named_as_one() {
    let Some(primary) = OwnRedis::private(&[]) else { return };
    let port = primary.port.to_string();
    let Some(replica) = OwnRedis::private(&["--replicaof", "127.0.0.1", &port]) else { return };
    let queue = queue_at(&replica.url()).await;
    let said = lacks(&queue).await;
    assert!(said.contains("read-only replica") && said.contains("primary"), "{said}");
    assert!(queue.inspect().await.unwrap().replica);
    // A fail-over: the replica becomes the primary, and jobs move again.
    order(&replica, &["REPLICAOF", "NO", "ONE"]).await;
    queue.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_named_as_full() {
    let Some(server) = OwnRedis::private(&["--maxmemory-policy", "noeviction"]) else { return };
    let queue = queue_at(&server.url()).await;
    queue.probe().await.unwrap();
    order(&server, &["SET", "big", &"x".repeat(3_000_000)]).await;
    order(&server, &["CONFIG", "SET", "maxmemory", "2mb"]).await;
    let said = lacks(&queue).await;
    assert!(said.contains("is full"), "{said}");
    order(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    queue.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_do_too_little_is_told_so() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    for rule in [["~ferry:*", "+@all"], ["~*", "-zadd"], ["~*", "-ltrim"], ["~*", "-pexpire"]] {
        let [keys, commands] = rule;
        order(
            &server,
            &["ACL", "SETUSER", "svc", "reset", "on", ">pw", "~{ferry}:*", keys, "+@all", commands],
        )
        .await;
        let url = format!("redis://svc:pw@127.0.0.1:{}", server.port);
        let said = lacks(&queue_at(&url).await).await;
        assert!(said.contains("does not let this user"), "{rule:?}: {said}");
        assert!(!said.contains("pw@"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_is_named_as_one() {
    let Some(server) = OwnRedis::private(&["--cluster-enabled", "yes"]) else { return };
    order(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let queue = queue_at(&server.url()).await;
    assert_eq!(queue.inspect().await.unwrap().mode, "cluster");
    let told = async || lacks(&queue).await.contains("Redis Cluster");
    assert!(comes_true(Duration::from_millis(200), told).await, "{}", lacks(&queue).await);
    assert!(queue.fit("holds nothing").await.unwrap_err().to_string().contains("Redis Cluster"));
    let numbered = RedisQueue::connect(&format!("{}/1", server.url()), RedisOptions::default()).await;
    let error = numbered.err().unwrap();
    assert!(error.to_string().contains("Redis Cluster") && !error.passes, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_is_named_as_one_with_what_to_write_instead() {
    let Some(master) = OwnRedis::private(&[]) else { return };
    let sentinel = master.sentinel();
    let queue = queue_at(&sentinel.url()).await;
    let refused = async |url: &str| {
        let refused = RedisQueue::connect(url, RedisOptions::default()).await;
        refused.err().unwrap()
    };
    let at = |more: &str| format!("redis://{more}");
    let (of_password, of_database) = (
        refused(&at(&format!(":secret@127.0.0.1:{}", sentinel.port))).await,
        refused(&at(&format!("127.0.0.1:{}/1", sentinel.port))).await,
    );
    let said = [
        lacks(&queue).await,
        queue.depth().await.unwrap_err().to_string(),
        queue.fit("holds nothing").await.unwrap_err().to_string(),
        of_password.to_string(),
        of_database.to_string(),
    ];
    for said in said {
        assert!(said.contains("is a Sentinel") && said.contains("the master"), "{said}");
        assert!(!said.contains("unknown command") && !said.contains("secret"), "{said}");
    }
    assert!(!of_password.passes && !of_database.passes, "waiting does not help");
    assert_eq!(queue.inspect().await.unwrap().mode, "sentinel");
    queue_at(&master.url()).await.fit("holds nothing").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_is_told_as_such() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let queue = queue_at(&server.url()).await;
    queue.probe().await.unwrap();
    order(&server, &["CONFIG", "SET", "requirepass", "two"]).await;
    let mut admin = redis_at(&format!("redis://:two@127.0.0.1:{}", server.port)).await;
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec_async(&mut admin)
        .await
        .unwrap();
    let said = lacks(&queue).await;
    assert!(said.contains("refuses the user or the password"), "{said}");
    redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).exec_async(&mut admin).await.unwrap();
    let moves = async || queue.probe().await.is_ok();
    assert!(comes_true(Duration::from_millis(200), moves).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_password_is_refused_by_the_form_of_the_address() {
    let refused = RedisQueue::connect("redis://secret@127.0.0.1:1", RedisOptions::default()).await;
    let said = refused.err().unwrap().to_string();
    assert!(said.contains("a user without a password") && !said.contains("secret@"), "{said}");
}

/// The rule as a person copies it from the README.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_that_the_readme_describes_can_do_all_that_a_worker_does() {
    let Some(server) = OwnRedis::private(&[]) else { return };
    let readme = include_str!("../../../../README.md");
    let rule = readme.split("ACL SETUSER ferry on >PASSWORD").nth(1).unwrap().split("```").next().unwrap();
    let mut words = vec!["ACL", "SETUSER", "ferry", "reset", "on", ">PASSWORD"];
    words.extend(rule.split_whitespace());
    order(&server, &words).await;
    let url = format!("redis://ferry:PASSWORD@127.0.0.1:{}", server.port);
    let queue = queue_at(&url).await;
    queue.probe().await.unwrap();
    queue.inspect().await.unwrap();
    let sends = envelopes(JobKind::Verify, 3);
    assert_eq!(queue.push(&sends, 10).await.unwrap(), 3);
    assert!(queue.missing(&sends).await.unwrap().is_empty());
    queue.sweep().await.unwrap();

    let redis = Arc::new(queue);
    let queue: Arc<dyn Queue> = redis.clone();
    let world: Arc<dyn QueueWorld> = Arc::new(RedisWorld { redis, url, namespace: "ferry".into() });
    let probe = Probe::open(&world);
    let crew = Crew::start(&world, JobKind::Verify, 2, probe.clone());
    drained(&*world, &queue).await;
    crew.end(&*world).await;
    assert_eq!(names(&probe.jobs()), names(&sends));
}
