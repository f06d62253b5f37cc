//! What the application's rows carry of the ids of users who have an account.

use ferry_domain::{Auth0UserId, SourceKey, WriteBackTarget, application::RowId, null};
use sqlx::{AssertSqlSafe, query_as};

use super::look::{Found, look};
use crate::{
    PostgresLedger,
    errors::{Fault, Tried},
};

impl PostgresLedger {
    /// In the order of the users. Who looks does not wait for the application's locks.
    pub(crate) async fn row_ids_here(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Tried<Vec<RowId>> {
        let mut tx = self.begin().await?;
        let found = look(&mut tx, target).await?;
        found.table.check_writing()?;
        let keys: Vec<&str> = users.iter().map(|(key, _)| key.0.as_str()).collect();
        let ids: Vec<&str> = users.iter().map(|(_, id)| id.0.as_str()).collect();
        // Names come quoted from the catalogue, values are bound.
        let rows: Vec<(i64, bool, bool)> = query_as(AssertSqlSafe(statement(&found)))
            .bind(&keys)
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await
            .map_err(|error| Fault::from(error).over_table(target))?;
        let hides = found.table.row_security;
        Ok(rows.into_iter().map(|(rows, lacking, own)| RowId::of(rows, lacking, own, hides)).collect())
    }
}

/// How many rows each key has, whether they carry no id, and whether they carry the user's.
fn statement(found: &Found) -> String {
    let Found { name, key, key_type, id, .. } = found;
    let none = null::sql_list();
    format!(
        "SELECT count(app.{key}),
                coalesce(bool_and(app.{id} IS NULL OR btrim(app.{id}::text) IN ({none})), false),
                coalesce(bool_and(app.{id} = given.id), false)
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given (key, id, number)
         LEFT JOIN {name} AS app ON app.{key} = given.key::{key_type}
         GROUP BY given.number ORDER BY given.number"
    )
}
