//! What a page must hold, and must not.

use ferry_domain::{Code, RunState, Tally};

use super::{pace::tests::course, *};
use crate::{
    course::Course,
    facts::{Durations, Group, Named, Order, Rate},
    fields::FieldCount,
};

const SEALED: Standing = Standing { state: RunState::Sealed, revision: Some(1), newest: 1 };

fn report(tally: Tally, course: Option<Course>) -> Report {
    Report {
        ferry_report: 1,
        run: "01890000-0000-7000-8000-000000000001".into(),
        migration: "clinic".into(),
        origin: "csv:/users.csv".into(),
        target: "clinic.eu.auth0.com / Users".into(),
        source_digest: "sha256:1".into(),
        round: 1,
        tally,
        adds_up: tally.adds_up(),
        verified: tally.created,
        discrepancies: 0,
        discrepant: Vec::new(),
        table: None,
        groups: Vec::new(),
        durations: Durations {
            planning_seconds: Some(1.5),
            provisioning_seconds: Some(100.0),
            total_seconds: Some(120.0),
            least_seconds: Some(118.5),
        },
        rate: Rate {
            limits: "enterprise".into(),
            requests: 10,
            requests_per_second: Some(9.5),
            users_per_second: Some(4.5),
            allowed_users_per_second: Some(47.5),
        },
        course,
        started_at: Some("2026-01-01T00:00:00Z".into()),
        orders: Vec::new(),
        made_by: "0.1.0".into(),
        made_at: "2026-01-01T00:02:00Z".into(),
    }
}

fn created(users: i64) -> Tally {
    Tally { source: users, created: users, ..Tally::default() }
}

fn steady() -> Course {
    course(1.0, &(0..100).map(|number| (number, 1)).collect::<Vec<_>>(), 10)
}

/// Every text of others in it is this one.
fn hostile(text: &str) -> Report {
    let mut found =
        report(Tally { failed: 1, source: 3, created: 1, skipped: 1, ..Tally::default() }, Some(steady()));
    let texts = [
        &mut found.run,
        &mut found.migration,
        &mut found.origin,
        &mut found.target,
        &mut found.source_digest,
    ];
    texts.into_iter().for_each(|place| *place = text.into());
    found.rate.limits = text.into();
    (found.made_at, found.made_by, found.started_at) = (text.into(), text.into(), Some(text.into()));
    found.discrepant = vec![Named { key: text.into(), seq: 1, fields: vec![text.into()] }];
    found.groups = vec![Group {
        state: ItemState::Failed,
        code: Code::EmailInvalid,
        count: 1,
        fields: vec![FieldCount { field: text.into(), count: 1 }],
        remedy: text.into(),
        retryable: false,
        examples: vec![text.into()],
    }];
    let order = Order {
        at: text.into(),
        by: text.into(),
        action: text.into(),
        detail: Some(text.into()),
        reason: Some(text.into()),
    };
    found.orders = vec![order];
    found.table = Some(crate::Table {
        table: text.into(),
        rows: Default::default(),
        unknown: Some(text.into()),
        as_of: Some(text.into()),
        written_again: None,
    });
    found
}

#[test]
fn whatever_a_text_holds_stays_text() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</style></title></svg><script>",
        "<!--",
        "]]>",
        "javascript:alert(1)",
    ] {
        let page = html(&hostile(text), &SEALED);
        let plain = html(&hostile("plain"), &SEALED);
        let marks = |page: &str, mark: &str| page.matches(mark).count();
        for mark in ["<", ">", "\""] {
            assert_eq!(marks(&page, mark), marks(&plain, mark), "{mark} of {text} came through");
        }
        assert_eq!(marks(&page, "<script"), 0, "{text}");
    }
}

#[test]
fn marks_of_direction_and_long_keys_do_no_harm() {
    let page = html(&hostile("\u{202e}moc.elpmaxe\u{2066}\u{0}"), &SEALED);
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{0}']), "they would turn what follows");
    assert!(page.contains("[U+202E]moc.elpmaxe[U+2066][U+0000]"), "but are told");
    let long = html(&hostile(&"k".repeat(1_000_000)), &SEALED);
    assert!(long.len() < 200_000, "{}", long.len());
}

#[test]
fn a_page_asks_nothing_of_a_network_and_runs_nothing() {
    let page = html(&hostile("plain"), &SEALED).replace("http://www.w3.org/2000/svg", "");
    for word in
        ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url(", "@font-face", "javascript:"]
    {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_first_words_say_what_it_is_and_whether_it_is_right() {
    let of = |report: &Report, standing: &Standing| html(report, standing);
    let good = report(created(1_000), Some(steady()));
    let page = of(&good, &SEALED);
    assert!(page.contains("is sealed: this is revision 1 of its report."));
    assert!(page.contains("The sums add up: each user of the source is counted once."));
    assert!(!page.contains("do not trust"));

    let now = Standing { state: RunState::Running, revision: None, newest: 0 };
    let page = of(&good, &now);
    assert!(page.contains("is running: this is its state now, not its report."), "{page}");

    let bad = report(Tally { source: 5, created: 3, ..Tally::default() }, None);
    let page = of(&bad, &SEALED);
    assert!(page.contains("The sums do not add up: do not trust this report."));
    assert!(!page.contains("The sums add up"));
}

#[test]
fn runs_of_any_size_and_time_have_a_page() {
    let one = course(0.01, &[(0, 1)], 1);
    let long = course(1_296.0, &(0..200).map(|number| (number, 20)).collect::<Vec<_>>(), 250);
    for (found, has, has_not) in [
        (
            report(created(0), Some(Course { steps: Vec::new(), ..one.clone() })),
            "The source has no users.",
            "<svg",
        ),
        (
            report(created(1), Some(one)),
            "1 batch ended: too few to plot",
            "users created or adopted a second<",
        ),
        (report(created(1_000_000), Some(long)), "hours since the start", "too few"),
        (report(created(1_000), None), "made by a version of Ferry that kept no times", "since the start"),
        (
            Report { started_at: None, ..report(created(9), None) },
            "The run was not started.",
            "since the start",
        ),
    ] {
        let page = html(&found, &SEALED);
        assert!(page.contains(has), "{has}: {page}");
        assert!(!page.contains(has_not), "{has_not}: {page}");
        assert!(!page.contains("NaN") && !page.contains("inf "), "{page}");
    }
}

#[test]
fn a_page_has_the_words_and_numbers_of_the_markdown() {
    let mut found = hostile("plain");
    found.groups[0].remedy = "Correct it.".into();
    let (page, text) = (html(&found, &SEALED), crate::markdown(&found));
    for title in text.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    for word in
        ["EMAIL_INVALID", "Correct it.", "Read back and found as written: ", "start to report", "plain"]
    {
        assert!(page.contains(word) && text.contains(word), "{word}");
    }
}

#[test]
fn plots_are_told_to_those_who_do_not_see_them() {
    let page = html(&report(created(1_000), Some(steady())), &SEALED);
    assert_eq!((page.matches("<svg").count(), page.matches("role=\"img\" aria-label=\"").count()), (3, 3));
    assert!(
        page.contains("Users over time: after 1 min 40 s 1,000 of 1,000 users have an outcome and 1,000")
    );
    assert!(page.contains("<html lang=\"en\">"));
    assert_eq!(
        page.matches("<th").count() - page.matches("<thead").count(),
        page.matches("scope=\"").count()
    );
}

#[test]
fn the_style_knows_each_colour_of_the_plots() {
    let mut found = report(
        Tally { source: 1_003, created: 1_000, failed: 1, skipped: 2, ..Tally::default() },
        Some(steady()),
    );
    found.orders = vec![Order {
        at: "2026-01-01T00:00:30Z".into(),
        by: "ann".into(),
        action: "pause".into(),
        detail: None,
        reason: None,
    }];
    let page = html(&found, &SEALED);
    assert!(page.contains("key order"), "the order is marked");
    for kind in ["fill", "stroke"] {
        let begin = format!(" {kind}=\"#");
        for colour in page.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(STYLE.contains(&format!("[{kind}=\"#{colour}\"]")), "{kind} {colour}");
        }
    }
}
