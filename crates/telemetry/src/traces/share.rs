//! Which runs are recorded, where the environment asks for a share of them. The samplers of the
//! SDK can't: they look at the second half of a trace's id, whose first bits are the same
//! in every run's id, or at the flag of a parent that no process has begun.

use ferry_domain::{RunId, telemetry::traces::takes_run};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// Records this share of the runs, from 0 to 1, each as a whole: in every process, with its
/// retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShareOfRuns(pub(super) f64);

impl ShouldSample for ShareOfRuns {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _trace: TraceId,
        _name: &str,
        _kind: &SpanKind,
        attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let parent =
            parent.map(|parent| parent.span().span_context().clone()).filter(|parent| parent.is_valid());
        let taken = match (run_of(attributes), parent) {
            (Some(run), _) => takes_run(run, self.0),
            // Below a span of this process, which was decided on by its run.
            (None, Some(parent)) => parent.is_sampled(),
            (None, None) => self.0 > 0.0,
        };
        let decision = if taken { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

fn run_of(attributes: &[KeyValue]) -> Option<RunId> {
    let of_run = attributes.iter().find(|attribute| attribute.key.as_str() == "ferry.run.id")?;
    match &of_run.value {
        Value::String(text) => text.as_str().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
    use uuid::Uuid;

    use super::*;

    fn decided(share: f64, attributes: &[KeyValue], parent: Option<bool>) -> bool {
        let context = parent.map(|sampled| {
            let flags = TraceFlags::default().with_sampled(sampled);
            let of = SpanContext::new(TraceId::from(7), SpanId::from(7), flags, true, TraceState::NONE);
            Context::new().with_remote_span_context(of)
        });
        let kind = SpanKind::Internal;
        let result =
            ShareOfRuns(share).should_sample(context.as_ref(), TraceId::from(7), "", &kind, attributes, &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_share_of_the_runs_is_taken_and_each_of_them_as_a_whole() {
        let run = |number: u128| {
            let uuid =
                uuid::Builder::from_unix_timestamp_millis(1_764_000_000_000, &mixed(number)).into_uuid();
            vec![KeyValue::new("ferry.run.id", RunId(uuid).to_string())]
        };
        let taken = |share| (0..1_000).filter(|number| decided(share, &run(*number), Some(true))).count();
        assert_eq!((taken(0.0), taken(1.0)), (0, 1_000));
        assert!((400..600).contains(&taken(0.5)), "{}", taken(0.5));
        for number in 0..100 {
            assert_eq!(decided(0.5, &run(number), Some(true)), decided(0.5, &run(number), None), "a retry");
        }
        assert!(decided(0.5, &[], Some(true)) && !decided(0.5, &[], Some(false)));
    }

    fn mixed(number: u128) -> [u8; 10] {
        let bytes = Uuid::new_v5(&Uuid::nil(), &number.to_be_bytes()).into_bytes();
        bytes[..10].try_into().unwrap()
    }
}
