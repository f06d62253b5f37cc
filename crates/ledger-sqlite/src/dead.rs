//! Dead letters: payloads that were no job, and jobs that were given up.

use std::time::Duration;

use ferry_domain::{
    BatchId, Code, JobId, RunId,
    ports::{Command, DeadFilter, DeadKind, DeadLetter, DeadState, DeadView},
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::{
    SqliteLedger,
    errors::{Doing, Result},
    planning::audit,
    rows::{code, corrupt, job_kind, json, micros, moment},
};

/// Bytes kept of a payload nobody can read.
const LETTER: usize = 4096;

const KEEPING: &str = "could not keep a dead letter";
const READING: &str = "could not read dead letters";
const DISCARDING: &str = "could not discard dead letters";

/// Keeps a letter for a job that was just given up; its counts are the row's.
pub(crate) async fn keep_job(
    connection: &mut SqliteConnection,
    job: JobId,
    code: Code,
    users: i64,
    by: &str,
) -> Result<()> {
    let (word, remedy) = (code.as_str(), code.remedy());
    sqlx::query!(
        r#"
        INSERT INTO ferry_dead_letters (queue, payload, reason, received_at, kind, code, job_id, job_kind, run_id,
                                        batch_id, attempts, rescues, users, given_up_by)
        SELECT kind, x'', ?5, at, 'job', ?2, id, kind, run_id, batch_id, attempts, rescues, ?3, ?4
        FROM ferry_jobs CROSS JOIN ferry_now WHERE id = ?1
        "#,
        job.0,
        word,
        users,
        by,
        remedy
    )
    .execute(connection)
    .await
    .doing(KEEPING)?;
    Ok(())
}

struct LetterRow {
    id: i64,
    received_at: i64,
    kind: String,
    state: String,
    queue: String,
    job_id: Option<Uuid>,
    job_kind: Option<String>,
    run_id: Option<Uuid>,
    batch_id: Option<Uuid>,
    code: String,
    reason: String,
    attempts: i32,
    rescues: i32,
    users: i64,
    given_up_by: String,
    resolved_by: Option<String>,
    resolved_at: Option<i64>,
}

impl LetterRow {
    fn view(self) -> Result<DeadView> {
        const TABLE: &str = "ferry_dead_letters";
        let state = DeadState::parse(&self.state)
            .ok_or_else(|| corrupt(TABLE, self.id, format_args!("state {:?}", self.state)))?;
        let kind = if self.kind == DeadKind::Job.as_str() { DeadKind::Job } else { DeadKind::Payload };
        let of_job = self.job_id.zip(self.job_kind);
        Ok(DeadView {
            id: self.id,
            at: moment(TABLE, self.id, self.received_at)?,
            kind,
            state,
            queue: self.queue,
            job: self.job_id.map(JobId),
            job_kind: of_job.map(|(job, word)| job_kind(&word, job)).transpose()?,
            run: self.run_id.map(RunId),
            batch: self.batch_id.map(BatchId),
            code: code(&self.code, TABLE, self.id)?,
            reason: self.reason,
            attempts: self.attempts,
            rescues: self.rescues,
            users: self.users,
            given_up_by: self.given_up_by,
            resolved_by: self.resolved_by,
            resolved_at: self.resolved_at.map(|at| moment(TABLE, self.id, at)).transpose()?,
        })
    }
}

/// Letters that a filter means, newest first.
pub(crate) async fn letters(
    connection: &mut SqliteConnection,
    filter: &DeadFilter,
    most: i64,
) -> Result<Vec<DeadView>> {
    let (ids, codes) = (json(&filter.ids), json(&filter.codes));
    let run = filter.run.map(|run| run.0);
    let state = filter.state.map(DeadState::as_str);
    let older_than = filter.older_than.map(micros);
    let rows = sqlx::query_as!(
        LetterRow,
        r#"
        SELECT id AS "id!: i64", received_at AS "received_at!: i64", kind AS "kind!: String",
               state AS "state!: String", queue AS "queue!: String", job_id AS "job_id?: Uuid",
               job_kind AS "job_kind?: String", run_id AS "run_id?: Uuid", batch_id AS "batch_id?: Uuid",
               code AS "code!: String", reason AS "reason!: String", attempts AS "attempts!: i32",
               rescues AS "rescues!: i32", users AS "users!: i64", given_up_by AS "given_up_by!: String",
               resolved_by AS "resolved_by?: String", resolved_at AS "resolved_at?: i64"
        FROM ferry_dead_letters
        WHERE (?1 = '[]' OR id IN (SELECT value FROM json_each(?1)))
          AND (?2 IS NULL OR run_id = ?2)
          AND (?3 = '[]' OR code IN (SELECT value FROM json_each(?3)))
          AND (?4 IS NULL OR state = ?4)
          AND (?5 IS NULL OR received_at <= (SELECT at FROM ferry_now) - ?5)
        ORDER BY id DESC
        LIMIT ?6
        "#,
        ids,
        run,
        codes,
        state,
        older_than,
        most
    )
    .fetch_all(connection)
    .await
    .doing(READING)?;
    rows.into_iter().map(LetterRow::view).collect()
}

/// Kept letters that a filter means, oldest first; none when it asks for others.
pub(crate) async fn kept(connection: &mut SqliteConnection, filter: &DeadFilter) -> Result<Vec<DeadView>> {
    if filter.state.is_some_and(|state| state != DeadState::Kept) {
        return Ok(Vec::new());
    }
    let filter = DeadFilter { state: Some(DeadState::Kept), ..filter.clone() };
    let mut letters = letters(connection, &filter, i64::MAX).await?;
    letters.reverse();
    Ok(letters)
}

/// A person decided on kept letters.
pub(crate) async fn resolve(
    connection: &mut SqliteConnection,
    letters: &[i64],
    state: DeadState,
    by: &str,
) -> Result<()> {
    let (letters, state) = (json(letters), state.as_str());
    sqlx::query!(
        r#"
        UPDATE ferry_dead_letters SET state = ?2, resolved_by = ?3, resolved_at = (SELECT at FROM ferry_now)
        WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'kept'
        "#,
        letters,
        state,
        by
    )
    .execute(connection)
    .await
    .doing("could not resolve dead letters")?;
    Ok(())
}

impl SqliteLedger {
    /// Keeps what came from a queue and was no job.
    pub(crate) async fn keep_payload(&self, letter: &DeadLetter) -> Result<()> {
        let payload = &letter.payload[..letter.payload.len().min(LETTER)];
        let code = letter.code.as_str();
        sqlx::query!(
            r#"
            INSERT INTO ferry_dead_letters (queue, payload, reason, received_at, code, given_up_by)
            SELECT ?1, ?2, ?3, at, ?4, ?5 FROM ferry_now
            "#,
            letter.queue,
            payload,
            letter.reason,
            code,
            letter.by
        )
        .execute(self.writer())
        .await
        .doing(KEEPING)?;
        Ok(())
    }

    /// Marks kept letters as discarded; says how many.
    pub(crate) async fn discard_letters(&self, filter: &DeadFilter, command: &Command<'_>) -> Result<i64> {
        let mut tx = self.write(DISCARDING).await?;
        let letters: Vec<i64> = kept(&mut tx, filter).await?.iter().map(|letter| letter.id).collect();
        if letters.is_empty() {
            return Ok(0);
        }
        resolve(&mut tx, &letters, DeadState::Discarded, command.by).await?;
        let detail = serde_json::json!({ "letters": letters }).to_string();
        audit(&mut tx, command.by, "discard", filter.run, &detail, command.reason).await?;
        tx.commit().await.doing(DISCARDING)?;
        Ok(i64::try_from(letters.len()).unwrap_or(i64::MAX))
    }

    /// Removes letters that were resolved so long ago.
    pub(crate) async fn remove_resolved(&self, resolved_before: Duration) -> Result<i64> {
        let before = micros(resolved_before);
        let removed = sqlx::query!(
            r#"
            DELETE FROM ferry_dead_letters
            WHERE state <> 'kept' AND resolved_at <= (SELECT at FROM ferry_now) - ?1
            "#,
            before
        )
        .execute(self.writer())
        .await
        .doing("could not remove old dead letters")?;
        Ok(i64::try_from(removed.rows_affected()).unwrap_or(i64::MAX))
    }
}
