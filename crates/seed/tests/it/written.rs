//! What arrives in the databases, and that nothing arrives by halves.

use ferry_seed::{WriteOptions, digest_of, population, write};
use tokio::sync::Notify;

use crate::world::{postgres, targets};

#[tokio::test]
async fn both_databases_give_back_the_rows_that_were_generated() {
    let population = population(3_001, 7).unwrap();
    for target in targets().await {
        let mut told = Vec::new();
        let written =
            write(&target.url, &population, WriteOptions::default(), |users| told.push(users)).await.unwrap();
        assert_eq!(written.digest, population.digest());
        assert_eq!(digest_of(&target.url).await.unwrap(), written.digest);
        assert_eq!(told.last(), Some(&3_001));
        assert!(told.is_sorted());

        let mut session = target.session().await;
        let counts = [
            ("SELECT count(*) FROM hospitals", written.hospitals),
            ("SELECT count(*) FROM wards", written.wards),
            ("SELECT count(*) FROM users", written.users),
            ("SELECT count(*) FROM permissions", written.permissions),
        ];
        for (sql, count) in counts {
            assert_eq!(session.number(sql).await as u64, count, "{sql}");
        }
        let marked = "SELECT count(*) FROM medlogistics_seed WHERE seed = '7' AND users = 3001";
        assert_eq!(session.number(marked).await, 1);
    }
}

#[tokio::test]
async fn the_digest_notices_a_changed_row() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
        let mut session = target.session().await;
        session.run("ALTER TABLE users ADD COLUMN auth0_user_id TEXT").await.unwrap();
        assert_eq!(digest_of(&target.url).await.unwrap(), population.digest());
        session.run("UPDATE users SET blocked = NOT blocked WHERE id = 7").await.unwrap();
        assert_ne!(digest_of(&target.url).await.unwrap(), population.digest());
    }
}

#[tokio::test]
async fn a_write_dropped_in_the_middle_leaves_nothing() {
    let population = population(20_000, 7).unwrap();
    for target in targets().await {
        let some_are_sent = Notify::new();
        let mut seen = 0;
        let progress = |users| {
            seen = users;
            some_are_sent.notify_one();
        };
        tokio::select! {
            biased;
            () = some_are_sent.notified() => {}
            done = write(&target.url, &population, WriteOptions::default(), progress) => {
                panic!("finished before it was dropped: {done:?}")
            }
        }
        assert!(seen > 0 && seen < 20_000, "dropped after {seen} users");
        assert_eq!(target.table_count().await, 0);
        // And nothing stands in the way of the next attempt.
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_in_the_middle_leaves_nothing() {
    let Some(target) = postgres().await else {
        return;
    };
    // A type of this name keeps the fourth table from being created.
    target.session().await.run("CREATE TYPE permissions AS ENUM ('a')").await.unwrap();
    let population = population(40, 7).unwrap();
    let error = write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap_err();
    assert!(error.to_string().starts_with("creating the tables failed in PostgreSQL database"));
    assert_eq!(target.table_count().await, 0);
}
