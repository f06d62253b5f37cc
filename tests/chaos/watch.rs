//! Looks at the jobs while a scenario goes on: numbers that must only grow, and how soon
//! the jobs of a dead worker have another holder.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{PgPool, Row};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How often the jobs are looked at.
const EVERY: Duration = Duration::from_millis(50);
/// How often they are looked at while a recovery is measured.
const CLOSELY: Duration = Duration::from_millis(10);

/// Samples until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub fn over(pool: PgPool) -> Watch {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let faults = seen.clone();
        let task = tokio::spawn(async move {
            let mut last: HashMap<String, [i64; 3]> = HashMap::new();
            loop {
                sleep(EVERY).await;
                // A server that a scenario has stopped has nothing to say.
                let Ok(Ok(rows)) = timeout(Duration::from_secs(2), numbers(&pool)).await else { continue };
                for (job, now) in rows {
                    if let Some(before) = last.insert(job.clone(), now)
                        && before.iter().zip(&now).any(|(before, now)| now < before)
                    {
                        let told = format!(
                            "attempts, token, send of job {job} went backwards: {before:?} to {now:?}"
                        );
                        faults.lock().unwrap().push(told);
                    }
                }
            }
        });
        Watch { seen, task }
    }

    /// What went backwards so far.
    pub fn faults(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn numbers(pool: &PgPool) -> sqlx::Result<Vec<(String, [i64; 3])>> {
    let sql = "SELECT id::text, attempts::bigint, token, send::bigint FROM ferry.jobs";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    Ok(rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)])).collect())
}

/// A job that a process works on, and the token it has for it.
#[derive(Clone, Debug)]
pub struct Held {
    pub job: String,
    pub token: i64,
}

/// What the process with this pid holds.
pub async fn held_by(pool: &PgPool, pid: u32) -> Vec<Held> {
    let sql = "SELECT id::text, token FROM ferry.jobs WHERE state = 'leased' AND holder IN
        (SELECT id FROM ferry.workers WHERE pid = $1)";
    let rows = sqlx::query(sql).bind(i32::try_from(pid).unwrap()).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| Held { job: row.get(0), token: row.get(1) }).collect()
}

/// What became of the jobs of a dead worker, counted from its death.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery {
    /// Until all had been taken from it. What follows may be a wait for a free worker.
    pub taken_back: Duration,
    /// Until all had been claimed again, or had ended.
    pub claimed: Duration,
}

/// Follows these jobs from `fault` until all have another holder.
pub async fn recovery(pool: &PgPool, held: &[Held], fault: Instant, patience: Duration) -> Recovery {
    let sql = "SELECT j.state = 'leased' AND j.token = h.token, j.token = h.token AND j.state NOT IN ('done', 'dead')
        FROM unnest($1::text[], $2::bigint[]) AS h (job, token) JOIN ferry.jobs j ON j.id::text = h.job";
    let jobs: Vec<String> = held.iter().map(|held| held.job.clone()).collect();
    let tokens: Vec<i64> = held.iter().map(|held| held.token).collect();
    let mut recovery = Recovery::default();
    let (mut still_held, mut unclaimed) = (held.len(), held.len());
    while unclaimed > 0 {
        assert!(fault.elapsed() < patience, "{unclaimed} of {} jobs were not taken over", held.len());
        // A server that a scenario has stopped has nothing to say.
        if let Ok(rows) = sqlx::query(sql).bind(&jobs).bind(&tokens).fetch_all(pool).await {
            let count = |column: usize| rows.iter().filter(|row| row.get::<bool, _>(column)).count();
            let (held_now, unclaimed_now) = (count(0), count(1));
            if held_now < still_held {
                recovery.taken_back = fault.elapsed();
            }
            if unclaimed_now < unclaimed {
                recovery.claimed = fault.elapsed();
            }
            (still_held, unclaimed) = (held_now, unclaimed_now);
        }
        sleep(CLOSELY).await;
    }
    recovery
}

/// What waits in the transport.
pub async fn queued(pool: &PgPool) -> Vec<Held> {
    let sql = "SELECT id::text, token FROM ferry.jobs WHERE state = 'queued'";
    let rows = sqlx::query(sql).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| Held { job: row.get(0), token: row.get(1) }).collect()
}
