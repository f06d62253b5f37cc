//! Dead letters: kept, looked at, discarded and removed. How they go again is in `redrive`.

use std::time::Duration;

use ferry_domain::ports::{Command, DeadFilter, DeadLetter, DeadState, DeadView, LedgerError};
use serde_json::json;
use sqlx::{query, query_as, query_scalar};

use crate::{
    PostgresLedger,
    errors::Fault,
    operating::words,
    planning::audit,
    rows::{self, DeadRow},
    tries::Tries,
};

type Result<T> = std::result::Result<T, LedgerError>;

/// How much of an unreadable payload is kept.
const KEPT: usize = 4096;

impl PostgresLedger {
    pub(crate) async fn keep_payload(&self, letter: &DeadLetter) -> Result<()> {
        let payload = &letter.payload[..letter.payload.len().min(KEPT)];
        query!(
            "INSERT INTO ferry.dead_letters (queue, payload, reason, code, given_up_by) VALUES ($1, $2, $3, $4, $5)",
            letter.queue,
            payload,
            letter.reason,
            letter.code.as_str(),
            letter.by,
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not keep an unreadable payload"))?;
        Ok(())
    }

    pub(crate) async fn letters(&self, filter: &DeadFilter, most: i64) -> Result<Vec<DeadView>> {
        let asked = Asked::of(filter);
        let rows = query_as!(
            DeadRow,
            r#"
            SELECT id, received_at, kind, state, queue, job_id, job_kind, run_id, batch_id, code, reason, attempts,
                   rescues, users, given_up_by, resolved_by, resolved_at
            FROM ferry.dead_letters
            WHERE (cardinality($1::bigint[]) = 0 OR id = ANY($1))
              AND ($2::uuid IS NULL OR run_id = $2)
              AND (cardinality($3::text[]) = 0 OR code = ANY($3))
              AND ($4::text IS NULL OR state = $4)
              AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
            ORDER BY id DESC
            LIMIT $6
            "#,
            asked.ids,
            asked.run,
            &asked.codes as &[&str],
            asked.state,
            asked.age,
            most,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.sql_failed("could not list dead letters"))?;
        rows::all(rows)
    }

    pub(crate) async fn letter_payload(&self, id: i64) -> Result<Option<Vec<u8>>> {
        query_scalar!("SELECT payload FROM ferry.dead_letters WHERE id = $1 AND kind = 'payload'", id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.sql_failed("could not read a dead letter"))
    }

    pub(crate) async fn count_letters(&self, filter: &DeadFilter) -> Result<(i64, i64)> {
        let asked = Asked::of(filter);
        let counted = query!(
            r#"
            SELECT count(*) AS "letters!", coalesce(sum(users), 0)::bigint AS "users!"
            FROM ferry.dead_letters
            WHERE (cardinality($1::bigint[]) = 0 OR id = ANY($1))
              AND ($2::uuid IS NULL OR run_id = $2)
              AND (cardinality($3::text[]) = 0 OR code = ANY($3))
              AND ($4::text IS NULL OR state = $4)
              AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
            "#,
            asked.ids,
            asked.run,
            &asked.codes as &[&str],
            asked.state,
            asked.age,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(self.sql_failed("could not count dead letters"))?;
        Ok((counted.letters, counted.users))
    }

    pub(crate) async fn discard_letters(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        let mut tries = Tries::default();
        loop {
            match self.try_discard_letters(filter, command).await {
                Err(fault) if tries.again(&fault).await => {}
                done => return done.map_err(self.failed("could not discard dead letters")),
            }
        }
    }

    async fn try_discard_letters(
        &self,
        filter: &DeadFilter,
        command: &Command<'_>,
    ) -> std::result::Result<i64, Fault> {
        let asked = Asked::of(filter);
        let mut tx = self.begin().await?;
        let ids = query_scalar!(
            r#"
            UPDATE ferry.dead_letters
            SET state = 'discarded', resolved_by = $6, resolved_at = clock_timestamp()
            WHERE state = 'kept'
              AND (cardinality($1::bigint[]) = 0 OR id = ANY($1))
              AND ($2::uuid IS NULL OR run_id = $2)
              AND (cardinality($3::text[]) = 0 OR code = ANY($3))
              AND ($4::text IS NULL OR state = $4)
              AND ($5::float8 IS NULL OR received_at <= clock_timestamp() - make_interval(secs => $5))
            RETURNING id
            "#,
            asked.ids,
            asked.run,
            &asked.codes as &[&str],
            asked.state,
            asked.age,
            command.by,
        )
        .fetch_all(&mut *tx)
        .await?;
        if ids.is_empty() {
            return Ok(0);
        }
        audit(&mut tx, command.by, "discard", filter.run, &json!({ "letters": ids }), command.reason).await?;
        tx.commit().await?;
        Ok(ids.len() as i64)
    }

    pub(crate) async fn remove_letters(&self, resolved_before: Duration) -> Result<i64> {
        let removed = query!(
            r#"
            DELETE FROM ferry.dead_letters
            WHERE state <> 'kept' AND resolved_at <= clock_timestamp() - make_interval(secs => $1)
            "#,
            resolved_before.as_secs_f64(),
        )
        .execute(&self.pool)
        .await
        .map_err(self.sql_failed("could not remove old dead letters"))?;
        Ok(removed.rows_affected() as i64)
    }
}

/// A filter as the statements take it.
pub(crate) struct Asked<'a> {
    pub ids: &'a [i64],
    pub run: Option<uuid::Uuid>,
    pub codes: Vec<&'static str>,
    pub state: Option<&'static str>,
    pub age: Option<f64>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(filter: &'a DeadFilter) -> Self {
        Asked {
            ids: &filter.ids,
            run: filter.run.map(|run| run.0),
            codes: words(&filter.codes),
            state: filter.state.map(DeadState::as_str),
            age: filter.older_than.map(|age| age.as_secs_f64()),
        }
    }
}
