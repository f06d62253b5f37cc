//! Whether each planted case came out as planted, and the demo's last words.

use std::{collections::BTreeMap, path::Path};

use ferry_domain::{
    RunId, RunView, Tally,
    ports::{ItemFilter, ItemPages, ItemView, Items},
};
use ferry_seed::Population;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{output, table};

const PAGE: i64 = 2_000;

/// One line for each kind of case that came out otherwise than planted.
pub async fn not_as_planted(
    items: &dyn Items,
    run: &RunView,
    population: &Population,
) -> anyhow::Result<Vec<String>> {
    let mut odd: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = 0;
    let mut pages = ItemPages::of(items, run.id, ItemFilter::default(), PAGE);
    while let Some(page) = pages.next().await? {
        seen += page.len() as u64;
        for item in &page {
            if let Some(line) = compare(item, population) {
                *odd.entry(line).or_default() += 1;
            }
        }
    }
    let mut lines: Vec<String> = odd.into_iter().map(|(line, users)| format!("{users} × {line}")).collect();
    if seen != population.user_count() {
        lines.push(format!("{} users were planted, {seen} are in the ledger", population.user_count()));
    }
    Ok(lines)
}

fn compare(item: &ItemView, population: &Population) -> Option<String> {
    let Ok(id) = item.key.0.parse::<u64>() else {
        return Some("a user with a key that was not planted".into());
    };
    let case = population.case_of(id);
    let expected = case.expected();
    let code = item.code.map(|c| c.as_str());
    if item.state.as_str() == expected.state && code == expected.code {
        return None;
    }
    let say = |state: &str, code: Option<&str>| {
        format!("{state} {}", code.unwrap_or_default()).trim_end().to_owned()
    };
    Some(format!(
        "{}: expected {}, came out {}",
        case.name(),
        say(expected.state, expected.code),
        say(item.state.as_str(), code)
    ))
}

/// How a demo ended: the last line of `--output json`.
#[derive(Serialize, JsonSchema)]
pub struct Summary {
    pub run: RunId,
    /// The sums; `source` is the sum of the seven others.
    #[serde(flatten)]
    pub tally: Tally,
    /// Users read back and found as written.
    pub verified: i64,
    /// Users read back that differ, or were not found.
    pub discrepancies: i64,
    pub duration_seconds: f64,
    /// Where the report is.
    pub report: String,
}

/// How the demo ended.
pub fn summary(run: &RunView, seconds: f64, report: &Path) -> Summary {
    Summary {
        run: run.id,
        tally: run.tally,
        verified: run.verified,
        discrepancies: run.discrepancies,
        duration_seconds: (seconds * 1_000.0).round() / 1_000.0,
        report: report.display().to_string(),
    }
}

/// The closing table.
pub fn print(run: &RunView, population: &Population, seconds: f64, report: &Path, file: &Path) {
    let expected = population.expected();
    let t = &run.tally;
    let row =
        |what: &str, came: i64, planted: u64| vec![what.to_owned(), came.to_string(), planted.to_string()];
    let rows = vec![
        row("created", t.created, expected.created),
        row("adopted", t.adopted, expected.adopted),
        row("skipped", t.skipped, expected.skipped),
        row("conflict", t.conflict, expected.conflict),
        row("failed", t.failed, expected.failed),
        row("cancelled", t.cancelled, 0),
        row("pending", t.pending, 0),
        row("source", t.source, population.user_count()),
        row("verified", run.verified, expected.created + expected.adopted),
        row("discrepancies", run.discrepancies, 0),
    ];
    output::data(&table::table(&["outcome", "users", "planted"], rows, &[1, 2]));
    let page = report.with_extension("html");
    let report = report.display();
    output::data(&format!("\n{} users in {seconds:.1} s. Report: {report}", t.source));
    output::data(&format!("As a page with plots, for a browser: {}", page.display()));
    let ledger = format!("DATABASE_URL=sqlite://{}", file.display());
    output::data(&format!(
        "\nTry next:\n  less {report}\n  {ledger} ferry run list\n  {ledger} ferry run report {} --output csv\n  ferry demo --users 10000 --limits enterprise\n\nRemove what it made: rm -r {}",
        run.id,
        file.parent().unwrap_or(file).display()
    ));
}
