//! The port of reports, told.

use async_trait::async_trait;
use ferry_domain::{
    Auth0UserId, ItemSeq, Job, Lease, RunId, SourceKey, WriteBackTarget,
    application::RowId,
    ports::{
        AuditLine, BatchVerification, Course, Discrepancy, FailureGroup, Reports, SealedRun, StoredReport,
    },
};

use super::{Result, debug};
use crate::ledger::told::Told;

#[async_trait]
impl Reports for Told {
    async fn record_verification(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        let answer = self.0.ledger.record_verification(lease, found).await;
        self.told(
            format!("record_verification {} matched, {} differ", found.matched, found.discrepancies.len()),
            answer,
            debug,
        )
        .await
    }

    async fn keep_readings(&self, lease: &Lease<Job>, found: &BatchVerification) -> Result<()> {
        let answer = self.0.ledger.keep_readings(lease, found).await;
        self.told(
            format!("keep_readings {} matched, {} differ", found.matched, found.discrepancies.len()),
            answer,
            debug,
        )
        .await
    }

    async fn unread(&self, lease: &Lease<Job>) -> Result<Option<Vec<ItemSeq>>> {
        let answer = self.0.ledger.unread(lease).await;
        self.told("unread".to_owned(), answer, debug).await
    }

    async fn seal_finished(&self) -> Result<u64> {
        let answer = self.0.ledger.seal_finished().await;
        self.told("seal_finished".to_owned(), answer, debug).await
    }

    async fn seal(&self, lease: &Lease<Job>, sealed: &SealedRun) -> Result<i32> {
        let answer = self.0.ledger.seal(lease, sealed).await;
        self.told(format!("seal {}", lease.of.run), answer, debug).await
    }

    async fn end_cancelled(&self, run: RunId, sealed: &SealedRun) -> Result<Option<i32>> {
        let answer = self.0.ledger.end_cancelled(run, sealed).await;
        self.told(format!("end_cancelled {run}"), answer, debug).await
    }

    async fn audit(&self, run: Option<RunId>, most: i64) -> Result<Vec<AuditLine>> {
        self.0.ledger.audit(run, most).await
    }

    async fn failures(&self, run: RunId) -> Result<Vec<FailureGroup>> {
        let answer = self.0.ledger.failures(run).await;
        self.told(format!("failures {run}"), answer, debug).await
    }

    async fn discrepancies(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<Discrepancy>> {
        self.0.ledger.discrepancies(run, after, most).await
    }

    async fn course(&self, run: RunId, most: i64) -> Result<Option<Course>> {
        self.0.ledger.course(run, most).await
    }

    async fn row_ids(
        &self,
        target: &WriteBackTarget,
        users: &[(SourceKey, Auth0UserId)],
    ) -> Result<Vec<RowId>> {
        let answer = self.0.ledger.row_ids(target, users).await;
        self.told(format!("row_ids of {} users", users.len()), answer, debug).await
    }

    async fn report(&self, run: RunId, revision: Option<i32>) -> Result<Option<StoredReport>> {
        self.0.ledger.report(run, revision).await
    }
}
