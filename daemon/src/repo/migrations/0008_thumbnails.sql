-- One row for each content that small pictures could be made of: it is the queue of what is to be made, and tells what
-- became of it. `missing_tool` is the program that was not installed: when it comes, it is tried again.
CREATE TABLE thumbnails (
    number       INTEGER PRIMARY KEY,
    source_id    TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'failed', 'unsupported')),
    reason       TEXT,
    missing_tool TEXT
) STRICT;
CREATE INDEX thumbnails_pending ON thumbnails (number) WHERE state = 'pending';
CREATE INDEX thumbnails_by_tool ON thumbnails (missing_tool) WHERE missing_tool IS NOT NULL;

-- The small pictures on disk. They count against nobody's quota.
CREATE TABLE small_pictures (
    source_id  TEXT NOT NULL REFERENCES thumbnails (source_id) ON DELETE CASCADE,
    side_px    INTEGER NOT NULL CHECK (side_px IN (300, 1200)),
    blob_id    TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256     TEXT NOT NULL,
    PRIMARY KEY (source_id, side_px)
) STRICT, WITHOUT ROWID;

-- What is read of a file: its row, and what became of the small pictures of its content.
CREATE VIEW described_files AS
    SELECT files.*, thumbnails.state AS thumbnail_state, thumbnails.reason AS thumbnail_reason
    FROM files LEFT JOIN thumbnails ON thumbnails.source_id = files.blob_id;

CREATE TRIGGER contents_are_pictured AFTER INSERT ON contents
WHEN NEW.size_bytes > 0
     AND (NEW.media_type LIKE 'image/%' OR NEW.media_type LIKE 'video/%' OR NEW.media_type = 'application/pdf')
BEGIN
    INSERT INTO thumbnails (source_id, state) VALUES (NEW.blob_id, 'pending');
END;
-- Whoever deletes a content asks before which small pictures it had: their blobs are to be removed with its own.
CREATE TRIGGER contents_lose_their_pictures AFTER DELETE ON contents
BEGIN
    DELETE FROM thumbnails WHERE source_id = OLD.blob_id;
END;

INSERT INTO thumbnails (source_id, state)
    SELECT blob_id, 'pending' FROM contents
    WHERE size_bytes > 0 AND (media_type LIKE 'image/%' OR media_type LIKE 'video/%' OR media_type = 'application/pdf');
