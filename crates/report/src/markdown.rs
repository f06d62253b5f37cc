//! The report for people.

use std::fmt::Write;

use ferry_domain::ItemState;

use crate::facts::{Group, Report};

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write!(out, "# Report of run {}\n\n", report.run);
    let _ = writeln!(
        out,
        "{} from {} to {}, round {}. {}Made {} by Ferry {}.\n",
        report.migration,
        report.origin,
        report.target,
        report.round,
        report.started_at.as_ref().map(|at| format!("Started {at}. ")).unwrap_or_default(),
        report.made_at,
        report.made_by
    );
    if !report.source_digest.is_empty() {
        let _ = writeln!(out, "Digest of the source: {}.\n", report.source_digest);
    }
    tally(&mut out, report);
    let (left_out, needs): (Vec<&Group>, Vec<&Group>) =
        report.groups.iter().partition(|group| group.state == ItemState::Skipped);
    table(&mut out, report);
    groups(&mut out, "Who needs a person", &needs);
    groups(&mut out, "Left out", &left_out);
    discrepancies(&mut out, report);
    orders(&mut out, report);
    pace(&mut out, report);
    out
}

fn tally(out: &mut String, report: &Report) {
    let _ = writeln!(out, "## Users\n\n| outcome | users |\n|---|---:|");
    for state in ItemState::ALL.iter().skip(1).chain(&[ItemState::Pending]) {
        let _ = writeln!(out, "| {} | {} |", state.as_str(), report.tally.count(*state));
    }
    let _ = writeln!(out, "| **source** | **{}** |\n", report.tally.source);
    if !report.adds_up {
        let _ = writeln!(out, "**The sums do not add up: do not trust this report.**\n");
    }
    let _ = writeln!(
        out,
        "Read back and found as written: {}; otherwise: {}.\n",
        report.verified, report.discrepancies
    );
}

fn groups(out: &mut String, title: &str, groups: &[&Group]) {
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## {title}\n\n| state | code | fields | users | retry | remedy | for example |\n|---|---|---|---:|---|---|---|"
    );
    for group in groups {
        let retry = if group.retryable { "yes" } else { "no" };
        let fields = group.fields.iter().map(|of| format!("{} {}", of.field, of.count));
        let cell = |texts: Vec<String>| texts.join(", ").replace('|', "\\|");
        let (fields, examples) = (cell(fields.collect()), cell(group.examples.clone()));
        let state = group.state.as_str();
        let _ = writeln!(
            out,
            "| {state} | {} | {fields} | {} | {retry} | {} | {examples} |",
            group.code, group.count, group.remedy
        );
    }
    out.push('\n');
}

/// Whether ids that were written are there still.
fn table(out: &mut String, report: &Report) {
    let Some(table) = &report.table else { return };
    let _ = writeln!(out, "Ids in the application's table: {}.\n", table.standing(&report.run));
}

fn discrepancies(out: &mut String, report: &Report) {
    if report.discrepant.is_empty() {
        return;
    }
    let _ = writeln!(out, "## Discrepancies\n\n| key | differs in |\n|---|---|");
    for named in &report.discrepant {
        let what =
            if named.fields.is_empty() { "missing at Auth0".to_owned() } else { named.fields.join(", ") };
        let _ = writeln!(out, "| {} | {what} |", named.key.replace('|', "\\|"));
    }
    out.push('\n');
}

fn orders(out: &mut String, report: &Report) {
    if report.orders.is_empty() {
        return;
    }
    let _ = writeln!(out, "## Orders\n\n| when | what | who | why |\n|---|---|---|---|");
    for order in &report.orders {
        let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let why = order.reason.as_deref().unwrap_or_default();
        let _ =
            writeln!(out, "| {} | {} | {} | {} |", order.at, cell(&order.told()), cell(&order.by), cell(why));
    }
    out.push('\n');
}

fn pace(out: &mut String, report: &Report) {
    let figure = |value: Option<f64>, unit: &str| value.map_or("–".to_owned(), |v| format!("{v} {unit}"));
    let (durations, rate) = (&report.durations, &report.rate);
    let _ = writeln!(out, "## Pace\n\n| what | figure |\n|---|---:|");
    let _ = writeln!(
        out,
        "| planning, with the wait for an answer | {} |",
        figure(durations.planning_seconds, "s")
    );
    let _ = writeln!(out, "| provisioning | {} |", figure(durations.provisioning_seconds, "s"));
    let _ = writeln!(out, "| start to report | {} |", figure(durations.total_seconds, "s"));
    let _ = writeln!(out, "| least under these limits | {} |", figure(durations.least_seconds, "s"));
    let _ = writeln!(out, "| users created or adopted | {} |", figure(rate.users_per_second, "/s"));
    let _ = writeln!(out, "| requests | {} ({}) |", rate.requests, figure(rate.requests_per_second, "/s"));
    let _ =
        writeln!(out, "| limits | {} ({} users) |", rate.limits, figure(rate.allowed_users_per_second, "/s"));
}
