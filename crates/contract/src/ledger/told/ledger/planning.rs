//! Planning, told.

use async_trait::async_trait;
use ferry_domain::{
    ItemSeq, NewItem, RunId, SourceKey, WriteBackTarget,
    app_schema::AppSchema,
    application::{AppTable, Finding},
    migration::people::Overlap,
    ports::{Addressed, Command, MovedAs, MovedOtherwise, MovedUser, NewRun, Planned, Planning},
};

use super::{Result, debug};
use crate::ledger::told::Told;

#[async_trait]
impl Planning for Told {
    async fn migrate(&self) -> Result<()> {
        self.0.ledger.migrate().await
    }

    async fn open_run(&self, run: &NewRun) -> Result<()> {
        let answer = self.0.ledger.open_run(run).await;
        self.told(format!("open_run {} over {}", run.id, run.source), answer, debug).await
    }

    async fn add_items(&self, run: RunId, items: &[NewItem]) -> Result<()> {
        let answer = self.0.ledger.add_items(run, items).await;
        self.told(format!("add_items {run}: {}", items.len()), answer, debug).await
    }

    async fn keep(&self, run: RunId) -> Result<()> {
        self.0.ledger.keep(run).await
    }

    async fn finish_planning(&self, run: RunId, earlier: &[RunId]) -> Result<Planned> {
        let answer = self.0.ledger.finish_planning(run, earlier).await;
        let earlier: String = earlier.iter().map(|earlier| format!(" after {earlier}")).collect();
        self.told(format!("finish_planning {run}{earlier}"), answer, debug).await
    }

    async fn moved_users(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<MovedUser>> {
        self.0.ledger.moved_users(run, after, most).await
    }

    async fn moved_otherwise(&self, earlier: RunId, users: &[MovedUser]) -> Result<Vec<MovedOtherwise>> {
        self.0.ledger.moved_otherwise(earlier, users).await
    }

    async fn moved_of(&self, earlier: RunId, users: &[Addressed]) -> Result<Overlap> {
        self.0.ledger.moved_of(earlier, users).await
    }

    async fn moved_keys(&self, run: RunId, after: ItemSeq, most: i64) -> Result<Vec<(ItemSeq, SourceKey)>> {
        self.0.ledger.moved_keys(run, after, most).await
    }

    async fn settle_changed(&self, run: RunId, then: &[(ItemSeq, MovedAs)]) -> Result<()> {
        self.0.ledger.settle_changed(run, then).await
    }

    async fn start(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.start(run, command).await;
        self.told(format!("start {run}"), answer, debug).await
    }

    async fn abandon(&self, run: RunId, command: &Command<'_>) -> Result<()> {
        let answer = self.0.ledger.abandon(run, command).await;
        self.told(format!("abandon {run}"), answer, debug).await
    }

    async fn prepare_application(&self, target: &WriteBackTarget) -> Result<bool> {
        let answer = self.0.ledger.prepare_application(target).await;
        self.told("prepare_application".to_owned(), answer, debug).await
    }

    async fn application_table(&self, target: &WriteBackTarget) -> Result<AppTable> {
        self.0.ledger.application_table(target).await
    }

    async fn application_schema(&self, target: &WriteBackTarget, names: &[&str]) -> Result<AppSchema> {
        self.0.ledger.application_schema(target, names).await
    }

    async fn remarks(&self) -> Result<Vec<Finding>> {
        self.0.ledger.remarks().await
    }

    async fn check_application(&self, target: &WriteBackTarget) -> Result<()> {
        let answer = self.0.ledger.check_application(target).await;
        self.told("check_application".to_owned(), answer, debug).await
    }
}
