-- Control: what people ask for while nodes run, and what a run needs to be tried again.
-- A program that knows only 0001 would run what is paused or disabled, so it may not use this.
-- min_reader: 2

ALTER TABLE meta ADD COLUMN paused_at INTEGER;                -- NULL: schedules run
ALTER TABLE meta ADD COLUMN paused_by TEXT;
ALTER TABLE meta ADD COLUMN pause_reason TEXT;

ALTER TABLE jobs ADD COLUMN durations TEXT NOT NULL DEFAULT '[]';   -- of the last successes, in microseconds

ALTER TABLE definitions ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1));
ALTER TABLE definitions ADD COLUMN per_machine INTEGER NOT NULL DEFAULT 0 CHECK (per_machine IN (0, 1));
ALTER TABLE definitions ADD COLUMN group_limit INTEGER CHECK (group_limit >= 1);
UPDATE definitions SET enabled = coalesce(json_extract(config, '$.enabled'), 1);

ALTER TABLE runs ADD COLUMN run_group TEXT;                   -- at most group_limit of them run at once
ALTER TABLE runs ADD COLUMN asked TEXT CHECK (asked IN ('canceled', 'replaced'));  -- to end, and why
ALTER TABLE runs ADD COLUMN stalled INTEGER NOT NULL DEFAULT 0 CHECK (stalled IN (0, 1));
ALTER TABLE runs ADD COLUMN blocked_by INTEGER;               -- of skips for overlap: the run in the way

-- Who waits is ordered by due time, and a level of priority is worth a minute of it: nobody starves.
DROP INDEX runs_pending;
CREATE INDEX runs_pending ON runs (effective_at - priority * 60000000, id) WHERE state = 'pending';
CREATE INDEX runs_due ON runs (effective_at) WHERE state = 'pending';
CREATE INDEX runs_of_group ON runs (run_group) WHERE state = 'running' AND run_group IS NOT NULL;
CREATE INDEX runs_asked ON runs (owner) WHERE state = 'running' AND asked IS NOT NULL;

CREATE INDEX audit_of_job ON audit (job, id);
