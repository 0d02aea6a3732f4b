-- Blobs whose last row was deleted: their bytes may be removed, whoever finds them. What has no row, is not in here, and does
-- not say itself that it was never stored, is kept in quarantine.
CREATE TABLE doomed_blobs (
    blob_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TRIGGER contents_doom_their_blob AFTER DELETE ON contents
BEGIN
    INSERT OR IGNORE INTO doomed_blobs VALUES (OLD.blob_id);
END;
CREATE TRIGGER small_pictures_doom_their_blob AFTER DELETE ON small_pictures
BEGIN
    INSERT OR IGNORE INTO doomed_blobs VALUES (OLD.blob_id);
END;
CREATE TRIGGER small_pictures_doom_the_blob_before AFTER UPDATE OF blob_id ON small_pictures
WHEN OLD.blob_id <> NEW.blob_id
BEGIN
    INSERT OR IGNORE INTO doomed_blobs VALUES (OLD.blob_id);
END;
CREATE TRIGGER uploads_doom_their_blob AFTER DELETE ON uploads
WHEN OLD.blob_id IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO doomed_blobs VALUES (OLD.blob_id);
END;
-- A finished upload's blob may have become a content: that has a row, which counts for more.
CREATE TRIGGER finished_uploads_doom_their_blob AFTER UPDATE OF blob_id ON uploads
WHEN OLD.blob_id IS NOT NULL AND NEW.blob_id IS NULL
BEGIN
    INSERT OR IGNORE INTO doomed_blobs VALUES (OLD.blob_id);
END;

-- Blobs without a row that are kept, when a round ends.
ALTER TABLE scrubs ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;

-- Which job sealed a blob: it does not count it again when it comes by.
ALTER TABLE sealed_blobs ADD COLUMN job_id TEXT;

-- What a job waits for: why it does not go on.
ALTER TABLE sealing_jobs ADD COLUMN waits_for TEXT;
