-- Calls, documents and steps: what code asks for, what it keeps, and how far a workflow has come.
-- A program that knows only 0002 would start a suspended run as if it were new, so it may not use this.
-- min_reader: 3

ALTER TABLE meta ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;      -- of documents; rises with every write

ALTER TABLE definitions ADD COLUMN parameters TEXT;          -- what its function takes, as JSON; NULL: anything

ALTER TABLE runs ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0 CHECK (conflicts >= 0);
ALTER TABLE runs ADD COLUMN undo INTEGER NOT NULL DEFAULT 0 CHECK (undo >= 0);  -- the how-manieth try to take steps back

CREATE INDEX runs_of_parent ON runs (parent_id) WHERE parent_id IS NOT NULL;

-- What occupies its job: every open run but calls that nothing has started of, of which there may be thousands.
CREATE INDEX runs_occupying ON runs (job_id, scope)
    WHERE state IN ('pending', 'running', 'waiting')
    AND (state != 'pending' OR trigger != 'call' OR attempt > 1 OR started_at IS NOT NULL);
-- The lowest priority that waits bounds how far a look for due runs must go: thousands may be due next week.
CREATE INDEX runs_low ON runs (priority) WHERE state = 'pending' AND priority < 0;

CREATE TABLE documents (                            -- the service `state` of jobs
    key        TEXT    PRIMARY KEY CHECK (key != ''),
    value      TEXT    NOT NULL,                    -- as JSON
    version    INTEGER NOT NULL CHECK (version > 0),  -- the revision that wrote it: no two writes have the same
    updated_at INTEGER NOT NULL,
    run_id     INTEGER                              -- who wrote it; the run may be gone
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (                                -- of chains: by the first attempt's id
    root_id     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    path        TEXT    NOT NULL CHECK (path != ''),  -- its name, below those of the steps around it: ship/label
    position    INTEGER NOT NULL,                   -- the order in which they first began, from 1
    run_id      INTEGER NOT NULL,                   -- the attempt that touched it last
    state       TEXT    NOT NULL CHECK (state IN ('running', 'waiting', 'done', 'failed', 'outdated')),
    tries       INTEGER NOT NULL DEFAULT 0,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    deadline    INTEGER,                            -- of a waiting one: until when
    result      TEXT,
    error       TEXT,
    effects     TEXT,                               -- what is to be applied when the run commits
    undo        TEXT,                               -- {"target", "args", "given"}: how to take it back
    undone      TEXT CHECK (undone IN ('done', 'failed')),
    undone_at   INTEGER,
    undo_error  TEXT,
    PRIMARY KEY (root_id, path),
    CHECK ((state IN ('done', 'failed', 'outdated')) = (finished_at IS NOT NULL)),
    CHECK (deadline IS NULL OR state = 'waiting')
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_waiting ON steps (deadline) WHERE state = 'waiting' AND deadline IS NOT NULL;

CREATE TABLE once (                                 -- what ctx.once has recorded
    job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    key    TEXT    NOT NULL,
    result TEXT    NOT NULL,                        -- as JSON
    run_id INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE added (                                -- jobs that code has added, without a file
    name_key TEXT    PRIMARY KEY,
    name     TEXT    NOT NULL,
    target   TEXT    NOT NULL,                      -- package.module:function
    config   TEXT    NOT NULL,                      -- as JSON
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
