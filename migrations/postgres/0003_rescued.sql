-- Rescued jobs are sent before all others and whatever the window holds; few are ready
-- at any time, and looking for them must not read those that wait. Only adds.

CREATE INDEX jobs_rescued ON ferry.jobs (priority, created_at, id) WHERE state = 'ready' AND rescues > 0;
