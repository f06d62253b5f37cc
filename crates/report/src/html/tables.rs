//! The tables, in the order and the words of the Markdown. On a narrow screen each row becomes a
//! block in which the cells say the name of their column.

use ferry_domain::ItemState;
use maud::{Markup, html};

use super::{
    course::plot,
    outcomes, plots,
    text::{count, duration, foreign, moment, sentence, share, visible},
};
use crate::facts::{Group, Report};

/// A table that folds on a narrow screen.
fn table(columns: &[&str], rows: Markup) -> Markup {
    html! {
        table {
            thead { tr { @for column in columns { th scope="col" { (column) } } } }
            tbody { (rows) }
        }
    }
}

/// Users by outcome.
pub(super) fn users(report: &Report) -> Markup {
    let tally = &report.tally;
    let told = outcomes().map(|state| format!("{} {}", state.as_str(), count(tally.count(state))));
    let seen = format!("Users by outcome: {}.", told.collect::<Vec<_>>().join(", "));
    html! {
        section {
            h2 { "Users" }
            div.pair {
                @if tally.source > 0 {
                    (plot(plots::outcomes(tally), &seen, html! { "Users by outcome." }))
                } @else {
                    p { "The source has no users." }
                }
                table.few {
                    thead { tr { th scope="col" { "outcome" } th.number scope="col" { "users" } th.number scope="col" { "share" } } }
                    tbody {
                        @for state in outcomes() {
                            tr {
                                th scope="row" { (state.as_str()) }
                                td.number { (count(tally.count(state))) }
                                td.number { (share(tally.count(state), tally.source)) }
                            }
                        }
                        tr.sum { th scope="row" { "source" } td.number { (count(tally.source)) } td {} }
                    }
                }
            }
            p {
                "Read back and found as written: " (count(report.verified)) "; otherwise: "
                (count(report.discrepancies)) "."
            }
        }
    }
}

/// Who needs a person, and who was left out.
pub(super) fn groups(report: &Report) -> Markup {
    let (left_out, needs): (Vec<&Group>, Vec<&Group>) =
        report.groups.iter().partition(|group| group.state == ItemState::Skipped);
    html! {
        (groups_of("Who needs a person", &needs, report.tally.source))
        (groups_of("Left out", &left_out, report.tally.source))
    }
}

fn groups_of(title: &str, groups: &[&Group], source: i64) -> Markup {
    if groups.is_empty() {
        return html! {};
    }
    let rows = html! {
        @for group in groups {
            tr {
                td data-name="state" { (group.state.as_str()) }
                th scope="row" data-name="code" { (group.code) }
                td data-name="fields" {
                    @for (at, of) in group.fields.iter().enumerate() {
                        @if at > 0 { ", " }
                        (foreign(&of.field)) " " (count(of.count))
                    }
                }
                td.number data-name="users" { (count(group.count)) " " span.small { (share(group.count, source)) } }
                td data-name="retry" { @if group.retryable { "yes" } @else { "no" } }
                td data-name="remedy" { (sentence(&group.remedy)) }
                td data-name="for example" {
                    @for (at, example) in group.examples.iter().enumerate() {
                        @if at > 0 { ", " }
                        (foreign(example))
                    }
                }
            }
        }
    };
    html! {
        section.wide.groups {
            h2 { (title) }
            (table(&["state", "code", "fields", "users", "retry", "remedy", "for example"], rows))
        }
    }
}

/// Users that were not found as written.
pub(super) fn discrepancies(report: &Report) -> Markup {
    if report.discrepant.is_empty() {
        return html! {};
    }
    let rows = html! {
        @for named in &report.discrepant {
            tr {
                th scope="row" data-name="key" { (foreign(&named.key)) }
                td data-name="differs in" {
                    @if named.fields.is_empty() { "missing at Auth0" } @else { (sentence(&named.fields.join(", "))) }
                }
            }
        }
    };
    let named = report.discrepant.len() as i64;
    html! {
        section.wide {
            h2 { "Discrepancies" }
            (table(&["key", "differs in"], rows))
            @if named < report.discrepancies {
                p { "These are the first " (count(named)) " of " (count(report.discrepancies)) "." }
            }
        }
    }
}

/// What was ordered, in order of time.
pub(super) fn orders(report: &Report) -> Markup {
    if report.orders.is_empty() {
        return html! {};
    }
    let rows = html! {
        @for order in &report.orders {
            tr {
                td data-name="when" { (moment(&order.at)) }
                th scope="row" data-name="what" { (foreign(&order.told())) }
                td data-name="who" { (foreign(&order.by)) }
                td data-name="why" { (foreign(order.reason.as_deref().unwrap_or_default())) }
            }
        }
    };
    html! { section.wide { h2 { "Orders" } (table(&["when", "what", "who", "why"], rows)) } }
}

/// Durations, and the use of the tenant's limit.
pub(super) fn pace(report: &Report) -> Markup {
    let (durations, rate) = (&report.durations, &report.rate);
    let time = |value: Option<f64>| value.map_or("–".to_owned(), duration);
    let per_second = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value}\u{a0}/s"));
    let rows = [
        ("planning, with the wait for an answer", time(durations.planning_seconds)),
        ("provisioning", time(durations.provisioning_seconds)),
        ("start to report", time(durations.total_seconds)),
        ("least under these limits", time(durations.least_seconds)),
        ("users created or adopted", per_second(rate.users_per_second)),
        ("requests", format!("{} ({})", count(rate.requests), per_second(rate.requests_per_second))),
        (
            "limits",
            format!("{} ({} users)", visible(&rate.limits), per_second(rate.allowed_users_per_second)),
        ),
    ];
    html! {
        section {
            h2 { "Pace" }
            table.few {
                thead { tr { th scope="col" { "what" } th.number scope="col" { "figure" } } }
                tbody {
                    @for (what, figure) in rows {
                        tr { th scope="row" { (what) } td.number { (figure) } }
                    }
                }
            }
        }
    }
}
