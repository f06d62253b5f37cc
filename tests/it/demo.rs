//! `ferry demo` in an empty folder: what the README's first command promises.

use crate::world::{assert_adds_up, new_place};

const FIELDS: [&str; 13] = [
    "run",
    "source",
    "created",
    "adopted",
    "skipped",
    "conflict",
    "failed",
    "cancelled",
    "pending",
    "verified",
    "discrepancies",
    "duration_seconds",
    "report",
];

#[test]
fn every_planted_case_comes_out_as_planted_twice_alike() {
    let place = new_place();
    let args = ["demo", "--users", "400", "--limits", "off", "--output", "json"];
    let mut counts = Vec::new();
    for _ in 0..2 {
        let shown = place.json(&args);
        for field in FIELDS {
            assert!(shown.get(field).is_some(), "the object lacks {field}: {shown}");
        }
        assert_adds_up(&shown);
        assert_eq!(
            (&shown["source"], &shown["pending"], &shown["discrepancies"]),
            (&400.into(), &0.into(), &0.into())
        );
        let report = shown["report"].as_str().unwrap();
        assert!(!report.starts_with('/'), "the report's path is relative to the operator's folder: {report}");
        let text = std::fs::read_to_string(place.path(report)).unwrap();
        assert!(text.contains("DUPLICATE_EMAIL") && text.contains("ADOPT_UNVERIFIED"), "{text}");
        let page = std::fs::read_to_string(place.path(&report.replace(".md", ".html"))).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("ADOPT_UNVERIFIED"), "{page}");
        counts.push(
            ["created", "adopted", "skipped", "conflict", "failed", "verified"].map(|k| shown[k].clone()),
        );
    }
    assert_eq!(counts[0], counts[1], "the same seed has the same outcome");
}

#[test]
fn the_closing_table_says_where_the_report_is_and_what_to_try_next() {
    let place = new_place();
    let ran = place.run(&["demo", "--users", "40", "--limits", "off"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    for word in [
        "planted",
        "report.md",
        "report.html",
        "Try next",
        "ferry run report",
        "Remove what it made: rm -r ferry-demo-",
    ] {
        assert!(ran.out.contains(word), "the closing words lack {word:?}:\n{}", ran.all());
    }
}

#[test]
fn wrong_figures_are_refused_before_anything_is_made() {
    let place = new_place();
    for (args, word) in [
        (vec!["demo", "--users", "3"], "40"),
        (vec!["demo", "--limits", "gold"], "private-500"),
        (vec!["demo", "--colour"], "--colour"),
    ] {
        let ran = place.run(&args);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(word), "{}", ran.all());
        assert_eq!(
            std::fs::read_dir(place.dir.path()).unwrap().count(),
            0,
            "nothing may be made for {args:?}"
        );
    }
}
