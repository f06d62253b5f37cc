//! Envelopes as bytes, and back.
//!
//! Decoding is ours and not apalis's: a payload its codec can't read ends the
//! worker, is rescued as an orphan and ends the next one, for ever (fault 2).

use ferry_domain::{Envelope, JobKind, ports::Delivery};
use serde::Deserialize;
use serde_json::error::Category;

/// The bytes that travel: JSON, so that a person can read them in Redis.
pub(crate) fn encode(envelope: &Envelope) -> Vec<u8> {
    // Can't fail: there is no map with keys other than strings, and no type that can refuse.
    serde_json::to_vec(envelope).unwrap_or_default()
}

/// What came from the queue of a kind. Everything that is not one of our
/// envelopes for it is handed on as it is, with the reason.
pub(crate) fn decode(queue: &str, kind: JobKind, payload: Vec<u8>) -> Delivery {
    match read(kind, &payload) {
        Ok(envelope) => Delivery::Job(envelope),
        Err(reason) => Delivery::Undecodable { queue: queue.to_owned(), payload, reason },
    }
}

/// Reasons name positions and numbers, never content: an unknown payload may hold anything.
fn read(kind: JobKind, payload: &[u8]) -> Result<Envelope, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let newest = u64::from(Envelope::VERSION);
    // The version first: a later layout may lack what this one demands.
    let Version { version } = serde_json::from_slice(payload).map_err(describe)?;
    if !(1..=newest).contains(&version) {
        return Err(format!("layout version {version}; this Ferry reads 1 to {newest}"));
    }
    let envelope: Envelope = serde_json::from_slice(payload).map_err(describe)?;
    if envelope.kind != kind {
        return Err(format!("an envelope of kind {} in the queue of {kind}", envelope.kind));
    }
    Ok(envelope)
}

fn describe(error: serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => format!("JSON, but no envelope (line {line}, column {column})"),
        _ => format!("not JSON (line {line}, column {column})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ferry_contract::queue::envelopes;

    use super::*;

    fn reason(payload: &[u8]) -> String {
        match decode("q", JobKind::Provision, payload.to_vec()) {
            Delivery::Undecodable { payload: kept, reason, .. } => {
                assert_eq!(kept, payload, "the payload is kept as it came");
                reason
            }
            Delivery::Job(job) => panic!("read as {job:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let sent = envelopes(JobKind::Provision, 1).remove(0);
        let Delivery::Job(came) = decode("q", JobKind::Provision, encode(&sent)) else { panic!("not read") };
        assert_eq!(came, sent);
    }

    #[test]
    fn what_is_not_ours_gives_a_reason_without_content() {
        assert_eq!(reason(b""), "not JSON (line 1, column 0)");
        assert_eq!(reason(&[0, 159, 146, 150]), "not JSON (line 1, column 1)");
        assert_eq!(reason(b"{\"version\":1,"), "not JSON (line 1, column 13)");
        assert!(reason(b"{\"version\":1,\"kind\":\"ada@example.com\"}").starts_with("JSON, but no envelope"));
        assert!(!reason(b"{\"version\":1,\"kind\":\"ada@example.com\"}").contains("ada"));
        assert_eq!(reason(b"{\"version\":99}"), "layout version 99; this Ferry reads 1 to 1");
        assert_eq!(reason(b"{\"version\":0}"), "layout version 0; this Ferry reads 1 to 1");
        let stray = encode(&envelopes(JobKind::Verify, 1)[0]);
        assert_eq!(reason(&stray), "an envelope of kind verify in the queue of provision");
    }
}
