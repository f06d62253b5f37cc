-- The process that leads a duty is kept in `leaders`: `role` is what a process was told to
-- do, and meant two things. Old processes go on meanwhile: they read and write the view
-- under the old name. Contract: drop the view in the next release.

ALTER TABLE ferry.roles RENAME TO leaders;
ALTER TABLE ferry.leaders RENAME COLUMN role TO duty;
CREATE VIEW ferry.roles AS SELECT duty AS role, holder, expires_at, registered FROM ferry.leaders;
