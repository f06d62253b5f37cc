-- The ledger in the application's own file. Same tables and columns as
-- migrations/postgres, with prefix ferry_ instead of a schema.
--
-- Ids are 16 bytes; times are microseconds since 1970 by ferry_now, so that all
-- comparisons are exact. Codes are checked by their shape only: SQLite can't
-- change a CHECK later, and new codes come with new versions.

CREATE VIEW ferry_now (at) AS SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER);

CREATE TABLE ferry_runs (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    migration       TEXT    NOT NULL,
    source_kind     TEXT    NOT NULL,
    source_location TEXT    NOT NULL,
    spec            TEXT    NOT NULL CHECK (json_valid(spec)),
    state           TEXT    NOT NULL CHECK (state IN
        ('planning', 'planned', 'running', 'paused', 'sealing', 'sealed', 'cancelled', 'stopped')),
    settled_batch   BLOB    NOT NULL CHECK (length(settled_batch) = 16),
    round           INTEGER NOT NULL DEFAULT 1,
    revision        INTEGER NOT NULL DEFAULT 0,
    requested_by    TEXT    NOT NULL,
    reason          TEXT,
    created_at      INTEGER NOT NULL,
    -- Last sign of life while planning; 0 once its rows are being removed.
    touched_at      INTEGER NOT NULL,
    started_at      INTEGER,
    sealed_at       INTEGER
) STRICT;

-- One active run for each source.
CREATE UNIQUE INDEX ferry_runs_active ON ferry_runs (source_kind, source_location)
    WHERE state NOT IN ('sealed', 'cancelled');

CREATE TABLE ferry_batches (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    run_id         BLOB    NOT NULL REFERENCES ferry_runs (id),
    ordinal        INTEGER NOT NULL,
    round          INTEGER NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('open', 'provisioned', 'verified')),
    source         INTEGER NOT NULL DEFAULT 0,
    created        INTEGER NOT NULL DEFAULT 0,
    adopted        INTEGER NOT NULL DEFAULT 0,
    skipped        INTEGER NOT NULL DEFAULT 0,
    conflict       INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    cancelled      INTEGER NOT NULL DEFAULT 0,
    pending        INTEGER NOT NULL DEFAULT 0,
    verified       INTEGER NOT NULL DEFAULT 0,
    discrepancies  INTEGER NOT NULL DEFAULT 0,
    requests       INTEGER NOT NULL DEFAULT 0,
    provisioned_at INTEGER,
    verified_at    INTEGER,
    -- Every user is accounted for, whatever a statement does.
    CHECK (source = created + adopted + skipped + conflict + failed + cancelled + pending),
    CHECK (min(created, adopted, skipped, conflict, failed, cancelled, pending) >= 0)
) STRICT;

CREATE INDEX ferry_batches_of_run ON ferry_batches (run_id, state);

CREATE TABLE ferry_items (
    run_id        BLOB    NOT NULL,
    seq           INTEGER NOT NULL,
    batch_id      BLOB    NOT NULL,
    key           TEXT    NOT NULL,
    place         TEXT    NOT NULL,
    line          INTEGER NOT NULL,
    email         TEXT,
    record        TEXT,
    digest        TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN
        ('pending', 'created', 'adopted', 'skipped', 'conflict', 'failed', 'cancelled')),
    code          TEXT    CHECK (code GLOB '[A-Z]*' AND code NOT GLOB '*[^A-Z0-9_]*'),
    field         TEXT,
    auth0_user_id TEXT,
    -- 1 once Ferry made this user at Auth0, whatever became of the item later:
    -- a rollback deletes only such users.
    made_by_ferry INTEGER NOT NULL DEFAULT 0 CHECK (made_by_ferry IN (0, 1)),
    PRIMARY KEY (run_id, seq),
    CHECK (code IS NOT NULL OR state NOT IN ('skipped', 'conflict', 'failed'))
) STRICT, WITHOUT ROWID;

-- Without the state: a batch is small, and each result would move an entry.
CREATE INDEX ferry_items_of_batch ON ferry_items (batch_id);

-- What reports, lists and retries look for; small where a run goes well.
CREATE INDEX ferry_items_not_moved ON ferry_items (run_id, state, code, seq)
    WHERE state IN ('skipped', 'conflict', 'failed');

CREATE TABLE ferry_jobs (
    -- Also the order of equally old jobs: batches come in their order.
    number      INTEGER NOT NULL PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    run_id      BLOB    NOT NULL REFERENCES ferry_runs (id),
    batch_id    BLOB    REFERENCES ferry_batches (id),
    kind        TEXT    NOT NULL CHECK (kind IN ('provision', 'verify', 'report')),
    state       TEXT    NOT NULL CHECK (state IN ('ready', 'queued', 'leased', 'done', 'dead')),
    priority    INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    send        INTEGER NOT NULL DEFAULT 0,
    queued_at   INTEGER,
    holder      BLOB,
    token       INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0,
    rescues     INTEGER NOT NULL DEFAULT 0,
    code        TEXT    CHECK (code GLOB '[A-Z]*' AND code NOT GLOB '*[^A-Z0-9_]*'),
    traceparent TEXT,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    CHECK ((state = 'leased') = (holder IS NOT NULL)),
    CHECK ((state = 'leased') = (expires_at IS NOT NULL)),
    CHECK ((kind = 'report') = (batch_id IS NULL))
) STRICT;

CREATE INDEX ferry_jobs_ready ON ferry_jobs (priority, created_at, number, not_before) WHERE state = 'ready';
CREATE INDEX ferry_jobs_queued ON ferry_jobs (queued_at) WHERE state = 'queued';
CREATE INDEX ferry_jobs_expiring ON ferry_jobs (expires_at) WHERE state = 'leased';
CREATE INDEX ferry_jobs_held ON ferry_jobs (holder) WHERE state = 'leased';
CREATE INDEX ferry_jobs_of_run ON ferry_jobs (run_id, kind, state);
CREATE UNIQUE INDEX ferry_jobs_of_batch ON ferry_jobs (batch_id, kind) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX ferry_jobs_one_report ON ferry_jobs (run_id)
    WHERE kind = 'report' AND state NOT IN ('done', 'dead');

-- Tries that did not succeed; a success costs no row.
CREATE TABLE ferry_attempts (
    job_id  BLOB    NOT NULL REFERENCES ferry_jobs (id) ON DELETE CASCADE,
    number  INTEGER NOT NULL,
    code    TEXT    NOT NULL,
    took_ms INTEGER NOT NULL,
    holder  BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE ferry_discrepancies (
    run_id        BLOB    NOT NULL,
    seq           INTEGER NOT NULL,
    batch_id      BLOB    NOT NULL,
    key           TEXT    NOT NULL,
    auth0_user_id TEXT    NOT NULL,
    fields        TEXT    NOT NULL CHECK (json_valid(fields)),
    found_at      INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ferry_reports (
    run_id    BLOB    NOT NULL REFERENCES ferry_runs (id),
    revision  INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    report    TEXT    NOT NULL CHECK (json_valid(report)),
    PRIMARY KEY (run_id, revision)
) STRICT;

CREATE TABLE ferry_workers (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    slots      INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;

-- What only one process may do at a time.
CREATE TABLE ferry_roles (
    role       TEXT    NOT NULL PRIMARY KEY,
    holder     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE ferry_dead_letters (
    id          INTEGER NOT NULL PRIMARY KEY,
    queue       TEXT    NOT NULL,
    payload     BLOB    NOT NULL,
    reason      TEXT    NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

-- Who did what, and why. Rows outlive their runs.
CREATE TABLE ferry_audit (
    id     INTEGER NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    run_id BLOB    NOT NULL,
    detail TEXT    NOT NULL CHECK (json_valid(detail)),
    reason TEXT
) STRICT;
