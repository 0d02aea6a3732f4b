-- Resumable uploads. The blob holds whole blocks of 4096 bytes that were synced; the few bytes behind them stand in `tail`
-- until the block is full, so that no block that was acknowledged is ever written again.
-- A whole upload that has become a file stays until it expires, without bytes: whoever missed the last reply asks.
CREATE TABLE uploads (
    id           TEXT PRIMARY KEY,
    owner_id     TEXT NOT NULL REFERENCES users (id),
    kind         TEXT NOT NULL CHECK (kind IN ('whole', 'partial', 'final')),
    -- No reference: the folder may go at any time, and the end of the upload looks for it.
    folder_id    TEXT,
    name         TEXT,
    -- As the client sent it.
    metadata     TEXT NOT NULL,
    -- The parts of a final one, as the client named them.
    parts        TEXT,
    length_bytes INTEGER NOT NULL CHECK (length_bytes >= 0),
    blob_id      TEXT UNIQUE,
    stored_bytes INTEGER NOT NULL CHECK (stored_bytes >= 0),
    tail         BLOB NOT NULL,
    file_id      TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    CHECK (stored_bytes + length(tail) <= length_bytes),
    CHECK ((blob_id IS NULL) = (file_id IS NOT NULL))
) STRICT;
CREATE INDEX uploads_by_owner ON uploads (owner_id, id) WHERE file_id IS NULL;
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
