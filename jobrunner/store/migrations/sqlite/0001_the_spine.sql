-- The spine. Instants are microseconds since 1970 UTC; JSON is text. Rules live here, not in Python.
-- min_reader: 1

PRAGMA application_id = 0x6a6f6272;                 -- "jobr": another program's file is never taken for ours

CREATE TABLE meta (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    state_id   TEXT    NOT NULL,                    -- random; another file has another one
    version    INTEGER NOT NULL,
    min_reader INTEGER NOT NULL CHECK (min_reader <= version),
    fence      INTEGER NOT NULL DEFAULT 0,          -- the last one given out
    currents   INTEGER NOT NULL DEFAULT 0,          -- rises when another definition of any job becomes current
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE nodes (
    owner      TEXT    PRIMARY KEY,                 -- random per process start
    node       TEXT    NOT NULL,
    machine    TEXT    NOT NULL,
    boot_id    TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    version    TEXT    NOT NULL,
    role       TEXT    NOT NULL DEFAULT 'all',
    slots      INTEGER NOT NULL,
    exclusive  INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    registration INTEGER NOT NULL DEFAULT 0         -- the order of the nodes' last register(); no clock decides it
) STRICT;

CREATE TABLE jobs (
    id                   INTEGER PRIMARY KEY,
    name                 TEXT    NOT NULL,
    name_key             TEXT    NOT NULL UNIQUE,   -- names are equal ignoring case
    definition_hash      TEXT    NOT NULL,          -- current; only its holders plan and claim; '': none yet
    file                 TEXT    NOT NULL,
    first_seen_at        INTEGER NOT NULL,
    enabled_override     INTEGER CHECK (enabled_override IN (0, 1)),
    enabled_reason       TEXT,
    overrides            TEXT    NOT NULL DEFAULT '{}',
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    last_scheduled_for   INTEGER,
    last_started_at      INTEGER,
    last_finished_at     INTEGER,
    last_success_at      INTEGER,
    last_failure_at      INTEGER,
    last_state           TEXT,
    last_result          TEXT,
    last_error           TEXT,
    cursor               TEXT                       -- ctx.cursor: the job's own
) STRICT;

CREATE TABLE definitions (                          -- those that are current or that a node holds
    job_id          INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    hash            TEXT    NOT NULL CHECK (hash != ''),
    file            TEXT    NOT NULL,
    config          TEXT    NOT NULL,               -- as JSON
    execution_limit INTEGER CHECK (execution_limit >= 1),
    PRIMARY KEY (job_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE holdings (                             -- which node has which definition of a job
    job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    owner  TEXT    NOT NULL REFERENCES nodes ON DELETE CASCADE,
    hash   TEXT    NOT NULL,
    gate   TEXT,                                    -- why it may not run on that node, or NULL
    PRIMARY KEY (job_id, owner),
    FOREIGN KEY (job_id, hash) REFERENCES definitions
) STRICT, WITHOUT ROWID;
CREATE INDEX holdings_of_owner ON holdings (owner, job_id, hash);
CREATE INDEX holdings_of_definition ON holdings (job_id, hash);

CREATE TABLE cursors (
    job_id       INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    scope        TEXT    NOT NULL,                  -- a machine for runPerMachine, else ''
    schedule_key TEXT    NOT NULL,
    consumed     INTEGER NOT NULL,                  -- the last consumed instant
    anchor       INTEGER NOT NULL,                  -- where interval grids begin
    executions   INTEGER NOT NULL DEFAULT 0,
    ended_at     INTEGER,                           -- the end of the last chain, whatever is pruned
    skip_reason  TEXT,                              -- the present streak of skips of one reason:
    skip_count   INTEGER NOT NULL DEFAULT 0,        --   how many occurrences,
    skip_run     INTEGER,                           --   and the first row of them
    PRIMARY KEY (job_id, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    trigger       TEXT    NOT NULL CHECK (trigger IN ('schedule', 'manual', 'call')),
    scope         TEXT    NOT NULL DEFAULT '',
    scheduled_for INTEGER,
    effective_at  INTEGER NOT NULL,
    attempt       INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    root_id       INTEGER,                          -- of later attempts: the chain's first row
    parent_id     INTEGER,                          -- of calls: the run that scheduled them
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed',
                                                    'timed_out', 'canceled', 'skipped', 'lost')),
    reason        TEXT,
    priority      INTEGER NOT NULL DEFAULT 0,
    exclusive     INTEGER NOT NULL DEFAULT 1 CHECK (exclusive IN (0, 1)),
    delivery      TEXT    NOT NULL DEFAULT 'at-most-once'
                          CHECK (delivery IN ('at-most-once', 'at-least-once', 'exactly-once')),
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    began_at      INTEGER,                          -- a sign that the body began
    finished_at   INTEGER,
    owner         TEXT,
    node          TEXT,
    machine       TEXT,
    pid           INTEGER,
    fence         INTEGER NOT NULL DEFAULT 0,
    params        TEXT    NOT NULL DEFAULT '{}',
    result        TEXT,
    truncated     INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),
    error         TEXT,
    progress      TEXT,
    identity      TEXT    NOT NULL DEFAULT 'system',
    file_hash     TEXT    NOT NULL DEFAULT '',
    log_bytes     INTEGER NOT NULL DEFAULT 0,
    count         INTEGER NOT NULL DEFAULT 1 CHECK (count >= 1),
    last_for      INTEGER,
    UNIQUE (job_id, scheduled_for, scope, attempt),
    UNIQUE (root_id, attempt),
    CHECK ((trigger = 'schedule') = (scheduled_for IS NOT NULL)),
    CHECK ((attempt = 1) = (root_id IS NULL)),
    CHECK ((state IN ('pending', 'running', 'waiting')) = (finished_at IS NULL)),
    CHECK (state != 'running' OR (owner IS NOT NULL AND started_at IS NOT NULL AND fence > 0)),
    CHECK (state != 'pending' OR owner IS NULL),
    CHECK (state != 'skipped' OR reason IS NOT NULL),
    CHECK (count = 1 OR (state = 'skipped' AND last_for IS NOT NULL))
) STRICT;
CREATE INDEX runs_pending ON runs (priority, effective_at, id) WHERE state = 'pending';
CREATE INDEX runs_open ON runs (job_id, scope) WHERE state IN ('pending', 'running', 'waiting');
CREATE INDEX runs_of_owner ON runs (owner) WHERE state = 'running';
CREATE INDEX runs_of_job ON runs (job_id, id);
-- by its end: in ordinary times no range ends at or after what is consumed, so the look costs nothing
CREATE INDEX runs_ranges ON runs (job_id, scope, last_for, scheduled_for) WHERE count > 1;

-- forbid, held by the schema: an exclusive run is the only exclusive one of its job and scope
CREATE UNIQUE INDEX one_at_a_time ON runs (job_id, scope) WHERE state IN ('running', 'waiting') AND exclusive = 1;

CREATE TABLE logs (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    offset INTEGER NOT NULL CHECK (offset >= 0),
    data   BLOB    NOT NULL,
    PRIMARY KEY (run_id, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    job    TEXT,
    detail TEXT    NOT NULL
) STRICT;
