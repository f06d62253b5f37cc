//! The plots: outcomes, and what happened when.

use maud::{Markup, PreEscaped, html};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    pace::{self, Span},
    plots::{self, Time},
    text::{brief, count, duration, visible},
};
use crate::{course::Course, facts::Report};

/// Orders marked in a plot; more of them would hide it.
const MARKS: usize = 40;
/// A limit this many times above all rates is told, not drawn: the rates would lie on the axis.
const FAR: f64 = 10.0;

/// A plot with its words. `seen` tells those who do not see it what it shows.
pub(super) fn plot(svg: Option<String>, seen: &str, told: Markup) -> Markup {
    html! {
        figure {
            @match svg {
                Some(svg) => { div.plot role="img" aria-label=(seen) { (PreEscaped(svg)) } },
                None => { p { "This plot could not be drawn." } },
            }
            figcaption { (told) }
        }
    }
}

/// What ended when, and how fast.
pub(super) fn course(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Over time" }
            @match &report.course {
                None if report.started_at.is_none() => { p { "The run was not started." } },
                None => { p { "This report was made by a version of Ferry that kept no times in it." } },
                Some(course) if course.steps.is_empty() => { p { "No batch of users has ended." } },
                Some(course) => { div.pair.plots { (sums(report, course)) (rates(report, course)) } },
            }
        }
    }
}

fn time(report: &Report, course: &Course) -> Time {
    let length = course.length() as f64 * course.step_seconds;
    let (seconds, unit) = pace::unit(length);
    let begun = OffsetDateTime::parse(&course.begun_at, &Rfc3339).ok();
    let after = |at: &str| Some((OffsetDateTime::parse(at, &Rfc3339).ok()? - begun?).as_seconds_f64());
    let orders = report.orders.iter().filter_map(|order| after(&order.at));
    let within = orders.filter(|&at| at > 0.0 && at < length).map(|at| at / seconds);
    Time { end: length / seconds, seconds, unit, orders: within.take(MARKS).collect() }
}

fn sums(report: &Report, course: &Course) -> Markup {
    let (moments, time) = (pace::sums(course), time(report, course));
    let last = &moments[moments.len() - 1];
    let length = duration(time.end * time.seconds);
    let seen = format!(
        "Users over time: after {length} {} of {} users have an outcome and {} were read back.",
        count(last.ended),
        count(report.tally.source),
        count(last.read_back)
    );
    let left = report.tally.source - last.ended;
    plot(
        plots::sums(&moments, report.tally.source, &time),
        &seen,
        html! {
            span.key.main { "users with an outcome" } ", " span.key.other { "users read back" }
            (marks(&time))
            ". A batch counts as a whole, when its last user ended. Users who were taken up again count where \
             they ended last."
            @if left > 0 { " " (count(left)) " users are in batches that are open, and are not in this plot." }
            @if course.before.source > 0 {
                " A rule settled " (count(course.before.source)) " users before the start."
            }
        },
    )
}

fn rates(report: &Report, course: &Course) -> Markup {
    let spans = match pace::rates(course) {
        Ok(spans) => spans,
        Err(batches) => {
            let batches =
                if batches == 1 { "1 batch".to_owned() } else { format!("{} batches", count(batches)) };
            return html! {
                p { (batches) " ended: too few to plot users a second over time. The mean is in Pace." }
            };
        }
    };
    let most = spans.iter().map(|span| span.per_second).fold(0.0, f64::max);
    let (allowed, time) = (report.rate.allowed_users_per_second, time(report, course));
    let drawn = allowed.filter(|allowed| *allowed <= most * FAR);
    let limits = visible(&report.rate.limits);
    let said = match allowed {
        None => format!("The limits {limits} give no number of users."),
        Some(allowed) => format!("The limits {limits} allow {} users a second.", brief(allowed)),
    };
    let seen = format!(
        "Users created or adopted a second over time: up to {} in one of {} spans. {said}",
        brief(most),
        spans.len()
    );
    let long = spans.first().map(|Span { from, to, .. }| duration(to - from)).unwrap_or_default();
    plot(
        plots::rates(&spans, drawn, &time),
        &seen,
        html! {
            span.key.main { "users created or adopted a second" }
            @if drawn.is_some() { ", " span.key.other { "what the limits allow" } }
            (marks(&time))
            ". " (said)
            @if allowed.is_some() && drawn.is_none() { " That is far above this plot." }
            @if report.orders.iter().any(|order| order.action == "rate") {
                " Other limits were ordered meanwhile: see Orders."
            }
            " A step is the mean of about " (long)
            "; since a batch counts when it ends, one can be a little above the limits. When each request was \
             sent is not kept; their number is in Pace."
        },
    )
}

fn marks(time: &Time) -> Markup {
    html! { @if !time.orders.is_empty() { ", " span.key.order { "orders" } } }
}
