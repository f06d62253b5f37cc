//! Users of a run as people look for them, in pages by their position.
//!
//! The filter is text of the statement once, in [`filtered`], and its values are bound: what is listed,
//! counted and taken up by a retry is the same.

use async_trait::async_trait;
use ferry_domain::{
    ItemSeq, ItemState, RunId,
    ports::{LOOKED_AT, ListedUser, UserFilter, Users},
};
use ferry_ledger::{Result, rows::ListedUserRow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{SqliteLedger, errors::Doing, values};

const LISTING: &str = "could not list users";
const COUNTING: &str = "could not count users";
const NAMING: &str = "could not read the names of properties";

/// A filter as the statements take it.
pub(crate) struct Asked {
    pub(crate) states: String,
    pub(crate) codes: String,
    pub(crate) keys: String,
    pub(crate) places: String,
    pub(crate) first_line: i64,
    pub(crate) last_line: i64,
    pub(crate) first_batch: Uuid,
    pub(crate) last_batch: Uuid,
    pub(crate) properties: String,
}

impl Asked {
    pub(crate) fn of(filter: &UserFilter) -> Self {
        let UserFilter { states, codes, keys, places, lines, batches, properties } = filter;
        let properties: Vec<Value> =
            properties.iter().map(|of| json!({ "name": of.name, "values": of.values })).collect();
        Asked {
            states: values::json(states),
            codes: values::json(codes),
            keys: values::json(keys),
            places: values::json(places),
            first_line: lines.first,
            last_line: lines.last,
            first_batch: batches.first.0,
            last_batch: batches.last.0,
            properties: values::json(&properties),
        }
    }
}

/// A checked statement over items with the filter between its head and its tail. `?1` is the run, `?2` to
/// `?10` are the filter's; others follow. `+` keeps it from reading a run by its batches.
macro_rules! filtered {
    ($query:ident!($($row:ty,)? $head:literal, $tail:literal), $run:expr, $asked:expr $(, $more:expr)* $(,)?) => {
        sqlx::$query!(
            $($row,)?
            $head + r#" (
                  (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
              AND (?3 = '[]' OR coalesce(code IN (SELECT value FROM json_each(?3)), false))
              AND (?4 = '[]' OR key IN (SELECT value FROM json_each(?4)))
              AND (?5 = '[]' OR place IN (SELECT value FROM json_each(?5)))
              AND line BETWEEN ?6 AND ?7
              AND +batch_id BETWEEN ?8 AND ?9
              AND (?10 = '[]' OR NOT EXISTS (
                      SELECT 1 FROM json_each(?10) AS property
                      WHERE NOT EXISTS (
                          SELECT 1 FROM json_each(record, '$.app_metadata') AS has
                          WHERE has.key = property.value ->> 'name'
                            AND CASE has.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'
                                              ELSE CAST(has.value AS TEXT) END
                                IN (SELECT value FROM json_each(property.value, '$.values')))))
            ) "# + $tail,
            $run.0,
            $asked.states,
            $asked.codes,
            $asked.keys,
            $asked.places,
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

/// Whether the index of those who were not moved has all that a filter means: few, where a run goes well.
fn not_moved(filter: &UserFilter) -> bool {
    use ItemState::{Conflict, Failed, Skipped};
    !filter.states.is_empty()
        && filter.states.iter().all(|state| matches!(state, Skipped | Conflict | Failed))
}

#[async_trait]
impl Users for SqliteLedger {
    async fn list_users(
        &self,
        run: RunId,
        filter: &UserFilter,
        after: ItemSeq,
        most: i64,
    ) -> Result<Vec<ListedUser>> {
        let asked = Asked::of(filter);
        let rows = if not_moved(filter) {
            filtered!(
                query_as!(
                    ListedUserRow,
                    r#"
                    SELECT seq AS "seq!: i64", batch_id AS "batch_id!: Uuid", key AS "key!: String",
                           place AS "place!: String", line AS "line!: i64", state AS "state!: String",
                           code AS "code?: String", field AS "field?: String", other AS "other?: String",
                           auth0_user_id AS "auth0_user_id?: String"
                    FROM ferry_items INDEXED BY ferry_items_not_moved
                    WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND "#,
                    r#" AND seq > ?11 ORDER BY seq LIMIT ?12"#
                ),
                run,
                asked,
                after.0,
                most,
            )
            .fetch_all(self.reader())
            .await
        } else {
            filtered!(
                query_as!(
                    ListedUserRow,
                    r#"
                    SELECT seq AS "seq!: i64", batch_id AS "batch_id!: Uuid", key AS "key!: String",
                           place AS "place!: String", line AS "line!: i64", state AS "state!: String",
                           code AS "code?: String", field AS "field?: String", other AS "other?: String",
                           auth0_user_id AS "auth0_user_id?: String"
                    FROM ferry_items
                    WHERE run_id = ?1 AND "#,
                    r#" AND seq > ?11 ORDER BY seq LIMIT ?12"#
                ),
                run,
                asked,
                after.0,
                most,
            )
            .fetch_all(self.reader())
            .await
        };
        rows.doing(LISTING)?.into_iter().map(ListedUserRow::user).collect()
    }

    async fn count_users(&self, run: RunId, filter: &UserFilter) -> Result<i64> {
        let asked = Asked::of(filter);
        let counted = if not_moved(filter) {
            filtered!(
                query_scalar!(
                    r#"
                    SELECT count(*) AS "count!: i64" FROM ferry_items INDEXED BY ferry_items_not_moved
                    WHERE run_id = ?1 AND state IN ('skipped', 'conflict', 'failed') AND "#,
                    ""
                ),
                run,
                asked,
            )
            .fetch_one(self.reader())
            .await
        } else {
            filtered!(
                query_scalar!(
                    r#"SELECT count(*) AS "count!: i64" FROM ferry_items WHERE run_id = ?1 AND "#,
                    ""
                ),
                run,
                asked,
            )
            .fetch_one(self.reader())
            .await
        };
        counted.doing(COUNTING)
    }

    async fn properties(&self, run: RunId) -> Result<Vec<String>> {
        sqlx::query_scalar!(
            r#"
            SELECT DISTINCT CAST(has.key AS TEXT) AS "name!: String"
            FROM (
                SELECT record FROM ferry_items
                WHERE run_id = ?1 AND record IS NOT NULL ORDER BY seq LIMIT ?2
            ) AS first, json_each(first.record, '$.app_metadata') AS has
            ORDER BY 1
            "#,
            run.0,
            LOOKED_AT
        )
        .fetch_all(self.reader())
        .await
        .doing(NAMING)
    }
}
