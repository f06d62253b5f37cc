//! The report as one page, for people who want to see that a run was whole. It asks nothing of any
//! network and has no script: it can be kept beside the data, sent, and printed. The words are those
//! of the Markdown. Rejected: a plotting script within the page, since what can run can also be
//! refused to run, by a mail program or a policy.

mod course;
mod pace;
mod plots;
mod tables;
mod text;

use ferry_domain::ItemState;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{facts::Report, standing::Standing};
use text::{count, foreign, moment, sentence, visible};

const STYLE: &str = include_str!("html/style.css");

/// The outcomes in the order of reports.
fn outcomes() -> impl Iterator<Item = ItemState> {
    ItemState::ALL.into_iter().skip(1).chain([ItemState::Pending])
}

/// The report as one HTML file; `standing` says what it is of the run.
pub fn html(report: &Report, standing: &Standing) -> String {
    let title = format!("Report of run {}", visible(&report.run));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is fetched and nothing runs, whatever stands in the page.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report, standing, &title))
                    (tables::users(report))
                    (course::course(report))
                    @if let Some(told) = report.table.as_ref().map(|table| table.standing(&report.run)) {
                        section { h2 { "Ids" } p { "Ids in the application's table: " (sentence(&told)) "." } }
                    }
                    (tables::groups(report))
                    (tables::discrepancies(report))
                    (tables::orders(report))
                    (tables::pace(report))
                }
            }
        }
    };
    page.into_string() + "\n"
}

/// What a reader has to know first: what this is, and whether it is right.
fn head(report: &Report, standing: &Standing, title: &str) -> Markup {
    let tally = &report.tally;
    html! {
        header {
            h1 { (title) }
            p {
                (foreign(&report.migration)) " from " (foreign(&report.origin)) " to " (foreign(&report.target))
                ", round " (report.round) ". "
                @if let Some(at) = &report.started_at { "Started " (moment(at)) ". " }
                "Made " (moment(&report.made_at)) " by Ferry " (visible(&report.made_by)) "."
            }
            @if !report.source_digest.is_empty() {
                p.small { "Digest of the source: " (foreign(&report.source_digest)) "." }
            }
            p.verdict.open[!standing.is_final()] { strong { (standing.told(&visible(&report.run))) } }
            @if report.adds_up {
                p.verdict { "The sums add up: each user of the source is counted once." }
            } @else {
                p.verdict.wrong { strong { "The sums do not add up: do not trust this report." } }
            }
            dl.figures {
                (figure("source", tally.source))
                (figure("created", tally.created))
                (figure("adopted", tally.adopted))
                (figure("failed or conflict", tally.failed + tally.conflict))
                (figure("read back and found as written", report.verified))
                (figure("read back otherwise", report.discrepancies))
            }
        }
    }
}

fn figure(what: &str, users: i64) -> Markup {
    html! { div { dt { (what) } dd { (count(users)) } } }
}

#[cfg(test)]
mod tests;
