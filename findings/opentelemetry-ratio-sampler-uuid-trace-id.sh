#!/usr/bin/env bash
# Tool: opentelemetry_sdk 0.33.1 for Rust, its sampler TraceIdRatioBased (OTEL_TRACES_SAMPLER=traceidratio);
#   uuid 1.29.3.
# Case: the id of a job, a run or a request is a UUID, 16 bytes, and is taken as the trace's id, so that whoever
#   knows the one finds the other. OpenTelemetry and W3C Trace Context ask for 16 bytes that are not all zero.
# Expected: a sampler with a share of 0.25 records about a quarter of the traces.
# What happens: the sampler compares the second half of the trace's id with the share. In every UUID, of version 4
#   as of version 7, that half begins with the two bits of the variant, always 10. So its value is in the third
#   quarter of the range: a share up to 0.5 records no trace at all, and one from 0.75 on records every trace.
# Output seen:
#   share 0.25: of 2000 traces with random ids 519, with UUIDs of version 4 0, of version 7 0
#   share 0.5: of 2000 traces with random ids 1036, with UUIDs of version 4 0, of version 7 0
#   share 0.75: of 2000 traces with random ids 1492, with UUIDs of version 4 2000, of version 7 2000
#   (numbers of the first column differ from run to run)
# Instead: a sampler of one's own that mixes the bits before it compares, or a trace's id of which the UUID is the
#   hash's input.
# Exit code: 0 as described, 1 it changed, 2 the packages could not be installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "sampled"
version = "0.1.0"
edition = "2024"

[dependencies]
opentelemetry = { version = "=0.33.1", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["trace"] }
uuid = { version = "=1.29.3", features = ["v4", "v7"] }
END
cat >src/main.rs <<'END'
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};
use uuid::Uuid;

fn recorded(share: f64, id: impl Fn() -> TraceId) -> usize {
    let sampler = Sampler::TraceIdRatioBased(share);
    let decide = |id| sampler.should_sample(None, id, "job", &SpanKind::Internal, &[], &[]).decision;
    (0..2_000).filter(|_| decide(id()) == SamplingDecision::RecordAndSample).count()
}

fn main() {
    let random = RandomIdGenerator::default();
    let mut as_described = true;
    for (share, all) in [(0.25, 0), (0.5, 0), (0.75, 2_000)] {
        let expected = recorded(share, || random.new_trace_id());
        let v4 = recorded(share, || TraceId::from_bytes(Uuid::new_v4().into_bytes()));
        let v7 = recorded(share, || TraceId::from_bytes(Uuid::now_v7().into_bytes()));
        println!("share {share}: of 2000 traces with random ids {expected}, with UUIDs of version 4 {v4}, of version 7 {v7}");
        let usual = (share * 2_000.0 - expected as f64).abs() < 200.0;
        as_described &= usual && v4 == all && v7 == all;
    }
    std::process::exit(if as_described { 0 } else { 1 });
}
END
cargo build --quiet || { echo "could not install"; exit 2; }
target/debug/sampled || { echo "changed: another share is recorded"; exit 1; }
