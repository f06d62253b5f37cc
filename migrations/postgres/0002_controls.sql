-- What operators say, who lives, and what was given up. Only adds: the version
-- before this one runs beside it, and rows it writes get the defaults here.

ALTER TABLE ferry.runs
    DROP CONSTRAINT runs_state_check,
    ADD CONSTRAINT runs_state_check CHECK (state IN ('planning', 'planned', 'running', 'paused', 'sealing',
        'sealed', 'cancelling', 'cancelled', 'stopped')),
    -- Plan of limits that replaces the configured one.
    ADD COLUMN rate text,
    -- Why it is paused or stopped: a code, or a person's words.
    ADD COLUMN why text,
    -- Failures and ended items when it was started or last resumed: limits on
    -- failures count from there.
    ADD COLUMN failed_before bigint NOT NULL DEFAULT 0,
    ADD COLUMN ended_before bigint NOT NULL DEFAULT 0;

-- Watched: a session-level advisory lock under `presence_key` is held for as long as
-- the process lives. A process of the version before is not.
ALTER TABLE ferry.workers
    ADD COLUMN watched boolean NOT NULL DEFAULT false,
    ADD COLUMN waits text;

-- Number of the advisory lock of a process. The seed ("ferry" in ASCII) keeps it apart
-- from other users of advisory locks. Worked out by the server alone, so it need
-- not be the same on another version of PostgreSQL.
CREATE FUNCTION ferry.presence_key(worker uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN hashtextextended(worker::text, 439788663417);

-- Whether the holder had a row in `workers` when it took the role: then a missing
-- row says that it was found dead. A holder that never had one is followed at expiry.
ALTER TABLE ferry.roles ADD COLUMN registered boolean NOT NULL DEFAULT false;

-- What holds for all runs and processes: `stop_all`.
CREATE TABLE ferry.controls (
    name   text PRIMARY KEY,
    value  jsonb NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text
);

-- A letter is a payload that was no job, or a job that was given up. No foreign keys:
-- a letter stays when its run is removed.
ALTER TABLE ferry.dead_letters
    ADD COLUMN kind text NOT NULL DEFAULT 'payload' CHECK (kind IN ('payload', 'job')),
    ADD COLUMN state text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'redriven', 'discarded')),
    ADD COLUMN code text NOT NULL DEFAULT 'UNDECODABLE' CHECK (code ~ '^[A-Z][A-Z0-9_]*$'),
    ADD COLUMN job_id uuid,
    ADD COLUMN job_kind text CHECK (job_kind IN ('provision', 'verify', 'report')),
    ADD COLUMN run_id uuid,
    ADD COLUMN batch_id uuid,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN rescues integer NOT NULL DEFAULT 0,
    ADD COLUMN users bigint NOT NULL DEFAULT 0,
    ADD COLUMN given_up_by text NOT NULL DEFAULT '',
    ADD COLUMN resolved_by text,
    ADD COLUMN resolved_at timestamptz,
    ADD CONSTRAINT dead_letters_name_their_job
        CHECK (kind = 'payload' OR (job_id IS NOT NULL AND job_kind IS NOT NULL AND run_id IS NOT NULL)),
    ADD CONSTRAINT dead_letters_resolved_at CHECK ((state = 'kept') = (resolved_at IS NULL));

CREATE INDEX dead_letters_kept ON ferry.dead_letters (id) WHERE state = 'kept';
CREATE INDEX dead_letters_of_run ON ferry.dead_letters (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX jobs_dead ON ferry.jobs (kind) WHERE state = 'dead';
