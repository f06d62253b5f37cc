//! The report as a page, through the binary.

use serde_json::Value;

use crate::world::World;

fn users(course: &Value) -> i64 {
    let steps = course["steps"].as_array().unwrap();
    let ended = |step: &Value| step["source"].as_i64().unwrap();
    ended(&course["before"]) + steps.iter().map(ended).sum::<i64>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_as_a_page_says_what_it_is_and_shows_the_run() {
    let Some(mut world) = World::new("page").await else { return };
    let run = world.started(300, &["--batch-size", "20"]);
    let page = |args: &[&str]| {
        let ran = world.place.must(&[&["run", "report", &run, "--output", "html"], args].concat());
        assert!(ran.out.starts_with("<!DOCTYPE html>") && ran.out.ends_with("</html>\n"), "{}", ran.out);
        (ran.out, ran.err)
    };
    let begun = page(&[]);
    let words = format!("Run {run} is running: this is its state now, not its report.");
    assert!(begun.0.contains(&words) && begun.1.contains(&words), "{}", begun.1);
    assert!(begun.0.contains("No batch of users has ended."), "{}", begun.0);

    world.worker(&[]);
    world.until_sealed(&run).await;
    let report = world.place.json(&["run", "report", &run, "--output", "json"]);
    assert_eq!(users(&report["course"]), report["source"].as_i64().unwrap(), "{report}");
    let page = world.place.must(&["run", "report", &run, "--output", "html", "--revision", "1"]).out;
    assert!(page.contains(&format!("Run {run} is sealed: this is revision 1 of its report.")), "{page}");
    assert!(page.contains("The sums add up: each user"), "{page}");
    assert_eq!(page.matches("<svg").count(), 2 + usize::from(!page.contains("too few to plot")), "{page}");
    for word in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
    for group in report["groups"].as_array().unwrap() {
        assert!(page.contains(group["code"].as_str().unwrap()), "{group}");
    }
    // The page tells what was kept, and not what the ledger has meanwhile.
    world.execute("UPDATE ferry.batches SET provisioned_at = now() + interval '9 days'").await;
    assert_eq!(world.place.must(&["run", "report", &run, "--output", "html"]).out, page);
    world.end().await;
}
