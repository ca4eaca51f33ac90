-- The same conditions in words that cost less: of three values or more in IN (…) SQLite makes a table, each time
-- that a row is written. Older programs ask for the indexes by the words that they had.
-- min_reader: 5

DROP INDEX runs_open;
CREATE INDEX runs_open ON runs (job_id, scope) WHERE state = 'pending' OR state = 'running' OR state = 'waiting';

DROP INDEX runs_occupying;
CREATE INDEX runs_occupying ON runs (job_id, scope)
    WHERE (state = 'pending' OR state = 'running' OR state = 'waiting')
    AND (state != 'pending' OR trigger != 'call' OR attempt > 1 OR started_at IS NOT NULL);

-- SQLite has no statement that changes a CHECK; this is how its documentation changes one
-- (sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"). No row is touched.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
    'CHECK (trigger IN (''schedule'', ''manual'', ''call''))',
    'CHECK (trigger = ''schedule'' OR trigger = ''manual'' OR trigger = ''call'')'),
    'CHECK (delivery IN (''at-most-once'', ''at-least-once'', ''exactly-once''))',
    'CHECK (delivery = ''at-most-once'' OR delivery = ''at-least-once'' OR delivery = ''exactly-once'')'),
    'CHECK ((state IN (''pending'', ''running'', ''waiting'')) = (finished_at IS NULL))',
    'CHECK ((state = ''pending'' OR state = ''running'' OR state = ''waiting'') = (finished_at IS NULL))'),
    'CHECK (state IN (''pending'', ''running'', ''waiting'', ''succeeded'', ''failed'',
                                                    ''timed_out'', ''canceled'', ''skipped'', ''lost''))',
    'CHECK (state = ''pending'' OR state = ''running'' OR state = ''waiting'' OR state = ''succeeded''
                                   OR state = ''failed'' OR state = ''timed_out'' OR state = ''canceled''
                                   OR state = ''skipped'' OR state = ''lost'')')
WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;
