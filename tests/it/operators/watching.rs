//! Watching a run: why it waits, how it ends, and a ledger that is silent for a while.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use ferry_domain::{
    WorkerId,
    ports::{WaitReason, WorkerRecord},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::stage::{Stage, on_both_ledgers};
use crate::world::Place;

on_both_ledgers!(
    watching_says_why_a_run_waits,
    a_run_that_a_threshold_stopped_ends_watching_with_5_and_its_remedy,
);

/// A watch under way; what it says goes to a file.
struct Watch<'a> {
    child: Child,
    place: &'a Place,
}

impl<'a> Watch<'a> {
    fn of(place: &'a Place, run: &str) -> Self {
        let log = std::fs::File::create(place.path("watch.log")).unwrap();
        let mut command = place.ferry(&["run", "watch", run]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Watch { child, place }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.place.path("watch.log")).unwrap()
    }

    /// Waits until it has said this.
    async fn until(&mut self, words: &str) {
        for _ in 0..600 {
            if self.said().contains(words) {
                return;
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended without {words:?}: {}", self.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("watching was expected to say {words:?}: {}", self.said());
    }

    fn interrupt(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn watching_says_why_a_run_waits(stage: &mut Stage) {
    let mut watch = Watch::of(stage.place(), &stage.run);
    watch.until("no worker runs").await;
    let record = WorkerRecord {
        id: WorkerId(stage.id().0),
        host: "ward-7".into(),
        pid: 4_711,
        slots: 9,
        waiting_for: Some(WaitReason("Auth0 does not answer".into())),
    };
    let presence = stage.ledger.register(&record).await.unwrap();
    stage.ledger.heartbeat(&record, Duration::from_secs(6), &[]).await.unwrap();
    watch.until("waits: Auth0 does not answer").await;
    stage.json("stop-all --yes");
    watch.until("ferry resume-all").await;
    stage.json("run pause RUN --reason lunch");
    watch.until(&format!("paused: ferry run resume {} (lunch)", stage.run)).await;
    assert_eq!(watch.interrupt(), 130);
    drop(presence);
}

async fn a_run_that_a_threshold_stopped_ends_watching_with_5_and_its_remedy(stage: &mut Stage) {
    stage.stopped_by("TOO_MANY_FAILURES").await;
    let resume = format!("ferry run resume {}", stage.run);
    stage.says("run watch RUN", 5, &["Stopped by TOO_MANY_FAILURES", "mend the cause", &resume]);
    let shown = stage.show();
    assert_eq!((&shown["state"], &shown["why"]), (&"stopped".into(), &"TOO_MANY_FAILURES".into()), "{shown}");
    let table = stage.ferry("run show RUN");
    assert!(table.out.contains("More users failed than --max-failures allows"), "{}", table.all());
    stage.says("run pause RUN", 6, &["stopped", &resume]);
    stage.says("run resume RUN", 0, &["goes on"]);
    assert_eq!(stage.show()["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_silent_for_a_while_does_not_end_watching() {
    let Some(mut stage) = Stage::production("a silent ledger").await else { return };
    let run = stage.run.clone();
    let world = stage.world().unwrap();
    let url = world.database.url.clone();
    let server = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap();
    let way = Way::open(listener, server.clone());
    world.place.set("DATABASE_URL", url.replacen(&server, &port.to_string(), 1));
    let mut watch = Watch::of(&world.place, &run);
    watch.until("no worker runs").await;
    way.close().await;
    watch.until("the ledger does not answer; watching on").await;
    let way = Way::open(TcpListener::bind(port).await.unwrap(), server);
    let paused = world.place.run(&["run", "pause", &run, "--reason", "found it again"]);
    assert_eq!(paused.code, 0, "{}", paused.all());
    watch.until("(found it again)").await;
    assert_eq!(watch.interrupt(), 130);
    way.close().await;
    world.place.set("DATABASE_URL", url);
    stage.end().await;
}

/// A way to a server that can be cut.
struct Way {
    serving: JoinHandle<()>,
}

impl Way {
    fn open(listener: TcpListener, server: String) -> Way {
        let serving = tokio::spawn(async move {
            let mut ways = tokio::task::JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let server = server.clone();
                ways.spawn(async move {
                    let Ok(mut there) = TcpStream::connect(server).await else { return };
                    let _ = copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
        Way { serving }
    }

    /// Cuts all connections and listens no more.
    async fn close(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}
