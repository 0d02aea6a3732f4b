-- What clients attached to the items of secrets vaults: sealed by them, as contents of their own (docs/secrets.md). Nothing here
-- refers to an item or a vault: a release before this one deletes those without knowing of attachments, and what it left
-- behind is taken away at the next unlock (repo/secret_attachments.rs).
CREATE TABLE secret_attachments (
    vault_id   TEXT NOT NULL,
    item_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    -- Its row in `contents` has the same length and digest; here they are within reach of a person.
    blob_id    TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (vault_id, item_id, id)
) STRICT, WITHOUT ROWID;
-- What a person has attached counts against their quota.
CREATE INDEX secret_attachments_by_user ON secret_attachments (created_by, size_bytes);

CREATE VIEW my_secret_attachments AS
    SELECT a.vault_id, a.item_id, a.id, a.blob_id, a.size_bytes, a.sha256, a.created_at, a.created_by, m.role
    FROM secret_members m JOIN secret_attachments a ON a.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

-- They are added and removed, and never changed: there is no trigger for that.
CREATE TRIGGER my_secret_attachments_insert INSTEAD OF INSERT ON my_secret_attachments BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal() AND role >= 2);
    SELECT RAISE(ABORT, 'item') WHERE NOT EXISTS (
        SELECT 1 FROM secret_items WHERE vault_id = NEW.vault_id AND id = NEW.item_id AND content IS NOT NULL);
    INSERT INTO secret_attachments VALUES (NEW.vault_id, NEW.item_id, NEW.id, NEW.blob_id, NEW.size_bytes, NEW.sha256,
        NEW.created_at, coffer_principal());
END;

CREATE TRIGGER my_secret_attachments_delete INSTEAD OF DELETE ON my_secret_attachments BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 2;
    DELETE FROM secret_attachments WHERE vault_id = OLD.vault_id AND item_id = OLD.item_id AND id = OLD.id;
END;
