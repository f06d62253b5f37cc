//! Looks at the jobs while a scenario goes on: numbers that must only grow, and how soon
//! the jobs of a dead worker are somebody else's.

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

/// How long after `fault` all of these had been claimed again, or had ended.
pub async fn recovery(pool: &PgPool, held: &[Held], fault: Instant, patience: Duration) -> Duration {
    let mut left = held.to_vec();
    let mut last = Duration::ZERO;
    let sql = "SELECT id::text FROM ferry.jobs WHERE id::text = ANY($1) AND (token > $2 OR state IN ('done', 'dead'))";
    while !left.is_empty() {
        assert!(fault.elapsed() < patience, "{} of {} jobs were not taken over", left.len(), held.len());
        let mut freed = Vec::new();
        for token in left.iter().map(|held| held.token).collect::<std::collections::BTreeSet<_>>() {
            let of_token: Vec<String> =
                left.iter().filter(|held| held.token == token).map(|held| held.job.clone()).collect();
            let Ok(rows) = sqlx::query(sql).bind(of_token).bind(token).fetch_all(pool).await else {
                continue;
            };
            freed.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        if !freed.is_empty() {
            last = fault.elapsed();
            left.retain(|held| !freed.contains(&held.job));
        }
        sleep(CLOSELY).await;
    }
    last
}

/// What waits in the transport.
pub async fn queued(pool: &PgPool) -> Vec<Held> {
    let sql = "SELECT id::text, token FROM ferry.jobs WHERE state = 'queued'";
    let rows = sqlx::query(sql).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| Held { job: row.get(0), token: row.get(1) }).collect()
}
