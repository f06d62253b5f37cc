//! Traces as a collector gets them: from the command that starts a run to its report, over
//! three processes.

mod tree;

use std::collections::BTreeSet;

use ferry_simulator::{Config, Faults};

use self::tree::tree;
use crate::{
    collector::{Collector, Span},
    world::{SECRET, World},
};

const ROLES: [&str; 3] = ["provision", "verify,report", "relay"];

/// A world whose processes send their traces to a collector, of this share of the users.
async fn traced(test: &str, simulated: Config, share: &str) -> Option<(World, Collector)> {
    let mut world = World::with(test, simulated).await?;
    let collector = Collector::start();
    world.place.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    world.place.set("OTEL_METRICS_EXPORTER", "none");
    world.place.set("FERRY_TRACES__USER_SHARE", share);
    Some((world, collector))
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn stop_all(world: &mut World) {
    for worker in world.workers() {
        assert_eq!(worker.stop(), 0);
        assert!(!worker.said().contains("are lost"), "{}", worker.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_trace_from_its_start_to_its_report_and_no_span_is_lost() {
    let Some((mut world, collector)) = traced("traces", Config::default(), "1").await else { return };
    let run = world.started(300, &["--batch-size", "50"]);
    for roles in ROLES {
        world.worker(&["--roles", roles, "--log-format", "json"]);
    }
    let sealed = world.until_sealed(&run).await;
    stop_all(&mut world);
    let spans = collector.spans();
    let text = tree(&spans);

    let trace = run.replace('-', "");
    assert!(spans.iter().all(|span| span.trace == trace), "{text}");
    let root = named(&spans, "run start")[0];
    assert_eq!((root.parent.as_str(), root.id.as_str()), ("", &trace[16..]));
    let jobs = world.number("SELECT count(*) FROM ferry.jobs WHERE state = 'done'").await as usize;
    for (step, above, kind) in [("send", "run start", 4), ("process", "send", 5)] {
        let of_step: Vec<&Span> = spans.iter().filter(|span| span.name.starts_with(step)).collect();
        assert_eq!(of_step.len(), jobs, "{step}: {text}");
        for span in of_step {
            let parent = spans.iter().find(|other| other.id == span.parent).unwrap();
            assert!(
                parent.name.starts_with(above) && span.kind == kind,
                "{} below {}",
                span.name,
                parent.name
            );
        }
    }
    let ended =
        spans.iter().filter(|span| span.attributes.get("ferry.job.end").is_some_and(|end| end == "done"));
    assert_eq!(ended.count(), jobs);
    let created = sealed["created"].as_u64().unwrap() as usize;
    assert!(created > 200, "{sealed}");
    for (name, least) in [
        ("create user", created),
        ("POST /api/v2/users", created),
        ("read user back", created),
        ("GET /api/v2/users/{id}", created),
        ("ledger write_back", 6),
        ("ledger write_readings", 6),
    ] {
        assert!(named(&spans, name).len() >= least, "{name}: {} of {least}", named(&spans, name).len());
    }
    let post = named(&spans, "POST /api/v2/users")[0];
    assert_eq!(post.attributes["http.response.status_code"], "201");
    assert_eq!(post.attributes["url.template"], "/api/v2/users");
    let process = named(&spans, "process provision")[0];
    assert_eq!(process.attributes["messaging.operation.type"], "process");
    assert_eq!(process.attributes["messaging.destination.name"], "provision");

    let processes: BTreeSet<&str> = spans.iter().map(|span| span.process.as_str()).collect();
    assert_eq!(processes.len(), 4, "the command and three workers");
    let resource = collector.resource();
    assert_eq!(
        (resource["service.name"].as_str(), resource["service.version"].as_str()),
        ("ferry", env!("CARGO_PKG_VERSION"))
    );
    assert!(collector.heads().iter().all(|head| head.starts_with("POST /v1/traces ")));
    let of_logs = world.workers()[0].said();
    let line = of_logs
        .lines()
        .find(|line| line.contains("batch provisioned"))
        .unwrap_or_else(|| panic!("{of_logs}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["trace_id"], trace.as_str(), "{line}");
    assert!(spans.iter().any(|span| line["span_id"] == span.id.as_str()), "{line}");
    nothing_personal(&collector);
    world.end().await;
}

/// No address and no id of a user, in no part of what was sent.
fn nothing_personal(collector: &Collector) {
    for span in collector.spans() {
        let texts = span.attributes.iter().flat_map(|(key, value)| [key, value]).chain([&span.name]);
        let personal = texts.filter(|text| text.contains('@') || text.contains('|')).collect::<Vec<_>>();
        assert!(personal.is_empty(), "{personal:?} in {span:?}");
    }
    let bytes = collector.bytes();
    let text = String::from_utf8_lossy(&bytes);
    for secret in ["auth0|", "@example", SECRET] {
        assert!(!text.contains(secret), "{secret} is in a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_stays_in_the_trace_and_a_retry_is_one_of_its_own_with_a_link() {
    let faults = Faults { latency_ms: 150, server_errors: 0.15, ..Faults::default() };
    let simulated = Config { faults, ..Config::default() };
    let Some((mut world, collector)) = traced("traces of a rescue", simulated, "1").await else { return };
    let run = world.started(120, &["--batch-size", "30"]);
    for roles in ROLES {
        world.worker(&["--roles", roles]);
    }
    world.until(&run, "under way", |shown| shown["created"].as_i64() > Some(5)).await;
    world.workers()[0].kill();
    world.worker(&["--roles", "provision"]);
    world.until_sealed(&run).await;
    for worker in &mut world.workers()[1..] {
        assert_eq!(worker.stop(), 0);
        assert!(!worker.said().contains("are lost"), "{}", worker.said());
    }
    let spans = collector.spans();
    let text = tree(&spans);
    println!("{text}"); // for whoever wants to see one: --no-capture
    let trace = run.replace('-', "");
    let (once, again): (Vec<&Span>, Vec<&Span>) = spans
        .iter()
        .filter(|span| span.name.starts_with("process "))
        .partition(|span| span.attributes["ferry.job.attempt"] == "1");
    assert!(!again.is_empty(), "{text}");
    for retry in again {
        assert_ne!(retry.trace, trace, "{text}");
        assert_eq!((retry.parent.as_str(), retry.links.len()), ("", 1));
        assert_eq!(retry.links[0].0, trace);
        assert!(
            spans.iter().any(|span| span.id == retry.links[0].1 && span.name.starts_with("send ")),
            "{text}"
        );
    }
    assert!(once.iter().all(|span| span.trace == trace), "{text}");
    let rescued = once.iter().filter(|span| span.attributes["ferry.job.rescues"] != "0");
    assert!(rescued.count() > 0, "{text}");
    let failed =
        spans.iter().find(|span| span.attributes.get("ferry.job.end").is_some_and(|end| end == "retried"));
    let failed = failed.unwrap_or_else(|| panic!("{text}"));
    assert!(failed.failed && failed.attributes.contains_key("error.type"));
    nothing_personal(&collector);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_told_once_and_stops_no_work() {
    let Some((mut world, _)) = traced("traces without a collector", Config::default(), "1").await else {
        return;
    };
    world.place.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    world.place.set("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret-of-traces");
    world.place.set("OTEL_BSP_SCHEDULE_DELAY", "200");
    let run = world.started(300, &["--batch-size", "50"]);
    world.worker(&["--log", "trace"]);
    world.until_sealed(&run).await;
    let worker = &mut world.workers()[0];
    assert_eq!(worker.stop(), 0);
    let said = worker.said();
    assert_eq!(said.matches("traces can't be sent to http://127.0.0.1:9/v1/traces").count(), 1, "{said}");
    assert!(said.contains("spans were not taken by http://127.0.0.1:9/v1/traces and are lost"), "{said}");
    assert!(!said.contains("s3cret-of-traces"));
    world.end().await;
}

#[test]
fn a_wrong_variable_of_traces_is_refused_before_anything_is_done() {
    let mut place = crate::world::new_place();
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://anna:s3cret@collector:4318");
    let ran = place.run(&["demo"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.err.contains("OTEL_EXPORTER_OTLP_ENDPOINT holds a user or a password"), "{}", ran.err);
    assert!(!ran.all().contains("s3cret"));
}
