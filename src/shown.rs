//! What several commands print in the same way.

use ferry_domain::{RunView, ports::DeadView};
use ferry_operations::{
    Access, Error,
    plan::Settled,
    report::{self, Shown},
};
use ferry_report::Report;

use crate::output;

/// What becomes of a source's records: users to send, and what a rule settled, by reason.
pub fn planned(to_send: i64, settled: &[Settled]) -> String {
    let mut rows = vec![vec!["to send".to_owned(), String::new(), to_send.to_string(), String::new()]];
    rows.extend(settled.iter().map(|settled| {
        vec![
            settled.state.as_str().to_owned(),
            settled.code.to_string(),
            settled.count.to_string(),
            settled.remedy.to_owned(),
        ]
    }));
    output::table(&["what", "code", "users", "remedy"], rows, &[2])
}

/// `payload`, or what the job of a dead letter would have done.
pub fn what(letter: &DeadView) -> String {
    letter.job_kind.map_or_else(|| letter.kind.as_str().to_owned(), |kind| kind.to_string())
}

/// The report of a run; says so where it is not the kept one.
pub async fn report(access: &Access, run: &RunView, revision: Option<i32>) -> Result<Report, Error> {
    let Shown { report, kept } = report::show(access, run, revision).await?;
    if !kept {
        output::say(&format!("Run {} is {}: this is its state now, not its report.", run.id, run.state));
    }
    Ok(report)
}
