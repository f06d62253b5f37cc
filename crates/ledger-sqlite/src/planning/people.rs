//! Users of a run beside those that another run moved.

use std::collections::HashMap;

use ferry_domain::{ItemSeq, RunId, SourceKey, migration::people::Overlap, ports::Addressed};
use ferry_ledger::Result;
use futures_util::TryStreamExt;
use sqlx::SqliteConnection;

use super::changed::COMPARING;
use crate::errors::Doing;

pub(super) async fn moved_keys(
    connection: &mut SqliteConnection,
    run: RunId,
    after: ItemSeq,
    most: i64,
) -> Result<Vec<(ItemSeq, SourceKey)>> {
    let found = sqlx::query!(
        r#"
        SELECT seq AS "seq!: i64", key AS "key!: String" FROM ferry_items
        WHERE run_id = ?1 AND seq > ?2 AND auth0_user_id IS NOT NULL
          AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
        ORDER BY seq LIMIT ?3
        "#,
        run.0,
        after.0,
        most
    )
    .fetch_all(connection)
    .await
    .doing(COMPARING)?;
    Ok(found.into_iter().map(|row| (ItemSeq(row.seq), SourceKey(row.key))).collect())
}

/// The earlier run is read once and compared here: SQLite has no hash join.
pub(super) async fn moved_of(
    connection: &mut SqliteConnection,
    earlier: RunId,
    users: &[Addressed],
) -> Result<Overlap> {
    let addresses: HashMap<&str, &str> =
        users.iter().map(|user| (user.key.0.as_str(), user.email.expose())).collect();
    let mut overlap = Overlap { looked_at: users.len(), ..Overlap::default() };
    let mut rows = sqlx::query!(
        r#"
        SELECT key AS "key!: String", email AS "email!: String" FROM ferry_items
        WHERE run_id = ?1 AND email IS NOT NULL AND auth0_user_id IS NOT NULL
          AND (state IN ('created', 'adopted') OR state = 'skipped' AND code = 'ALREADY_MIGRATED')
        "#,
        earlier.0
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.doing(COMPARING)? {
        let Some(address) = addresses.get(row.key.as_str()) else { continue };
        overlap.keys += 1;
        overlap.same += usize::from(*address == row.email);
    }
    Ok(overlap)
}
