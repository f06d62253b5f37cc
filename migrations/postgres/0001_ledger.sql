-- The ledger: the lasting record of what Ferry did. Schema `ferry` stands beside
-- the application's tables; `ferry._migrations` says which of these files ran.
-- Times come from clock_timestamp(), so that all processes share one clock.

-- A W3C trace context for a job that SQL makes: two random ids, sampled.
CREATE FUNCTION ferry.new_traceparent() RETURNS text
LANGUAGE sql VOLATILE
RETURN '00-' || replace(gen_random_uuid()::text, '-', '')
    || '-' || left(replace(gen_random_uuid()::text, '-', ''), 16) || '-01';

CREATE TABLE ferry.runs (
    id              uuid PRIMARY KEY,
    migration       text NOT NULL,
    source_kind     text NOT NULL,
    source_location text NOT NULL,
    spec            jsonb NOT NULL,
    state           text NOT NULL CHECK (state IN
        ('planning', 'planned', 'running', 'paused', 'sealing', 'sealed', 'cancelled', 'stopped')),
    settled_batch   uuid NOT NULL,
    round           integer NOT NULL DEFAULT 1,
    revision        integer NOT NULL DEFAULT 0,
    requested_by    text NOT NULL,
    reason          text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    touched_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at      timestamptz,
    sealed_at       timestamptz
);

CREATE UNIQUE INDEX runs_one_active_per_source ON ferry.runs (source_kind, source_location)
    WHERE state NOT IN ('sealed', 'cancelled');

CREATE TABLE ferry.batches (
    id             uuid PRIMARY KEY,
    run_id         uuid NOT NULL REFERENCES ferry.runs (id),
    ordinal        bigint NOT NULL,
    round          integer NOT NULL,
    state          text NOT NULL CHECK (state IN ('open', 'provisioned', 'verified')),
    source         bigint NOT NULL DEFAULT 0,
    created        bigint NOT NULL DEFAULT 0,
    adopted        bigint NOT NULL DEFAULT 0,
    skipped        bigint NOT NULL DEFAULT 0,
    conflict       bigint NOT NULL DEFAULT 0,
    failed         bigint NOT NULL DEFAULT 0,
    cancelled      bigint NOT NULL DEFAULT 0,
    pending        bigint NOT NULL DEFAULT 0,
    verified       bigint NOT NULL DEFAULT 0,
    discrepancies  bigint NOT NULL DEFAULT 0,
    requests       bigint NOT NULL DEFAULT 0,
    provisioned_at timestamptz,
    verified_at    timestamptz,
    UNIQUE (run_id, ordinal),
    CONSTRAINT batches_add_up
        CHECK (source = created + adopted + skipped + conflict + failed + cancelled + pending),
    CONSTRAINT batches_count_up CHECK (least(source, created, adopted, skipped, conflict, failed,
        cancelled, pending, verified, discrepancies, requests) >= 0)
);

CREATE INDEX batches_by_state ON ferry.batches (run_id, state);

-- No foreign keys: items come by COPY before their batches exist, a million at a
-- time. No index holds `state`, so that writing a result back stays within the page.
CREATE TABLE ferry.items (
    run_id        uuid NOT NULL,
    seq           bigint NOT NULL,
    batch_id      uuid NOT NULL,
    key           text NOT NULL,
    place         text NOT NULL,
    line          bigint NOT NULL,
    email         text,
    record        jsonb,
    digest        text NOT NULL,
    state         text NOT NULL CHECK (state IN
        ('pending', 'created', 'adopted', 'skipped', 'conflict', 'failed', 'cancelled')),
    code          text CHECK (code ~ '^[A-Z][A-Z0-9_]*$'),
    field         text,
    auth0_user_id text,
    -- True once an outcome was `created`, also when the application's row refused the
    -- id: a rollback removes only users that Ferry made.
    made_by_ferry boolean NOT NULL DEFAULT false,
    PRIMARY KEY (run_id, seq),
    CONSTRAINT items_pending_has_record CHECK (state <> 'pending' OR record IS NOT NULL),
    CONSTRAINT items_say_why CHECK (code IS NOT NULL OR state NOT IN ('skipped', 'conflict', 'failed'))
) WITH (fillfactor = 80);

CREATE INDEX items_by_batch ON ferry.items (batch_id, seq);

CREATE TABLE ferry.jobs (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id      uuid NOT NULL REFERENCES ferry.runs (id),
    batch_id    uuid REFERENCES ferry.batches (id),
    kind        text NOT NULL CHECK (kind IN ('provision', 'verify', 'report')),
    state       text NOT NULL DEFAULT 'ready'
        CHECK (state IN ('ready', 'queued', 'leased', 'done', 'dead')),
    priority    smallint NOT NULL,
    not_before  timestamptz NOT NULL DEFAULT clock_timestamp(),
    send        integer NOT NULL DEFAULT 0,
    queued_at   timestamptz,
    holder      uuid,
    token       bigint NOT NULL DEFAULT 0,
    expires_at  timestamptz,
    attempts    integer NOT NULL DEFAULT 0,
    rescues     integer NOT NULL DEFAULT 0,
    code        text CHECK (code ~ '^[A-Z][A-Z0-9_]*$'),
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    CONSTRAINT jobs_report_has_no_batch CHECK ((kind = 'report') = (batch_id IS NULL)),
    CONSTRAINT jobs_queued_since CHECK ((state = 'queued') = (queued_at IS NOT NULL)),
    CONSTRAINT jobs_leased_to CHECK
        ((state = 'leased') = (holder IS NOT NULL) AND (state = 'leased') = (expires_at IS NOT NULL)),
    CONSTRAINT jobs_ended_at CHECK ((state IN ('done', 'dead')) = (ended_at IS NOT NULL))
);

-- By age of the job, not by not_before: a retry must not wait behind the run.
CREATE INDEX jobs_ready ON ferry.jobs (priority, created_at, id) WHERE state = 'ready';
CREATE INDEX jobs_queued ON ferry.jobs (queued_at) WHERE state = 'queued';
CREATE INDEX jobs_leased_until ON ferry.jobs (expires_at) WHERE state = 'leased';
CREATE INDEX jobs_leased_by ON ferry.jobs (holder) WHERE state = 'leased';
CREATE INDEX jobs_of_run ON ferry.jobs (run_id);
CREATE UNIQUE INDEX jobs_one_of_a_kind ON ferry.jobs (batch_id, kind) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_report ON ferry.jobs (run_id)
    WHERE kind = 'report' AND state NOT IN ('done', 'dead');

CREATE TABLE ferry.attempts (
    job_id  uuid NOT NULL REFERENCES ferry.jobs (id) ON DELETE CASCADE,
    number  integer NOT NULL,
    code    text NOT NULL CHECK (code ~ '^[A-Z][A-Z0-9_]*$'),
    took_ms bigint NOT NULL,
    holder  uuid NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, number)
);

CREATE TABLE ferry.discrepancies (
    run_id        uuid NOT NULL,
    seq           bigint NOT NULL,
    batch_id      uuid NOT NULL,
    key           text NOT NULL,
    auth0_user_id text NOT NULL,
    fields        jsonb NOT NULL CHECK (jsonb_typeof(fields) = 'array'),
    found_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE ferry.reports (
    run_id    uuid NOT NULL REFERENCES ferry.runs (id),
    revision  integer NOT NULL,
    sealed_at timestamptz NOT NULL,
    report    jsonb NOT NULL,
    PRIMARY KEY (run_id, revision)
);

CREATE TABLE ferry.workers (
    id         uuid PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    slots      integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ferry.roles (
    role       text PRIMARY KEY,
    holder     uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE ferry.dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       text NOT NULL,
    payload     bytea NOT NULL,
    reason      text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- No foreign key to runs: what was asked for stays on record when a plan is abandoned.
CREATE TABLE ferry.audit (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text NOT NULL,
    action text NOT NULL,
    run_id uuid,
    detail jsonb NOT NULL,
    reason text
);
