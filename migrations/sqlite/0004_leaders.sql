-- The process that leads a duty is kept in `ferry_leaders`: `role` is what a process was told
-- to do, and meant two things. One process has the file, so no old one goes on meanwhile, and
-- the new process elects itself. Not by ALTER TABLE … RENAME: it fails where the application
-- has a view that no longer works.

CREATE TABLE ferry_leaders (
    duty       TEXT    NOT NULL PRIMARY KEY,
    holder     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
DROP TABLE ferry_roles;

-- `stop_all` is kept as `true` or `false`, as in PostgreSQL.
UPDATE ferry_controls SET value = CASE value WHEN 'on' THEN 'true' ELSE 'false' END WHERE name = 'stop_all';
