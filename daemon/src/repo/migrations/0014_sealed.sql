-- Blobs that are sealed once more inside the vault: contents and small pictures. A blob without a row is stored as it is.
-- The row decides that, and never the first byte of the blob.
CREATE TABLE sealed_blobs (
    blob_id         TEXT PRIMARY KEY,
    method          TEXT NOT NULL CHECK (method IN ('server', 'server-user', 'client')),
    version         INTEGER NOT NULL CHECK (version IN (0, 1, 2)),
    key_id          TEXT,
    key_generation  INTEGER NOT NULL CHECK (key_generation >= 0),
    encrypted_bytes INTEGER NOT NULL CHECK (encrypted_bytes >= 0),
    CHECK ((version = 0) = (method = 'client')),
    CHECK (method = 'client' OR key_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX sealed_blobs_by_key ON sealed_blobs (key_id, key_generation);

-- Keys that wrap the keys of blobs, each wrapped by the root key in the key file. No owner: for what is shared.
CREATE TABLE sealing_keys (
    key_id      TEXT NOT NULL,
    generation  INTEGER NOT NULL CHECK (generation >= 0),
    owner_id    TEXT,
    check_value BLOB NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('active', 'retired')),
    wrapped     BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (key_id, generation)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sealing_keys_one_active ON sealing_keys (ifnull(owner_id, '')) WHERE state = 'active';

-- Headers that are being written over old ones, whole: what a power cut tore is written again at the next unlock.
CREATE TABLE header_journal (
    blob_id        TEXT PRIMARY KEY,
    core           BLOB NOT NULL,
    key_id         TEXT NOT NULL,
    key_generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Work on all sealed blobs, one row a time. `after_blob_id` is the last that was done: after a lock or a power cut it goes on
-- behind it. `counts` is JSON: how many of which kind.
CREATE TABLE sealing_jobs (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL CHECK (kind IN ('audit', 'files', 'upgrade', 'rewrap', 'reencrypt', 'verify', 'import')),
    dry_run         INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    bytes_per_s     INTEGER,
    directory       TEXT,
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER,
    state           TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
    after_blob_id   TEXT NOT NULL,
    total           INTEGER NOT NULL,
    done            INTEGER NOT NULL,
    done_bytes      INTEGER NOT NULL,
    counts          TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX sealing_jobs_one_at_a_time ON sealing_jobs (state) WHERE state = 'running';

-- What a job could not deal with, and why; of the last job of its kind.
CREATE TABLE sealing_findings (
    job_id  TEXT NOT NULL REFERENCES sealing_jobs (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    finding TEXT NOT NULL,
    PRIMARY KEY (job_id, subject)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER contents_lose_their_seal AFTER DELETE ON contents
BEGIN
    DELETE FROM sealed_blobs WHERE blob_id = OLD.blob_id;
    DELETE FROM header_journal WHERE blob_id = OLD.blob_id;
END;
CREATE TRIGGER small_pictures_lose_their_seal AFTER DELETE ON small_pictures
BEGIN
    DELETE FROM sealed_blobs WHERE blob_id = OLD.blob_id;
    DELETE FROM header_journal WHERE blob_id = OLD.blob_id;
END;

-- Sealing a content gives it another name on disk; its words stay.
CREATE INDEX search_items_by_content ON search_items (text_of);

DROP VIEW described_files;
CREATE VIEW described_files AS
    SELECT files.*, thumbnails.state AS thumbnail_state, thumbnails.reason AS thumbnail_reason, sealed_blobs.method,
           sealed_blobs.version, sealed_blobs.key_id, sealed_blobs.key_generation, sealed_blobs.encrypted_bytes
    FROM files LEFT JOIN thumbnails ON thumbnails.source_id = files.blob_id
               LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = files.blob_id;
