//! Users of a run beside those that another run moved.

use ferry_domain::{Code, ItemSeq, RunId, SourceKey, migration::people::Overlap, ports::Addressed};
use sqlx::{PgConnection, query};

use super::settle::{Joins, joins};
use crate::errors::Tried;

pub(super) async fn moved_keys(
    connection: &mut PgConnection,
    run: RunId,
    after: ItemSeq,
    most: i64,
) -> Tried<Vec<(ItemSeq, SourceKey)>> {
    let found = query!(
        r#"
        SELECT seq AS "seq!", key AS "key!" FROM ferry.items
        WHERE run_id = $1 AND seq > $2 AND auth0_user_id IS NOT NULL
          AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = $4)
        ORDER BY seq LIMIT $3
        "#,
        run.0,
        after.0,
        most,
        Code::AlreadyMigrated.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|row| (ItemSeq(row.seq), SourceKey(row.key))).collect())
}

pub(super) async fn moved_of(
    connection: &mut PgConnection,
    earlier: RunId,
    users: &[Addressed],
) -> Tried<Overlap> {
    joins(connection, Joins::OfSets).await?;
    let keys: Vec<&str> = users.iter().map(|user| user.key.0.as_str()).collect();
    let addresses: Vec<&str> = users.iter().map(|user| user.email.expose()).collect();
    let found = query!(
        r#"
        SELECT count(*) AS "keys!", count(*) FILTER (WHERE past.email = asked.email) AS "same!"
        FROM unnest($2::text[], $3::text[]) AS asked (key, email)
        JOIN ferry.items AS past ON past.run_id = $1 AND past.key = asked.key
             AND past.email IS NOT NULL AND past.auth0_user_id IS NOT NULL
             AND (past.state IN ('created', 'adopted') OR past.state = 'skipped' AND past.code = $4)
        "#,
        earlier.0,
        &keys as &[&str],
        &addresses as &[&str],
        Code::AlreadyMigrated.as_str(),
    )
    .fetch_one(connection)
    .await?;
    let count = |count: i64| usize::try_from(count).unwrap_or_default(); // a count is no negative number
    Ok(Overlap { looked_at: users.len(), keys: count(found.keys), same: count(found.same) })
}
