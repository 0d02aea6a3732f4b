-- What people put on files and folders. `item_id` names either: identifiers are unique over both, and no foreign key can
-- say so; triggers below take everything away with its item.

-- `key` is the tag as it is compared, `name` as it was first written. A tag is there as long as something has it.
CREATE TABLE tags (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

-- `place` is what decides who sees the item: the folder it lies in (empty for the root, `trash` in the trash), or the
-- item itself when it is a folder.
CREATE TABLE item_tags (
    item_id   TEXT NOT NULL,
    tag_id    INTEGER NOT NULL REFERENCES tags (id),
    place     TEXT NOT NULL,
    PRIMARY KEY (item_id, tag_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_tags_by_tag ON item_tags (tag_id, item_id);

-- How many items in each place have a tag, so that counting what somebody sees asks once a place.
CREATE TABLE tag_places (
    tag_id INTEGER NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    place  TEXT NOT NULL,
    items  INTEGER NOT NULL CHECK (items >= 0),
    PRIMARY KEY (tag_id, place)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER item_tags_are_counted AFTER INSERT ON item_tags
BEGIN
    INSERT INTO tag_places (tag_id, place, items) VALUES (NEW.tag_id, NEW.place, 1)
        ON CONFLICT (tag_id, place) DO UPDATE SET items = items + 1;
END;
CREATE TRIGGER item_tags_are_counted_elsewhere AFTER UPDATE OF place ON item_tags WHEN OLD.place <> NEW.place
BEGIN
    UPDATE tag_places SET items = items - 1 WHERE tag_id = OLD.tag_id AND place = OLD.place;
    DELETE FROM tag_places WHERE tag_id = OLD.tag_id AND place = OLD.place AND items = 0;
    INSERT INTO tag_places (tag_id, place, items) VALUES (NEW.tag_id, NEW.place, 1)
        ON CONFLICT (tag_id, place) DO UPDATE SET items = items + 1;
END;
CREATE TRIGGER item_tags_are_uncounted AFTER DELETE ON item_tags
BEGIN
    UPDATE tag_places SET items = items - 1 WHERE tag_id = OLD.tag_id AND place = OLD.place;
    DELETE FROM tag_places WHERE tag_id = OLD.tag_id AND place = OLD.place AND items = 0;
    DELETE FROM tags WHERE id = OLD.tag_id AND NOT EXISTS (SELECT 1 FROM item_tags WHERE tag_id = OLD.tag_id);
END;
CREATE TRIGGER item_tags_follow_their_file AFTER UPDATE OF folder_id, trashed_at ON files
    WHEN OLD.folder_id IS NOT NEW.folder_id OR OLD.trashed_at IS NOT NEW.trashed_at
BEGIN
    UPDATE item_tags SET place = CASE WHEN NEW.trashed_at IS NULL THEN ifnull(NEW.folder_id, '') ELSE 'trash' END
    WHERE item_id = NEW.id;
END;

-- A person's own.
CREATE TABLE favourites (
    user_id  TEXT NOT NULL REFERENCES users (id),
    item_id  TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX favourites_by_time ON favourites (user_id, added_at, item_id);
CREATE INDEX favourites_by_item ON favourites (item_id);

CREATE TABLE labels (
    user_id TEXT NOT NULL REFERENCES users (id),
    item_id TEXT NOT NULL,
    colour  TEXT NOT NULL
        CHECK (colour IN ('red', 'orange', 'yellow', 'green', 'teal', 'blue', 'purple', 'grey')),
    PRIMARY KEY (user_id, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_item ON labels (item_id);

-- Everybody's.
CREATE TABLE stars (
    item_id  TEXT PRIMARY KEY,
    added_at INTEGER NOT NULL,
    added_by TEXT NOT NULL REFERENCES users (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stars_by_time ON stars (added_at, item_id);

-- `version` is another one each time that the row changes.
CREATE TABLE notes (
    item_id    TEXT PRIMARY KEY,
    text       TEXT NOT NULL,
    version    TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id)
) STRICT;

CREATE TABLE comments (
    id         TEXT PRIMARY KEY,
    item_id    TEXT NOT NULL,
    text       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id),
    edited_at  INTEGER,
    edits      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX comments_by_item ON comments (item_id, id);

-- What a comment said before each edit; it goes with the comment.
CREATE TABLE comment_history (
    comment_id TEXT NOT NULL REFERENCES comments (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number >= 1),
    text       TEXT NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (comment_id, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER annotations_go_with_their_file AFTER DELETE ON files
BEGIN
    DELETE FROM item_tags WHERE item_id = OLD.id;
    DELETE FROM favourites WHERE item_id = OLD.id;
    DELETE FROM labels WHERE item_id = OLD.id;
    DELETE FROM stars WHERE item_id = OLD.id;
    DELETE FROM notes WHERE item_id = OLD.id;
    DELETE FROM comments WHERE item_id = OLD.id;
END;
CREATE TRIGGER annotations_go_with_their_folder AFTER DELETE ON folders
BEGIN
    DELETE FROM item_tags WHERE item_id = OLD.id;
    DELETE FROM favourites WHERE item_id = OLD.id;
    DELETE FROM labels WHERE item_id = OLD.id;
    DELETE FROM stars WHERE item_id = OLD.id;
    DELETE FROM notes WHERE item_id = OLD.id;
    DELETE FROM comments WHERE item_id = OLD.id;
END;
CREATE TRIGGER personal_marks_go_with_their_account AFTER UPDATE OF deleted_at ON users WHEN NEW.deleted_at IS NOT NULL
BEGIN
    DELETE FROM favourites WHERE user_id = NEW.id;
    DELETE FROM labels WHERE user_id = NEW.id;
END;

-- What somebody changed last, over all folders.
CREATE INDEX files_modified_by ON files (modified_by, modified_at, id) WHERE trashed_at IS NULL;

-- The index of words. `search_items` has a row for each document in it, with copies of what searches filter by; both
-- follow the tree through the queue, a moment later. `text_of` is the blob that the text was taken from.
CREATE VIRTUAL TABLE search_index USING fts5 (
    name, tags, note, comments, text,
    tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE TABLE search_items (
    id          INTEGER PRIMARY KEY,
    item_id     TEXT NOT NULL UNIQUE,
    is_folder   INTEGER NOT NULL CHECK (is_folder IN (0, 1)),
    folder_id   TEXT NOT NULL,
    owner_id    TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    text_of     TEXT
) STRICT;
CREATE INDEX search_items_by_modification ON search_items (modified_at, id);

-- Items whose entry in the index is out of date. A change that comes while an item is looked at gives it a new number.
-- `attempts` tells which contents ended the daemon while it looked at them.
CREATE TABLE search_queue (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id  TEXT NOT NULL UNIQUE ON CONFLICT REPLACE,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER search_sees_new_files AFTER INSERT ON files
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.id);
END;
CREATE TRIGGER search_sees_changed_files AFTER UPDATE OF name, folder_id, blob_id, modified_at, trashed_at ON files
    WHEN OLD.name <> NEW.name OR OLD.folder_id IS NOT NEW.folder_id OR OLD.blob_id <> NEW.blob_id
      OR OLD.modified_at <> NEW.modified_at OR OLD.trashed_at IS NOT NEW.trashed_at
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.id);
END;
CREATE TRIGGER search_sees_deleted_files AFTER DELETE ON files
BEGIN
    INSERT INTO search_queue (item_id) VALUES (OLD.id);
END;
CREATE TRIGGER search_sees_new_folders AFTER INSERT ON folders
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.id);
END;
CREATE TRIGGER search_sees_changed_folders AFTER UPDATE OF name, parent_id, modified_at, trashed_at ON folders
    WHEN OLD.name <> NEW.name OR OLD.parent_id IS NOT NEW.parent_id
      OR OLD.modified_at <> NEW.modified_at OR OLD.trashed_at IS NOT NEW.trashed_at
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.id);
END;
CREATE TRIGGER search_sees_deleted_folders AFTER DELETE ON folders
BEGIN
    INSERT INTO search_queue (item_id) VALUES (OLD.id);
END;
CREATE TRIGGER search_sees_new_tags AFTER INSERT ON item_tags
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.item_id);
END;
CREATE TRIGGER search_sees_removed_tags AFTER DELETE ON item_tags
BEGIN
    INSERT INTO search_queue (item_id) VALUES (OLD.item_id);
END;
CREATE TRIGGER search_sees_new_notes AFTER INSERT ON notes
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.item_id);
END;
CREATE TRIGGER search_sees_changed_notes AFTER UPDATE OF text ON notes
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.item_id);
END;
CREATE TRIGGER search_sees_removed_notes AFTER DELETE ON notes
BEGIN
    INSERT INTO search_queue (item_id) VALUES (OLD.item_id);
END;
CREATE TRIGGER search_sees_new_comments AFTER INSERT ON comments
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.item_id);
END;
CREATE TRIGGER search_sees_changed_comments AFTER UPDATE OF text ON comments
BEGIN
    INSERT INTO search_queue (item_id) VALUES (NEW.item_id);
END;
CREATE TRIGGER search_sees_removed_comments AFTER DELETE ON comments
BEGIN
    INSERT INTO search_queue (item_id) VALUES (OLD.item_id);
END;

INSERT INTO search_queue (item_id) SELECT id FROM folders;
INSERT INTO search_queue (item_id) SELECT id FROM files;
