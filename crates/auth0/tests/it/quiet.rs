//! Nothing of a user, a secret or a token shows up in any log, whatever the level.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use ferry_auth0::QUIET_TARGETS;
use ferry_domain::{ports::Directory, telemetry::traces::TARGET_USER};
use ferry_simulator::{Config, Faults, Simulator};
use tracing::Instrument;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

use crate::world::{PASSWORD, SECRET, client, client_with, settings, user};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Calls of all kinds, refused and broken ones included, with everything written down.
async fn log_of_all_calls(filter: &str) -> String {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Requests have spans where they are for a user who has one.
    all_calls().instrument(tracing::info_span!(target: TARGET_USER, "user")).await;

    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

async fn all_calls() {
    let faults = Faults { expire_tokens_after: Some(3), ..Faults::default() };
    let simulator = Simulator::start(Config { faults, ..Config::default() }).await.unwrap();
    let auth0 = client(&simulator.base_url());
    let new = user(1);
    auth0.create(&new).await.unwrap();
    auth0.create(&new).await.unwrap_err();
    auth0.get(&new.id).await.unwrap();
    auth0.by_email("user1@example.com").await.unwrap();
    let mut long = user(2);
    long.record.given_name = Some("Zebedee".repeat(30));
    let error = auth0.create(&long).await.unwrap_err();
    tracing::info!(%error, ?error, user = ?new, "an error as callers log it");
    auth0.delete(&new.id).await.unwrap();

    let mut wrong = settings(&simulator.base_url());
    wrong.client_secret = format!("{SECRET}-wrong").into();
    let error = client_with(wrong).0.authenticate().await.unwrap_err();
    tracing::info!(%error, ?error, "an error as callers log it");
    simulator.shutdown().await;
    let error = auth0.by_email("user1@example.com").await.unwrap_err();
    tracing::info!(%error, ?error, "an error as callers log it");
}

#[tokio::test]
async fn nothing_personal_and_nothing_secret_is_logged_at_trace() {
    let log = log_of_all_calls(&format!("trace,{}", QUIET_TARGETS.join(","))).await;
    assert!(log.contains("request{otel.name=\"POST /api/v2/users\""), "{log}");
    assert!(log.contains("url.template=\"/api/v2/users-by-email\""), "{log}");
    assert!(log.contains("http.response.status_code=201"), "{log}");
    // eyJ begins every token: base64 of {".
    for secret in
        ["user1", "User1", "example.com", "Zebedee", "User Number", PASSWORD, SECRET, "eyJ", "nurse"]
    {
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
}
