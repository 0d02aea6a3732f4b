-- What is on disk: one row a blob. Revisions share it; it goes with the last of them.
CREATE TABLE contents (
    blob_id    TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256     TEXT NOT NULL,
    media_type TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX contents_by_sha256 ON contents (sha256);

ALTER TABLE files RENAME TO files_before;
DROP INDEX files_by_name;
DROP INDEX files_by_folder;

-- `revision` is the number of the current revision, which is always the greatest; the columns behind it are copies of
-- what the revision and its content say, so that lists need one table and an index for every order.
-- What lies in a folder in the trash has no mark of its own: only the top of it is marked.
CREATE TABLE files (
    id          TEXT PRIMARY KEY,
    folder_id   TEXT REFERENCES folders (id),
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL REFERENCES users (id),
    revision    INTEGER NOT NULL CHECK (revision >= 1),
    blob_id     TEXT NOT NULL REFERENCES contents (blob_id),
    size_bytes  INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256      TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    modified_by TEXT NOT NULL REFERENCES users (id),
    trashed_at  INTEGER,
    trashed_by  TEXT REFERENCES users (id),
    CHECK ((trashed_at IS NULL) = (trashed_by IS NULL))
) STRICT;

-- `owner_id` is who made the file and never changes: it says whose quota this counts against, also while a file is
-- being deleted.
CREATE TABLE revisions (
    file_id    TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number >= 1),
    blob_id    TEXT NOT NULL REFERENCES contents (blob_id),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    owner_id   TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (file_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX revisions_by_blob ON revisions (blob_id);

-- All revisions of all files of a person, in the trash or not, each counted in full.
CREATE TABLE usage (
    user_id    TEXT PRIMARY KEY REFERENCES users (id),
    revisions  INTEGER NOT NULL CHECK (revisions >= 0),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revisions_are_counted AFTER INSERT ON revisions
BEGIN
    INSERT INTO usage (user_id, revisions, size_bytes) VALUES (NEW.owner_id, 1, NEW.size_bytes)
        ON CONFLICT (user_id) DO UPDATE SET revisions = revisions + 1, size_bytes = size_bytes + excluded.size_bytes;
END;
CREATE TRIGGER revisions_are_uncounted AFTER DELETE ON revisions
BEGIN
    UPDATE usage SET revisions = revisions - 1, size_bytes = size_bytes - OLD.size_bytes WHERE user_id = OLD.owner_id;
END;

INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at)
    SELECT blob_id, size_bytes, sha256, 'application/octet-stream', created_at FROM files_before;
INSERT INTO files
    SELECT id, folder_id, name, created_at, created_by, 1, blob_id, size_bytes, sha256, 'application/octet-stream',
           created_at, created_by, NULL, NULL FROM files_before;
INSERT INTO revisions
    SELECT id, 1, blob_id, size_bytes, created_by, created_at, created_by FROM files_before;
DROP TABLE files_before;

CREATE UNIQUE INDEX files_by_name ON files (ifnull(folder_id, ''), name) WHERE trashed_at IS NULL;
CREATE INDEX files_by_creation ON files (ifnull(folder_id, ''), created_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_modification ON files (ifnull(folder_id, ''), modified_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_size ON files (ifnull(folder_id, ''), size_bytes, id) WHERE trashed_at IS NULL;
-- Everything inside, in the trash or not; also what a deleted folder or content is checked against.
CREATE INDEX files_inside ON files (folder_id);
CREATE INDEX files_by_blob ON files (blob_id);
CREATE INDEX files_trashed ON files (trashed_at, id) WHERE trashed_at IS NOT NULL;
CREATE INDEX files_modified ON files (modified_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_with_history ON files (id) WHERE revision > 1;

-- `protected`: nothing in the folder and below may be changed. `keep_revisions` and `keep_days` say which old
-- revisions stay; unset, the folder above says it. The counts tell what lies directly inside (`file_count`,
-- `folder_count`) and what lies below (`total_*`), current revisions only; what is in the trash or behind a private
-- folder is not in them.
ALTER TABLE folders ADD COLUMN modified_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE folders ADD COLUMN modified_by TEXT REFERENCES users (id);
ALTER TABLE folders ADD COLUMN protected INTEGER NOT NULL DEFAULT 0 CHECK (protected IN (0, 1));
ALTER TABLE folders ADD COLUMN keep_revisions INTEGER CHECK (keep_revisions >= 0);
ALTER TABLE folders ADD COLUMN keep_days INTEGER CHECK (keep_days >= 0);
ALTER TABLE folders ADD COLUMN trashed_at INTEGER;
ALTER TABLE folders ADD COLUMN trashed_by TEXT REFERENCES users (id);
ALTER TABLE folders ADD COLUMN file_count INTEGER NOT NULL DEFAULT 0 CHECK (file_count >= 0);
ALTER TABLE folders ADD COLUMN folder_count INTEGER NOT NULL DEFAULT 0 CHECK (folder_count >= 0);
ALTER TABLE folders ADD COLUMN total_files INTEGER NOT NULL DEFAULT 0 CHECK (total_files >= 0);
ALTER TABLE folders ADD COLUMN total_bytes INTEGER NOT NULL DEFAULT 0 CHECK (total_bytes >= 0);
UPDATE folders SET modified_at = created_at, modified_by = created_by;

DROP INDEX folders_by_name;
DROP INDEX folders_by_parent;
DROP INDEX folders_open_by_parent;
CREATE UNIQUE INDEX folders_by_name ON folders (ifnull(parent_id, ''), name) WHERE trashed_at IS NULL;
CREATE INDEX folders_by_parent ON folders (ifnull(parent_id, ''), id) WHERE trashed_at IS NULL;
CREATE INDEX folders_open_by_parent ON folders (ifnull(parent_id, ''), id) WHERE private = 0 AND trashed_at IS NULL;
CREATE INDEX folders_inside ON folders (parent_id);
CREATE INDEX folders_trashed ON folders (trashed_at, id) WHERE trashed_at IS NOT NULL;
CREATE INDEX folders_protected ON folders (id) WHERE protected = 1;

-- A list steps from grant to grant inside of a folder; what is in the trash is inside of nothing.
DROP TRIGGER folder_grants_follow_their_folder;
CREATE TRIGGER folder_grants_follow_their_folder AFTER UPDATE OF parent_id, trashed_at ON folders
BEGIN
    UPDATE folder_grants
    SET parent_id = CASE WHEN NEW.trashed_at IS NULL THEN ifnull(NEW.parent_id, '') ELSE 'trash' END
    WHERE folder_id = NEW.id;
END;

-- Folders that are being deleted for good, in steps; what is left of them after a power cut goes at the next unlock.
CREATE TABLE deletions (
    folder_id TEXT PRIMARY KEY REFERENCES folders (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What a person may store; unset, what the vault's settings say.
ALTER TABLE users ADD COLUMN quota_bytes INTEGER CHECK (quota_bytes >= 0);

-- The counts of the folders that are there already.
WITH RECURSIVE below (top, id) AS (
    SELECT id, id FROM folders
    UNION ALL SELECT below.top, folders.id FROM folders JOIN below ON folders.parent_id = below.id WHERE folders.private = 0
)
UPDATE folders SET
    file_count = (SELECT count(*) FROM files WHERE folder_id = folders.id),
    folder_count = (SELECT count(*) FROM folders AS inner_ WHERE inner_.parent_id = folders.id AND inner_.private = 0),
    total_files = (SELECT count(*) FROM files JOIN below ON files.folder_id = below.id WHERE below.top = folders.id),
    total_bytes = (SELECT ifnull(sum(size_bytes), 0) FROM files JOIN below ON files.folder_id = below.id
                   WHERE below.top = folders.id);
