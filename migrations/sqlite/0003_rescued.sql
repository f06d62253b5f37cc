-- Rescued jobs are sent before all others and whatever the window holds; few are ready
-- at any time, and looking for them must not read those that wait. Only adds.

CREATE INDEX ferry_jobs_rescued ON ferry_jobs (priority, created_at, number) WHERE state = 'ready' AND rescues > 0;
