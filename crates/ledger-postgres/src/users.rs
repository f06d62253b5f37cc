//! Users of a run as people look for them, in pages by their position.
//!
//! The filter is text of the statement once, in [`filtered`], and its values are bound: what is listed,
//! counted and taken up by a retry is the same. A part that is not given is a constant when the statement is
//! planned, and costs nothing.

use async_trait::async_trait;
use ferry_domain::{
    ItemSeq, ItemState, RunId, SourceKey,
    ports::{BatchIds, LOOKED_AT, ListedUser, UserFilter, Users},
};
use ferry_ledger::{Result, rows::ListedUserRow, words};
use serde_json::{Value, json};
use sqlx::query_scalar;
use uuid::Uuid;

use crate::PostgresLedger;

/// A filter as the statements take it.
pub(crate) struct Asked {
    pub(crate) states: Vec<&'static str>,
    pub(crate) codes: Vec<&'static str>,
    pub(crate) keys: Vec<String>,
    pub(crate) places: Vec<String>,
    pub(crate) first_line: i64,
    pub(crate) last_line: i64,
    /// `None` for all batches: the plan for any values must not read a run by its batches.
    pub(crate) first_batch: Option<Uuid>,
    pub(crate) last_batch: Option<Uuid>,
    pub(crate) properties: Value,
}

impl Asked {
    pub(crate) fn of(filter: &UserFilter) -> Self {
        let UserFilter { states, codes, keys, places, lines, batches, properties } = filter;
        let some_batches = *batches != BatchIds::default();
        Asked {
            states: states.iter().copied().map(ItemState::as_str).collect(),
            codes: words::codes(codes),
            keys: keys.iter().map(|SourceKey(key)| key.clone()).collect(),
            places: places.clone(),
            first_line: lines.first,
            last_line: lines.last,
            first_batch: some_batches.then_some(batches.first.0),
            last_batch: some_batches.then_some(batches.last.0),
            properties: properties.iter().map(|of| json!({ "name": of.name, "values": of.values })).collect(),
        }
    }
}

/// A checked statement over items with the filter between its head and its tail. `$1` is the run, `$2` to
/// `$10` are the filter's; others follow.
macro_rules! filtered {
    ($query:ident!($($row:ty,)? $head:literal, $tail:literal), $run:expr, $asked:expr $(, $more:expr)* $(,)?) => {
        sqlx::$query!(
            $($row,)?
            $head + r#" (
                  (cardinality($2::text[]) = 0 OR state = ANY($2))
              AND (cardinality($3::text[]) = 0 OR code = ANY($3))
              AND (cardinality($4::text[]) = 0 OR key = ANY($4))
              AND (cardinality($5::text[]) = 0 OR place = ANY($5))
              AND line BETWEEN $6 AND $7
              AND ($8::uuid IS NULL OR batch_id BETWEEN $8 AND $9)
              AND ($10::jsonb = '[]' OR NOT EXISTS (
                      SELECT FROM jsonb_array_elements($10) AS property
                      WHERE NOT EXISTS (
                          SELECT FROM jsonb_array_elements_text(property -> 'values') AS one
                          WHERE one = record -> 'app_metadata' ->> (property ->> 'name'))))
            ) "# + $tail,
            $run.0,
            &$asked.states as &[&str],
            &$asked.codes as &[&str],
            &$asked.keys,
            &$asked.places,
            $asked.first_line,
            $asked.last_line,
            $asked.first_batch,
            $asked.last_batch,
            $asked.properties
            $(, $more)*
        )
    };
}
pub(crate) use filtered;

#[async_trait]
impl Users for PostgresLedger {
    async fn list_users(
        &self,
        run: RunId,
        filter: &UserFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ListedUser>> {
        let asked = Asked::of(filter);
        let rows = filtered!(
            query_as!(
                ListedUserRow,
                r#"
                SELECT seq AS "seq!", batch_id AS "batch_id!", key AS "key!", place AS "place!", line AS "line!",
                       state AS "state!", code, field, other, auth0_user_id
                FROM ferry.items
                WHERE run_id = $1 AND "#,
                r#"
                  AND seq > $11
                  -- What became of a user is looked up where its batch has such users. Without batches a run
                  -- is being planned.
                  AND (cardinality($2::text[]) = 0 OR batch_id IN (
                          SELECT id FROM ferry.batches
                          WHERE run_id = $1
                            AND $2::text[] && ARRAY[CASE WHEN pending > 0 THEN 'pending' END,
                                CASE WHEN created > 0 THEN 'created' END, CASE WHEN adopted > 0 THEN 'adopted' END,
                                CASE WHEN skipped > 0 THEN 'skipped' END, CASE WHEN conflict > 0 THEN 'conflict' END,
                                CASE WHEN failed > 0 THEN 'failed' END, CASE WHEN cancelled > 0 THEN 'cancelled' END]
                      ) OR NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = $1))
                ORDER BY seq
                LIMIT $12
                "#
            ),
            run,
            asked,
            after.0,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list users"))?;
        rows.into_iter().map(ListedUserRow::user).collect()
    }

    async fn count_users(&self, run: RunId, filter: &UserFilter) -> Result<i64> {
        let asked = Asked::of(filter);
        filtered!(
            query_scalar!(
                r#"
                SELECT count(*) AS "count!" FROM ferry.items
                WHERE run_id = $1 AND "#,
                r#"
                  -- As above.
                  AND (cardinality($2::text[]) = 0 OR batch_id IN (
                          SELECT id FROM ferry.batches
                          WHERE run_id = $1
                            AND $2::text[] && ARRAY[CASE WHEN pending > 0 THEN 'pending' END,
                                CASE WHEN created > 0 THEN 'created' END, CASE WHEN adopted > 0 THEN 'adopted' END,
                                CASE WHEN skipped > 0 THEN 'skipped' END, CASE WHEN conflict > 0 THEN 'conflict' END,
                                CASE WHEN failed > 0 THEN 'failed' END, CASE WHEN cancelled > 0 THEN 'cancelled' END]
                      ) OR NOT EXISTS (SELECT FROM ferry.batches WHERE run_id = $1))
                "#
            ),
            run,
            asked,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count users"))
    }

    async fn properties(&self, run: RunId) -> Result<Vec<String>> {
        query_scalar!(
            r#"
            SELECT DISTINCT name AS "name!"
            FROM (
                SELECT record FROM ferry.planned_items
                WHERE run_id = $1 AND record IS NOT NULL ORDER BY seq LIMIT $2
            ) AS first,
            jsonb_object_keys(coalesce(record -> 'app_metadata', '{}')) AS name
            ORDER BY 1
            "#,
            run.0,
            LOOKED_AT,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not read the names of properties"))
    }
}
