//! The program's allocator and SQLite's, with the settings they were built with (`.cargo/config.toml`, ADR 0024).

use std::process::Command;

#[test]
fn the_program_has_its_allocator_with_the_settings_of_the_decision() {
    let mut ferry = Command::new(env!("CARGO_BIN_EXE_ferry"));
    let ran = ferry.arg("--version").env("_RJEM_MALLOC_CONF", "stats_print:true").output().unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success() && told.contains("jemalloc statistics"), "{told}");
    for setting in ["opt.narenas: 1\n", "opt.dirty_decay_ms: 0 ", "opt.muzzy_decay_ms: 0 "] {
        assert!(told.contains(setting), "{setting:?} is not in {told}");
    }
}

#[tokio::test]
async fn connections_of_sqlite_share_no_memory() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let options: Vec<String> = sqlx::query_scalar("PRAGMA compile_options").fetch_all(&pool).await.unwrap();
    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}
