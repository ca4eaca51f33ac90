-- Nodes: what each says of itself, for those who ask who could run what. Older programs leave it unsaid.
-- min_reader: 3

ALTER TABLE nodes ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';       -- as JSON: what runsOn asks for
ALTER TABLE nodes ADD COLUMN timezone TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN tzdata TEXT NOT NULL DEFAULT '';         -- the version of the zones' rules
ALTER TABLE nodes ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;        -- microseconds; 0: its locks say if it lives
