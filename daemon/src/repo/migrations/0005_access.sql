-- A private folder, and all that is below it, is there only for those whom its grants name.
ALTER TABLE folders ADD COLUMN private INTEGER NOT NULL DEFAULT 0 CHECK (private IN (0, 1));
-- Whether anything is private at all; and a list of what everybody sees, without a step over what is private.
CREATE INDEX folders_private ON folders (id) WHERE private = 1;
CREATE INDEX folders_open_by_parent ON folders (ifnull(parent_id, ''), id) WHERE private = 0;

-- `name_key` is the name as it is compared: in lower case.
CREATE TABLE groups (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (id),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_user ON group_members (user_id, group_id);

-- Only private folders have grants. `parent_id` is a copy from the folder (empty for the root), so that a list finds
-- what is granted inside of one folder without looking at what is not.
CREATE TABLE folder_grants (
    folder_id  TEXT NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    parent_id  TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id),
    group_id   TEXT REFERENCES groups (id) ON DELETE CASCADE,
    grantee_id TEXT NOT NULL GENERATED ALWAYS AS (ifnull(user_id, group_id)) STORED,
    access     TEXT NOT NULL CHECK (access IN ('read', 'write')),
    CHECK ((user_id IS NULL) <> (group_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX folder_grants_by_folder ON folder_grants (folder_id, grantee_id);
CREATE INDEX folder_grants_by_grantee ON folder_grants (grantee_id, parent_id, folder_id);
CREATE INDEX folder_grants_by_user ON folder_grants (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX folder_grants_by_group ON folder_grants (group_id) WHERE group_id IS NOT NULL;

CREATE TRIGGER folder_grants_follow_their_folder AFTER UPDATE OF parent_id ON folders
BEGIN
    UPDATE folder_grants SET parent_id = ifnull(NEW.parent_id, '') WHERE folder_id = NEW.id;
END;
