//! A collector of traces and metrics: what an OpenTelemetry collector does with OTLP over HTTP, kept
//! to be looked at.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    trace::v1::Span as Sent,
};
use prost::Message;

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: i32,
    pub failed: bool,
    pub began: u64,
    pub attributes: BTreeMap<String, String>,
    /// Traces and spans that it is linked with.
    pub links: Vec<(String, String)>,
    /// `service.instance.id` of its process.
    pub process: String,
}

/// Metrics of a process as they arrived together.
#[derive(Clone, Debug)]
pub struct Group {
    pub resource: BTreeMap<String, String>,
    pub metrics: Vec<Metric>,
}

/// A listener on a port of its own, until the process ends.
pub struct Collector {
    pub address: SocketAddr,
    got: Arc<Mutex<Got>>,
}

#[derive(Default)]
struct Got {
    spans: Vec<Span>,
    groups: Vec<Group>,
    bytes: Vec<u8>,
    heads: Vec<String>,
    resource: BTreeMap<String, String>,
}

impl Collector {
    pub fn start() -> Collector {
        Collector::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn at(address: SocketAddr) -> Collector {
        let listener = TcpListener::bind(address).unwrap();
        let collector = Collector { address: listener.local_addr().unwrap(), got: Arc::default() };
        let got = collector.got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let got = got.clone();
                std::thread::spawn(move || while answered(&stream, &got) {});
            }
        });
        collector
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> Vec<Span> {
        self.got.lock().unwrap().spans.clone()
    }

    pub fn groups(&self) -> Vec<Group> {
        self.got.lock().unwrap().groups.clone()
    }

    /// All that arrived, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.got.lock().unwrap().bytes.clone()
    }

    /// First lines and headers of the requests.
    pub fn heads(&self) -> Vec<String> {
        self.got.lock().unwrap().heads.clone()
    }

    /// What the last process says of itself.
    pub fn resource(&self) -> BTreeMap<String, String> {
        self.got.lock().unwrap().resource.clone()
    }
}

/// Reads one request and answers it; false when there is no other.
fn answered(stream: &TcpStream, got: &Mutex<Got>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let at = head.len();
        match reader.read_line(&mut head) {
            Ok(0) | Err(_) => return false,
            Ok(_) if head[at..].trim().is_empty() => break,
            Ok(_) => {}
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let mut got = got.lock().unwrap();
    match head.split(' ').nth(1) {
        Some("/v1/metrics") => got.take_metrics(&body),
        _ => got.take_spans(&body),
    }
    got.heads.push(head);
    got.bytes.extend(&body);
    let mut stream = stream;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .is_ok()
}

impl Got {
    fn take_metrics(&mut self, body: &[u8]) {
        let sent = ExportMetricsServiceRequest::decode(body).unwrap();
        for of_process in sent.resource_metrics {
            let resource = attributes(of_process.resource.unwrap_or_default().attributes);
            let metrics = of_process.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
            self.groups.push(Group { resource, metrics });
        }
    }

    fn take_spans(&mut self, body: &[u8]) {
        let sent = ExportTraceServiceRequest::decode(body).unwrap();
        for of_process in sent.resource_spans {
            let resource = attributes(of_process.resource.unwrap_or_default().attributes);
            let process = resource["service.instance.id"].clone();
            self.resource = resource;
            let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.extend(spans.map(|span| Span::of(span, &process)));
        }
    }
}

impl Span {
    fn of(span: Sent, process: &str) -> Span {
        Span {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            kind: span.kind,
            failed: span.status.unwrap_or_default().code == 2,
            began: span.start_time_unix_nano,
            attributes: attributes(span.attributes),
            links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
            process: process.to_owned(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}
