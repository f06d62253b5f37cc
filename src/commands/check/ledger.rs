//! Whether the ledger is there, is up to date, and sees deaths immediately.

use std::sync::Arc;

use ferry_domain::{
    liveness::FRESH,
    ports::{Ledger, LedgerError, WaitReason, WorkerRecord},
};
use ferry_operations::units::counted;
use secrecy::SecretString;

use super::{Line, error, ok, warning};
use crate::{
    place::Place,
    setup::Setup,
    wiring::{self, FileState, Misplaced},
};

const POOLER: &str = "Point DATABASE_URL at the server itself, or at a pool that keeps sessions; until then a dead worker is noticed only when its lease runs out (within 10 s).";

const UNWRITTEN: &str =
    "Make room where the disk is full, or end what holds the file; until then workers wait.";

const UNWRITTEN_SERVER: &str = "Have the server take writes: its disk may be full, it may be a standby, or it or this database \
    user may be set read-only; until then workers wait.";

/// Returns whether the ledger's database takes writes, as far as is known.
pub async fn check(place: &Place, setup: &Setup, lines: &mut Vec<Line>) -> bool {
    match place {
        Place::Sqlite(path) if !path.is_file() => {
            lines.push(ok("ledger", format!("{}: none yet, run start makes it", place.shown())));
        }
        Place::Sqlite(path) => lines.push(match wiring::looked_at(path).await {
            Ok(FileState::Absent) => {
                ok("ledger", format!("{}: none in it yet, run start makes it", place.shown()))
            }
            Ok(_) if misplaced(setup).await.is_some_and(|found| found.both) => error(
                "ledger",
                format!("{}: the application's file holds another ledger with runs, which nothing uses", place.shown()),
                "Look at it with FERRY_LEDGER_URL set to the application's file. Where it is an old copy, drop its \
                 tables that begin with ferry_; where it is the right one, move the other file away and run ferry \
                 migrate --yes.",
            ),
            Ok(_) if misplaced(setup).await.is_some() => warning(
                "ledger",
                format!(
                    "{}: in the application's file, which its schema tool may rebuild without it",
                    place.shown()
                ),
                "Run ferry migrate --yes: it moves the ledger into a file of its own.",
            ),
            Ok(FileState::Older) => ok(
                "ledger",
                format!("{}, of an older Ferry: brought up to date when next used", place.shown()),
            ),
            Ok(FileState::Current) => match wiring::try_write(path, &checker(setup)).await {
                Ok(()) => ok("ledger", format!("{}, up to date", place.shown())),
                Err(wrong) => error("ledger", format!("{}: {wrong:#}", place.shown()), UNWRITTEN),
            },
            Err(wrong) => {
                error("ledger", format!("{wrong:#}"), "Correct DATABASE_URL, or do what is said there.")
            }
        }),
        Place::Postgres(url) => return postgres(url, &place.shown(), setup, lines).await,
    }
    true
}

async fn misplaced(setup: &Setup) -> Option<Misplaced> {
    wiring::misplaced(&setup.servers).await.ok().flatten()
}

async fn postgres(url: &SecretString, shown: &str, setup: &Setup, lines: &mut Vec<Line>) -> bool {
    let ledger = match wiring::postgres(url, setup).await {
        Ok(ledger) => ledger,
        Err(wrong) => {
            let remedy = "Start PostgreSQL, or correct DATABASE_URL or FERRY_LEDGER_URL.";
            lines.push(error("ledger", format!("{wrong:#}"), remedy));
            return true;
        }
    };
    if let Err(wrong) = ledger.runs(1).await {
        lines.push(error("ledger", format!("{shown}: {wrong}"), remedy(&wrong)));
        return true;
    }
    let registration = registration(&ledger, setup).await;
    lines.push(match &registration {
        Ok(_) => ok("ledger", format!("{shown}, up to date")),
        Err(wrong) => error("ledger", format!("{shown}: can't be written to: {wrong}"), UNWRITTEN_SERVER),
    });
    for remark in ledger.remarks().await.unwrap_or_default() {
        lines.push(warning("ledger", remark.what, remark.remedy));
    }
    lines.push(workers(&*ledger).await);
    let takes_writes = registration.is_ok();
    lines.extend(registration.ok().map(|unwatched| match unwatched {
        None => ok("registration", "a worker's death is seen immediately"),
        Some(why) => warning("registration", why, POOLER),
    }));
    takes_writes
}

/// What the error's own words do not say.
fn remedy(wrong: &LedgerError) -> &'static str {
    match wrong.to_string() {
        words if words.contains("ferry migrate") => "Run ferry migrate --yes.",
        words if words.contains("pooler") => "Correct DATABASE_URL or FERRY_LEDGER_URL.",
        _ => "Until then nothing can be planned or sent.",
    }
}

/// Who would work, and who only waits.
async fn workers(ledger: &dyn Ledger) -> Line {
    let all = match ledger.workers().await {
        Ok(all) => all,
        Err(wrong) => return error("workers", wrong, "Until then nobody can say who works."),
    };
    let living: Vec<_> =
        all.iter().filter(|worker| worker.silent_for <= FRESH && worker.record.slots > 0).collect();
    let waiting = living.iter().filter(|worker| worker.record.waiting_for.is_some()).count();
    let count = counted(i64::try_from(living.len()).unwrap_or(i64::MAX), "worker");
    ok(
        "workers",
        match (living.len(), waiting) {
            (0, _) => "none runs: ferry worker".to_owned(),
            (_, 0) => format!("{count} at work"),
            (_, waiting) => format!("{count}, {waiting} of them waiting: ferry queue list"),
        },
    )
}

/// Registers as a worker would, without slots, and leaves immediately. Returns why deaths
/// are not seen, if they are not.
async fn registration(ledger: &Arc<dyn Ledger>, setup: &Setup) -> Result<Option<String>, LedgerError> {
    let record = checker(setup);
    let presence = ledger.register(&record).await?;
    let unwatched = presence.unwatched.clone();
    drop(presence);
    ledger.retire(record.id).await?;
    Ok(unwatched)
}

/// What this command says of itself where it writes.
fn checker(setup: &Setup) -> WorkerRecord {
    WorkerRecord { waiting_for: Some(WaitReason("only checks".to_owned())), ..wiring::record(setup, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_tables_are_a_matter_of_migrate() {
        let wrong = |reason: &str| {
            let reason = reason.to_owned();
            remedy(&LedgerError::Unavailable { doing: "could not be read", reason, passes: false })
        };
        assert!(wrong("the ledger's tables are missing: run `ferry migrate`").contains("migrate"));
        for reason in ["a pooler before the server shares its connections", "a statement took too long"] {
            assert!(!wrong(reason).contains("migrate"), "{reason}");
        }
    }
}
