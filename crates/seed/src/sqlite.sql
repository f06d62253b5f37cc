-- The first line inside each table is its mark; SQLite keeps it with the definition.
CREATE TABLE hospitals (
    -- medlogistics_seed: sample data
    id BIGINT NOT NULL PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    retired BOOLEAN NOT NULL DEFAULT FALSE CHECK (retired IN (0, 1))
);

CREATE TABLE wards (
    -- medlogistics_seed: sample data
    id BIGINT NOT NULL PRIMARY KEY,
    hospital_id BIGINT NOT NULL REFERENCES hospitals (id),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (hospital_id, code)
);

-- No unique index on email: the application never had one, and rows that differ
-- only in the case of their address are one of the planted cases.
CREATE TABLE users (
    -- medlogistics_seed: sample data
    id BIGINT NOT NULL PRIMARY KEY,
    email TEXT,
    name TEXT NOT NULL,
    role TEXT NOT NULL
        CHECK (role IN ('admin', 'doctor', 'nurse', 'pharmacist', 'logistics', 'auditor')),
    hospital_id BIGINT NOT NULL REFERENCES hospitals (id),
    ward_id BIGINT REFERENCES wards (id),
    active BOOLEAN NOT NULL CHECK (active IN (0, 1)),
    blocked BOOLEAN NOT NULL DEFAULT FALSE CHECK (blocked IN (0, 1)),
    api_key TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE permissions (
    -- medlogistics_seed: sample data
    user_id BIGINT NOT NULL REFERENCES users (id),
    hospital_id BIGINT NOT NULL REFERENCES hospitals (id),
    permission TEXT NOT NULL,
    PRIMARY KEY (user_id, hospital_id, permission)
) WITHOUT ROWID;

-- What was written here, in one row.
CREATE TABLE medlogistics_seed (
    -- medlogistics_seed: sample data
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row = 1),
    users BIGINT NOT NULL,
    seed TEXT NOT NULL,
    digest TEXT NOT NULL
);
