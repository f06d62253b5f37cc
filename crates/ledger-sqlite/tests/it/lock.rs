//! One embedded process per file.

use ferry_ledger_sqlite::{EmbeddedLock, LockError};

#[test]
fn the_second_taker_is_told_who_has_it_until_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let lock = EmbeddedLock::take(&file).unwrap();
    assert!(folder.path().join("app.db.ferry-lock").exists(), "beside the file, which need not be there");
    let refused = EmbeddedLock::take(&file).unwrap_err();
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(matches!(refused, LockError::Held { pid: Some(_), .. }));
    EmbeddedLock::take(&folder.path().join("other.db")).unwrap();
    drop(lock);
    EmbeddedLock::take(&file).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let refused = EmbeddedLock::take(&folder.path().join("nowhere/app.db")).unwrap_err();
    assert!(matches!(refused, LockError::Io { .. }));
    assert!(refused.to_string().contains("app.db.ferry-lock"), "{refused}");
}
