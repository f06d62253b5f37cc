//! What the application's rows carry of the ids of users who have an account.

use ferry_domain::{Auth0UserId, ItemSeq, SourceKey, WriteBackTarget, application::RowId, null};
use ferry_ledger::Result;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    AppRow, LOOKING,
    look::look,
    quoted,
    write::{GIVEN, given},
};
use crate::errors::Doing;

/// In the order of the users.
pub(crate) async fn row_ids(
    connection: &mut SqliteConnection,
    target: &WriteBackTarget,
    users: &[(SourceKey, Auth0UserId)],
) -> Result<Vec<RowId>> {
    let found = look(connection, target).await?;
    found.table.check_writing()?;
    let target = &found.table.target;
    let (table, key, id) = (quoted(&target.table), quoted(&target.key_column), quoted(&target.id_column));
    let none = null::sql_list();
    let sql = format!(
        "SELECT new.number, count(*), min(app.{id} IS NULL OR trim(app.{id}) IN ({none})), \
         coalesce(min(app.{id} = new.auth0), false) FROM {GIVEN} AS new \
         CROSS JOIN main.{table} AS app ON app.{key} = new.source GROUP BY new.number"
    );
    let row = |(key, id)| AppRow { seq: ItemSeq(0), key, id, email: "" };
    let rows = users.iter().map(|(key, id)| row((key, id))).enumerate();
    let given: Vec<Value> = rows.flat_map(|(at, row)| given(&found, at, &row)).collect();
    let hits = sqlx::query_as::<_, (i64, i64, bool, bool)>(AssertSqlSafe(sql))
        .bind(Value::from(given).to_string())
        .fetch_all(connection)
        .await
        .doing(LOOKING)?;
    let hides = found.table.row_security;
    let mut ids = vec![RowId::of(0, false, false, hides); users.len()];
    for (at, rows, lacking, own) in hits {
        if let Some(id) = usize::try_from(at).ok().and_then(|at| ids.get_mut(at)) {
            *id = RowId::of(rows, lacking, own, hides);
        }
    }
    Ok(ids)
}
