-- Times are milliseconds since 1970 UTC; identifiers are UUIDs as text, so that `sqlite3` alone can read this file.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,
    display_name  TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('reader', 'writer', 'editor', 'admin')),
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    user_agent TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- The root is no row: a NULL parent. An index on the bare column would take two NULLs for different.
CREATE TABLE folders (
    id         TEXT PRIMARY KEY,
    parent_id  TEXT REFERENCES folders (id),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id)
) STRICT;
CREATE UNIQUE INDEX folders_by_name ON folders (ifnull(parent_id, ''), name);
CREATE INDEX folders_by_parent ON folders (ifnull(parent_id, ''), id);

CREATE TABLE files (
    id         TEXT PRIMARY KEY,
    folder_id  TEXT REFERENCES folders (id),
    name       TEXT NOT NULL,
    blob_id    TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id)
) STRICT;
CREATE UNIQUE INDEX files_by_name ON files (ifnull(folder_id, ''), name);
CREATE INDEX files_by_folder ON files (ifnull(folder_id, ''), id);

-- Never changed, never deleted; no reference, so that it outlives what it speaks of.
CREATE TABLE audit (
    id         TEXT PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_id   TEXT,
    action     TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('success', 'refused', 'failed')),
    subject_id TEXT,
    request_id TEXT NOT NULL
) STRICT;
