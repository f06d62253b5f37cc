CREATE TABLE hospitals (
    id bigint PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    retired boolean NOT NULL DEFAULT false
);

CREATE TABLE wards (
    id bigint PRIMARY KEY,
    hospital_id bigint NOT NULL REFERENCES hospitals (id),
    code text NOT NULL,
    name text NOT NULL,
    UNIQUE (hospital_id, code)
);

-- No unique index on email: the application never had one, and rows that differ
-- only in the case of their address are one of the planted cases.
CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text,
    name text NOT NULL,
    role text NOT NULL
        CHECK (role IN ('admin', 'doctor', 'nurse', 'pharmacist', 'logistics', 'auditor')),
    hospital_id bigint NOT NULL REFERENCES hospitals (id),
    ward_id bigint REFERENCES wards (id),
    active boolean NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    api_key text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE permissions (
    user_id bigint NOT NULL REFERENCES users (id),
    hospital_id bigint NOT NULL REFERENCES hospitals (id),
    permission text NOT NULL,
    PRIMARY KEY (user_id, hospital_id, permission)
);

-- What was written here, in one row.
CREATE TABLE medlogistics_seed (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    users bigint NOT NULL,
    seed text NOT NULL,
    digest text NOT NULL
);

COMMENT ON TABLE hospitals IS 'medlogistics_seed: sample data';
COMMENT ON TABLE wards IS 'medlogistics_seed: sample data';
COMMENT ON TABLE users IS 'medlogistics_seed: sample data';
COMMENT ON TABLE permissions IS 'medlogistics_seed: sample data';
COMMENT ON TABLE medlogistics_seed IS 'medlogistics_seed: sample data';
