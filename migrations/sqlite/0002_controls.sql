-- Runs that are being cancelled, controls, thresholds, registrations, and dead letters of jobs.
-- Only expands. One process has the file, so no older one works beside it.

-- SQLite can't change a CHECK, so ferry_runs is made anew with its rows. References to it
-- go by name and are checked at the end of the transaction, when all rows are back.
-- Not by ALTER TABLE … RENAME: it fails where the application has a view that no longer works.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE ferry_runs_before AS SELECT * FROM ferry_runs;
DROP TABLE ferry_runs;

CREATE TABLE ferry_runs (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    migration       TEXT    NOT NULL,
    source_kind     TEXT    NOT NULL,
    source_location TEXT    NOT NULL,
    spec            TEXT    NOT NULL CHECK (json_valid(spec)),
    state           TEXT    NOT NULL CHECK (state IN
        ('planning', 'planned', 'running', 'paused', 'sealing', 'sealed', 'cancelling', 'cancelled', 'stopped')),
    settled_batch   BLOB    NOT NULL CHECK (length(settled_batch) = 16),
    round           INTEGER NOT NULL DEFAULT 1,
    revision        INTEGER NOT NULL DEFAULT 0,
    requested_by    TEXT    NOT NULL,
    reason          TEXT,
    created_at      INTEGER NOT NULL,
    -- Last sign of life while planning; 0 once its rows are being removed.
    touched_at      INTEGER NOT NULL,
    started_at      INTEGER,
    sealed_at       INTEGER,
    -- Plan of limits that replaces the configured one.
    rate            TEXT,
    -- Why it is paused or stopped: a code, or a person's words.
    why             TEXT,
    -- Failed and conflicting, and all ended items at the start or the last resume:
    -- limits on failures count from there.
    failed_before   INTEGER NOT NULL DEFAULT 0,
    ended_before    INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO ferry_runs (id, migration, source_kind, source_location, spec, state, settled_batch, round, revision,
                        requested_by, reason, created_at, touched_at, started_at, sealed_at)
SELECT id, migration, source_kind, source_location, spec, state, settled_batch, round, revision,
       requested_by, reason, created_at, touched_at, started_at, sealed_at
FROM ferry_runs_before;
DROP TABLE ferry_runs_before;

-- One active run for each source.
CREATE UNIQUE INDEX ferry_runs_active ON ferry_runs (source_kind, source_location)
    WHERE state NOT IN ('sealed', 'cancelled');

-- What operators said to all processes.
CREATE TABLE ferry_controls (
    name   TEXT    NOT NULL PRIMARY KEY,
    value  TEXT    NOT NULL,
    set_by TEXT    NOT NULL,
    set_at INTEGER NOT NULL,
    reason TEXT
) STRICT;

-- 1 for a process that registered: it has the file, and all others are dead.
ALTER TABLE ferry_workers ADD COLUMN watched INTEGER NOT NULL DEFAULT 0 CHECK (watched IN (0, 1));
ALTER TABLE ferry_workers ADD COLUMN waits TEXT;

-- Until now all letters were payloads that nobody could read. A job's has an empty payload.
ALTER TABLE ferry_dead_letters ADD COLUMN kind TEXT NOT NULL DEFAULT 'payload' CHECK (kind IN ('payload', 'job'));
ALTER TABLE ferry_dead_letters ADD COLUMN state TEXT NOT NULL DEFAULT 'kept'
    CHECK (state IN ('kept', 'redriven', 'discarded'));
ALTER TABLE ferry_dead_letters ADD COLUMN code TEXT NOT NULL DEFAULT 'UNDECODABLE'
    CHECK (code GLOB '[A-Z]*' AND code NOT GLOB '*[^A-Z0-9_]*');
ALTER TABLE ferry_dead_letters ADD COLUMN job_id BLOB;
ALTER TABLE ferry_dead_letters ADD COLUMN job_kind TEXT CHECK (job_kind IN ('provision', 'verify', 'report'));
ALTER TABLE ferry_dead_letters ADD COLUMN run_id BLOB;
ALTER TABLE ferry_dead_letters ADD COLUMN batch_id BLOB;
ALTER TABLE ferry_dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ferry_dead_letters ADD COLUMN rescues INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ferry_dead_letters ADD COLUMN users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ferry_dead_letters ADD COLUMN given_up_by TEXT NOT NULL DEFAULT '';
ALTER TABLE ferry_dead_letters ADD COLUMN resolved_by TEXT;
ALTER TABLE ferry_dead_letters ADD COLUMN resolved_at INTEGER;

CREATE INDEX ferry_dead_letters_of_run ON ferry_dead_letters (run_id) WHERE run_id IS NOT NULL;

-- Some commands are said to all runs: their lines in the audit name none.
CREATE TABLE ferry_audit_before AS SELECT * FROM ferry_audit;
DROP TABLE ferry_audit;
CREATE TABLE ferry_audit (
    id     INTEGER NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    run_id BLOB,
    detail TEXT    NOT NULL CHECK (json_valid(detail)),
    reason TEXT
) STRICT;
INSERT INTO ferry_audit (id, at, actor, action, run_id, detail, reason)
SELECT id, at, actor, action, run_id, detail, reason FROM ferry_audit_before;
DROP TABLE ferry_audit_before;
