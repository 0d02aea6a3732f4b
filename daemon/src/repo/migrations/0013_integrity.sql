-- What reading a content back gave last: when, and what was wrong with it.
ALTER TABLE contents ADD COLUMN checked_at INTEGER;
ALTER TABLE contents ADD COLUMN fault TEXT CHECK (fault IN ('missing', 'changed', 'unreadable'));
CREATE INDEX contents_at_fault ON contents (blob_id) WHERE fault IS NOT NULL;

-- Reading everything back, one row a time. `after_blob_id` is the last content that was read: after a lock or a power
-- cut it goes on behind it.
CREATE TABLE scrubs (
    id            TEXT PRIMARY KEY,
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER,
    after_blob_id TEXT NOT NULL,
    total         INTEGER NOT NULL,
    checked       INTEGER NOT NULL,
    checked_bytes INTEGER NOT NULL,
    faults        INTEGER NOT NULL,
    repaired      INTEGER NOT NULL,
    orphans       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX scrubs_one_at_a_time ON scrubs (finished_at IS NULL) WHERE finished_at IS NULL;
