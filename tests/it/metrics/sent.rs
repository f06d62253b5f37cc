//! Metrics as a collector gets them over OTLP, beside the page of the same worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    time::Duration,
};

use ferry_domain::telemetry::metrics::{ALL, Kind, Metric};
use ferry_testbed::comes_true;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, NumberDataPoint, metric::Data, number_data_point::Value,
};

use super::strict::{self, Family};
use crate::{
    collector::{Collector, Group, attributes},
    world::{SECRET, World, new_place},
};

const POLL: Duration = Duration::from_millis(50);

/// Numbers that move although nothing is done: ages, the process itself, the renewal of leases.
const MOVING: [&str; 4] = ["ferry.clock.skew", "ferry.ledger.operation", "process.", "_age"];

/// How long a run takes is not known once it has ended.
const NOT_AT_THE_END: &str = "ferry.run.eta";

/// Series by their labels: the number, or of a histogram the sum.
type Series = BTreeMap<BTreeMap<String, String>, f64>;

/// A metric as it was sent.
#[derive(Debug, PartialEq)]
struct Sent {
    unit: String,
    help: String,
    kind: &'static str,
    series: Series,
}

fn sent(group: &Group) -> BTreeMap<String, Sent> {
    let one = |metric: &opentelemetry_proto::tonic::metrics::v1::Metric| {
        let (kind, series) = of_data(metric.data.as_ref().unwrap());
        let (unit, help) = (metric.unit.clone(), metric.description.clone());
        (metric.name.clone(), Sent { unit, help, kind, series })
    };
    group.metrics.iter().map(one).collect()
}

fn of_data(data: &Data) -> (&'static str, Series) {
    let number = |point: &NumberDataPoint| match point.value {
        Some(Value::AsDouble(number)) => (attributes(point.attributes.clone()), number),
        other => panic!("{other:?} is no floating point number"),
    };
    match data {
        Data::Gauge(gauge) => ("gauge", gauge.data_points.iter().map(number).collect()),
        Data::Sum(sum) => {
            let kind = if sum.is_monotonic { "counter" } else { "up-down" };
            (kind, sum.data_points.iter().map(number).collect())
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter();
            ("histogram", points.map(|at| (attributes(at.attributes.clone()), at.sum.unwrap())).collect())
        }
        other => panic!("nobody makes these: {other:?}"),
    }
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::UpDown => "up-down",
        Kind::Histogram(_) => "histogram",
    }
}

/// The last group that arrived after this is called.
async fn next(collector: &Collector) -> Group {
    let before = collector.groups().len();
    // The first may have been read before.
    assert!(comes_true(POLL, async || collector.groups().len() >= before + 2).await, "nothing is sent");
    collector.groups().pop().unwrap()
}

fn page_of(world: &mut World) -> BTreeMap<String, Family> {
    let said = world.workers()[0].said();
    let address = said.split("metrics and health at http://").nth(1).and_then(|rest| rest.lines().next());
    let Some(address) = address else { return BTreeMap::new() };
    let (_, answer) = super::get(address.parse().unwrap(), "/metrics");
    strict::read(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn at_the_end() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().filter(|metric| metric.instrument != NOT_AT_THE_END)
}

/// Whether the page has every metric, and the exporter's reading is that of the end.
fn is_whole(page: &BTreeMap<String, Family>) -> bool {
    let none = |name: &str| page[name].series.iter().all(|(_, number)| *number == 0.0);
    page.len() == at_the_end().count()
        && !page["ferry_users_remaining"].series.is_empty()
        && none("ferry_users_remaining")
        && none("ferry_queue_jobs")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_page_is_sent_under_its_own_name_with_its_unit_and_the_same_number() {
    let Some(mut world) = World::new("metrics that are sent").await else { return };
    let collector = Collector::start();
    world.place.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    world.place.set("OTEL_TRACES_EXPORTER", "none");
    world.place.set("OTEL_METRIC_EXPORT_INTERVAL", "200");
    world.place.set("AUTH0_PLAN", "custom:200:200");
    let run = world.started(300, &["--batch-size", "50"]);
    world.worker(&["--listen", "127.0.0.1:0"]);
    world.until_sealed(&run).await;
    let mut page = BTreeMap::new();
    let whole = comes_true(POLL, async || {
        page = page_of(&mut world);
        is_whole(&page)
    });
    let whole = whole.await;
    let missing: Vec<_> = at_the_end().filter(|metric| !page.contains_key(metric.name)).collect();
    assert!(whole, "{missing:?}");
    let group = next(&collector).await;
    let sent = sent(&group);

    let names: BTreeSet<&str> = sent.keys().map(String::as_str).collect();
    assert_eq!(names, at_the_end().map(|metric| metric.instrument).collect());
    for metric in at_the_end() {
        let (here, there) = (&page[metric.name], &sent[metric.instrument]);
        assert_eq!((there.unit.as_str(), there.kind), (metric.unit, kind(metric)), "{}", metric.instrument);
        assert_eq!(there.help, metric.help);
        let series: Series = here.series.iter().cloned().collect();
        if MOVING.iter().any(|part| metric.instrument.contains(part)) {
            let labels = |of: &Series| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(labels(&series), labels(&there.series), "{}", metric.instrument);
        } else {
            assert_eq!(series, there.series, "{}", metric.instrument);
        }
    }
    let of_queue = |queue: &str| BTreeMap::from([("queue".to_owned(), queue.to_owned())]);
    let enqueued = |queue| sent["ferry.jobs.enqueued"].series[&of_queue(queue)];
    assert!(enqueued("provision") >= 6.0 && enqueued("report") >= 1.0, "300 users in batches of 50");
    let verified =
        BTreeMap::from([("run".to_owned(), run.clone()), ("state".to_owned(), "verified".to_owned())]);
    assert!(sent["ferry.batches"].series[&verified] >= 6.0);
    assert!(sent["ferry.job.attempts"].series[&of_queue("verify")] >= 6.0, "one attempt for each batch");
    for metric in &group.metrics {
        let since = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => sum.aggregation_temporality,
            Data::Histogram(histogram) => histogram.aggregation_temporality,
            _ => continue,
        };
        assert_eq!(since, AggregationTemporality::Cumulative as i32, "{}", metric.name);
    }
    assert_eq!(world.workers()[0].stop(), 0);
    nothing_personal(&collector);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_numbers_are_sent_at_the_end_of_a_worker_without_a_page() {
    let Some(mut world) = World::new("the last metrics").await else { return };
    let collector = Collector::start();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{}/v1/metrics", collector.endpoint())),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20s3cret-of-metrics".to_owned()),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "3600000".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test".to_owned()),
    ] {
        world.place.set(name, value);
    }
    let run = world.started(120, &["--batch-size", "40"]);
    world.worker(&["--log", "trace"]);
    let sealed = world.until_sealed(&run).await;
    assert!(collector.groups().is_empty(), "the hour is not over");
    let worker = &mut world.workers()[0];
    assert_eq!(worker.stop(), 0);
    let said = worker.said();
    assert!(!said.contains("are lost") && !said.contains("s3cret-of-metrics"), "{said}");

    let groups = collector.groups();
    assert_eq!(groups.len(), 1, "once, at the end");
    let sent = sent(&groups[0]);
    let created = BTreeMap::from([("outcome".to_owned(), "created".to_owned())]);
    assert_eq!(Some(sent["ferry.users_settled"].series[&created]), sealed["created"].as_f64());
    assert_eq!(sent["ferry.worker.ready"].series[&BTreeMap::new()], 0.0, "read after the work");
    let Some(Data::Sum(settled)) =
        groups[0].metrics.iter().find(|metric| metric.name == "ferry.users_settled").unwrap().data.clone()
    else {
        panic!("a counter is a sum")
    };
    assert_eq!(settled.aggregation_temporality, AggregationTemporality::Delta as i32);

    let resource = &groups[0].resource;
    for (key, value) in [
        ("service.name", "ferry"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(resource[key], value, "{key}");
    }
    let id = &resource["service.instance.id"];
    assert!(said.contains(&format!("ferry worker {id} at")), "{id} is not the worker's");
    let [head] = &collector.heads()[..] else { panic!("one request") };
    assert!(head.starts_with("POST /v1/metrics "), "{head}");
    assert!(head.contains("authorization: Bearer s3cret-of-metrics"), "{head}");
    nothing_personal(&collector);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_work_and_is_told_once_and_once_when_it_is_back() {
    let Some(mut world) = World::new("metrics without a collector").await else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    world.place.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
    world.place.set("OTEL_TRACES_EXPORTER", "none");
    world.place.set("OTEL_METRIC_EXPORT_INTERVAL", "100");
    let run = world.started(120, &["--batch-size", "40"]);
    world.worker(&["--log", "trace"]);
    world.until_sealed(&run).await;
    let away = format!("metrics can't be sent to http://{address}/v1/metrics");
    let is_told = |world: &mut World, what: &str| world.workers()[0].said().contains(what);
    assert!(comes_true(POLL, async || is_told(&mut world, &away)).await);

    let collector = Collector::at(address);
    let back = format!("metrics are taken again by http://{address}/v1/metrics");
    assert!(comes_true(POLL, async || is_told(&mut world, &back)).await);
    assert!(collector.groups().len() < 100, "what was missed is not sent afterwards");
    let worker = &mut world.workers()[0];
    assert_eq!(worker.stop(), 0);
    let said = worker.said();
    assert_eq!((said.matches(&away).count(), said.matches(&back).count()), (1, 1), "{said}");
    assert!(!said.contains("are lost"), "{said}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_keeps_no_worker_from_its_end() {
    let Some(mut world) = World::new("a collector that hangs").await else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    world.place.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", silent.local_addr().unwrap()));
    let run = world.started(60, &["--batch-size", "30"]);
    world.worker(&[]);
    world.until_sealed(&run).await;
    let worker = &mut world.workers()[0];
    worker.signal("TERM");
    // Far more than the five seconds for traces and metrics together, far less than for ever.
    let ended = worker.ended(Duration::from_secs(60)).await;
    assert!(ended.success(), "{}", worker.said());
    let said = worker.said();
    assert!(said.contains("the last metrics were not taken by http://"), "{said}");
    drop(silent);
    world.end().await;
}

#[test]
fn a_wrong_variable_of_metrics_is_refused_by_a_worker_and_not_looked_at_by_others() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "s1nce"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "s3cret"),
    ] {
        let mut place = new_place();
        place.set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9/v1/metrics");
        place.set(name, value);
        let ran = place.run(&["worker"]);
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(name) && !ran.all().contains("s3cret"), "{}", ran.err);
        assert_eq!(place.run(&["config", "show"]).code, 0);
    }
}

fn nothing_personal(collector: &Collector) {
    let bytes = collector.bytes();
    let text = String::from_utf8_lossy(&bytes);
    for personal in ["auth0|", "@example", SECRET] {
        assert!(!text.contains(personal), "{personal} is in what was sent");
    }
    for group in collector.groups() {
        for (name, Sent { series, .. }) in sent(&group) {
            let words = series.keys().flat_map(|labels| labels.values());
            let strange: Vec<&String> = words.filter(|word| word.contains(['@', '|', ' '])).collect();
            assert!(strange.is_empty(), "{name}: {strange:?}");
        }
    }
}
