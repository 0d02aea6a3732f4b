-- Links by which people without an account reach a file or a folder. Of its token only the SHA-256 is kept.
-- `role` is the most that a link may do of what its maker may: that of the credential that it was made with.
CREATE TABLE shares (
    id               TEXT PRIMARY KEY,
    token_hash       TEXT NOT NULL UNIQUE,
    kind             TEXT NOT NULL CHECK (kind IN ('download', 'view', 'drop')),
    file_id          TEXT REFERENCES files (id) ON DELETE CASCADE,
    folder_id        TEXT REFERENCES folders (id) ON DELETE CASCADE,
    item_id          TEXT NOT NULL GENERATED ALWAYS AS (ifnull(file_id, folder_id)) STORED,
    role             TEXT NOT NULL CHECK (role IN ('reader', 'writer', 'editor', 'admin')),
    name             TEXT,
    created_at       INTEGER NOT NULL,
    created_by       TEXT NOT NULL REFERENCES users (id),
    expires_at       INTEGER,
    password_hash    TEXT,
    max_downloads    INTEGER CHECK (max_downloads >= 1),
    max_upload_bytes INTEGER CHECK (max_upload_bytes >= 1),
    views            INTEGER NOT NULL DEFAULT 0,
    downloads        INTEGER NOT NULL DEFAULT 0,
    uploads          INTEGER NOT NULL DEFAULT 0,
    uploaded_bytes   INTEGER NOT NULL DEFAULT 0,
    last_used_at     INTEGER,
    CHECK ((file_id IS NULL) <> (folder_id IS NULL)),
    CHECK (kind <> 'drop' OR folder_id IS NOT NULL)
) STRICT;
CREATE INDEX shares_by_maker ON shares (created_by, id);
CREATE INDEX shares_by_item ON shares (item_id, id);
CREATE INDEX shares_by_maker_and_item ON shares (created_by, item_id, id);
CREATE INDEX shares_by_file ON shares (file_id) WHERE file_id IS NOT NULL;
CREATE INDEX shares_by_folder ON shares (folder_id) WHERE folder_id IS NOT NULL;
