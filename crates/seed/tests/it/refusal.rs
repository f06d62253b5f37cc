//! Tables that are there already.

use ferry_seed::{SeedError, WriteOptions, digest_of, population, write};

use crate::world::{sqlite, targets};

const REPLACE: WriteOptions = WriteOptions { replace: true };

#[tokio::test]
async fn an_earlier_seed_stays_unless_replacing_is_asked_for() {
    let (first, second) = (population(60, 1).unwrap(), population(50, 2).unwrap());
    for target in targets().await {
        write(&target.url, &first, WriteOptions::default(), |_| ()).await.unwrap();
        let refused = write(&target.url, &second, WriteOptions::default(), |_| ()).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, SeedError::TablesExist { .. }), "{error}");
        assert!(error.to_string().contains("users"), "{error}");
        assert_eq!(digest_of(&target.url).await.unwrap(), first.digest());

        write(&target.url, &second, REPLACE, |_| ()).await.unwrap();
        assert_eq!(digest_of(&target.url).await.unwrap(), second.digest());
        // Replacing where nothing is to be replaced is no mistake either.
        write(&target.url, &first, REPLACE, |_| ()).await.unwrap();
        assert_eq!(digest_of(&target.url).await.unwrap(), first.digest());
    }
}

#[tokio::test]
async fn somebody_elses_table_is_never_dropped() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        let mut session = target.session().await;
        session.run("CREATE TABLE users (id BIGINT); INSERT INTO users VALUES (1)").await.unwrap();
        let refused = write(&target.url, &population, WriteOptions::default(), |_| ()).await;
        assert!(matches!(refused, Err(SeedError::TablesExist { .. })), "{refused:?}");
        let refused = write(&target.url, &population, REPLACE, |_| ()).await;
        assert!(matches!(refused, Err(SeedError::NotOurs { .. })), "{refused:?}");
        assert_eq!(session.number("SELECT count(*) FROM users").await, 1);
        assert_eq!(target.table_count().await, 1);
    }
}

#[tokio::test]
async fn one_foreign_table_among_ours_stops_replacing() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
        let mut session = target.session().await;
        session.run("DROP TABLE permissions").await.unwrap();
        session.run("CREATE TABLE permissions (mine BIGINT)").await.unwrap();
        let error = write(&target.url, &population, REPLACE, |_| ()).await.unwrap_err();
        let SeedError::NotOurs { tables, .. } = &error else { panic!("{error}") };
        assert_eq!(tables, "permissions");
        assert_eq!(session.number("SELECT count(*) FROM users").await, 40);
    }
}

#[tokio::test]
async fn a_table_of_others_that_refers_to_ours_stops_replacing() {
    let population = population(40, 7).unwrap();
    for target in targets().await {
        write(&target.url, &population, WriteOptions::default(), |_| ()).await.unwrap();
        let mut session = target.session().await;
        session
            .run("CREATE TABLE notes (user_id BIGINT REFERENCES users (id)); INSERT INTO notes VALUES (1)")
            .await
            .unwrap();
        let error = write(&target.url, &population, REPLACE, |_| ()).await.unwrap_err();
        assert!(matches!(error, SeedError::Database { .. }), "{error}");
        assert_eq!(digest_of(&target.url).await.unwrap(), population.digest());
    }
}

#[tokio::test]
async fn unreachable_targets_are_named_without_password() {
    let population = population(40, 7).unwrap();
    let url = "postgres://app:s3cret@127.0.0.1:1/medlogistics";
    let error = write(url, &population, WriteOptions::default(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("medlogistics on 127.0.0.1:1"), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_bare_path_is_a_sqlite_file_and_need_not_exist() {
    let (target, population) = (sqlite().await, population(40, 7).unwrap());
    let path = target.url.strip_prefix("sqlite://").unwrap();
    write(path, &population, WriteOptions::default(), |_| ()).await.unwrap();
    assert_eq!(digest_of(&target.url).await.unwrap(), population.digest());
}
