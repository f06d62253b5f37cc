//! Faults 14, 35 and 38: what comes from the queue or from Auth0 is not what it should be.

use std::time::Duration;

use ferry_testbed::{comes_true, redis_at};

use crate::{
    results::Told,
    scene::{Scene, play},
    setup::Setup,
};

/// Puts a payload into a queue as the relay would.
pub async fn plant(scene: &Scene, queue: &str, id: &str, payload: &[u8]) {
    let mut redis = redis_at(&scene.redis_url).await;
    let queue = format!("{{{}}}:{queue}", scene.database.name);
    let meta = format!("{queue}:meta:{id}");
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("HSET").arg(format!("{queue}:data")).arg(id).arg(payload).ignore();
    pipe.cmd("HSET")
        .arg(meta)
        .arg("attempts")
        .arg(0)
        .arg("max_attempts")
        .arg(25)
        .arg("status")
        .arg("Pending");
    pipe.ignore();
    pipe.cmd("RPUSH").arg(format!("{queue}:active")).arg(id).ignore();
    let _: () = pipe.query_async(&mut redis).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_what_is_no_job_goes_to_the_dead_letters_at_once() {
    play(Setup::new(14, "malformed payload, unknown version").users(200, 25), async |scene| {
        scene.start(&[]);
        let strange: [&[u8]; 4] = [b"", b"\x00\xff\xfe not json", b"{\"version\":99}", b"{\"version\":1}"];
        for (n, payload) in strange.iter().enumerate() {
            plant(scene, "provision", &format!("strange-{n}"), payload).await;
        }
        scene.workers(2);
        let letters = "SELECT count(*) FROM ferry.dead_letters WHERE code = 'UNDECODABLE'";
        scene.until("four dead letters are kept", async || scene.number(letters).await == 4).await;
        scene.until_sealed().await;
        assert_eq!(scene.number(letters).await, 4, "each is kept once");
        let listed = scene.place.json(&["dead", "list", "--output", "json"]);
        assert_eq!(listed.as_array().unwrap().len(), 4, "{listed}");
        assert_eq!(scene.number("SELECT count(*) FROM ferry.attempts").await, 0, "nothing was tried again");
        Told::note("4 payloads, 4 dead letters")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s35_one_refused_user_costs_only_itself() {
    play(Setup::new(35, "API 400 for one of 100").users(100, 100), async |scene| {
        scene.start(&[]);
        // Something that Auth0 refuses and Ferry's rules did not see.
        let spoil = "UPDATE ferry.items SET record = jsonb_set(record, '{name}', to_jsonb(repeat('x', 400)))
            WHERE state = 'pending' AND seq = (SELECT min(seq) FROM ferry.items WHERE state = 'pending')";
        scene.execute(spoil).await;
        let pending = scene.number("SELECT count(*) FROM ferry.items WHERE state = 'pending'").await;
        scene.worker();
        scene.until_sealed().await;
        let shown = scene.place.json(&["run", "show", &scene.run, "--output", "json"]);
        assert_eq!(shown["created"], pending - 1, "{shown}");
        let refused = scene
            .number("SELECT count(*) FROM ferry.items WHERE state = 'failed' AND code = 'USER_REFUSED'")
            .await;
        assert_eq!(refused, 1, "the refused user is failed with its reason");
        let watched = scene.place.run(&["run", "watch", &scene.run]);
        assert_eq!(watched.code, 3, "the run is complete, with users that need a person");
        Told::note(format!("1 refused, {} created", pending - 1))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s38_a_batch_that_was_sent_ten_times_runs_once() {
    play(
        Setup::new(38, "the same batches enqueued 10 times by two producers").users(200, 25),
        async |scene| {
            scene.start(&[]);
            // The slot for reports gives its window room for three jobs.
            let args = ["worker", "--roles", "relay,report"];
            let relay = scene.command(crate::scene::ferry_binary(), &args, &[]);
            scene.hire(relay);
            scene
                .until("the relay has sent", async || {
                    scene.number("SELECT count(*) FROM ferry.jobs WHERE state = 'queued'").await > 0
                })
                .await;
            let data = format!("{{{}}}:provision:data", scene.database.name);
            let mut redis = scene.redis().await;
            // The ledger says that a job is sent before the queue has it.
            let mut sent: Vec<Vec<u8>> = Vec::new();
            let held = async || {
                sent = redis::cmd("HVALS").arg(&data).query_async(&mut redis).await.unwrap();
                !sent.is_empty()
            };
            assert!(comes_true(Duration::from_millis(25), held).await, "the queue holds what was sent");
            let scene_ref = &*scene;
            let producer = async |name: &str| {
                for (n, payload) in sent.iter().enumerate() {
                    for copy in 0..5 {
                        plant(scene_ref, "provision", &format!("{name}-{n}-{copy}"), payload).await;
                    }
                }
            };
            tokio::join!(producer("one"), producer("two"));
            scene.workers(2);
            scene.until_sealed().await;
            let twice = scene.number("SELECT count(*) FROM ferry.jobs WHERE token <> 1").await;
            assert_eq!(twice, 0, "every job was claimed exactly once");
            assert_eq!(
                scene.number("SELECT count(*) FROM ferry.dead_letters").await,
                0,
                "a repetition is no fault"
            );
            Told::note(format!("{} batches, 10 more copies of each", sent.len()))
        },
    )
    .await;
}
