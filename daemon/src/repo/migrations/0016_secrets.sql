-- The secrets vaults. What is sealed, wrapped or signed here was made by clients (docs/secrets.md); nothing of it can be
-- opened on this box. The tables are behind views that show a person what is theirs (repo/secrets.rs): a statement of a
-- person never names a table.

-- What an account keeps here for its other devices, and its public keys.
CREATE TABLE secret_accounts (
    user_id     TEXT PRIMARY KEY REFERENCES users (id),
    by_password BLOB NOT NULL CHECK (length(by_password) = 104),
    by_recovery BLOB NOT NULL CHECK (length(by_recovery) = 104),
    identity    BLOB NOT NULL CHECK (length(identity) = 136),
    public      BLOB NOT NULL CHECK (length(public) = 144)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret_vaults (
    id          TEXT PRIMARY KEY,
    -- Counts the changes; each has a link in secret_links.
    sequence    INTEGER NOT NULL,
    -- Of the vault's key.
    generation  INTEGER NOT NULL,
    -- By all revisions: 512 bytes for each, and its content.
    used_bytes  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL REFERENCES users (id)
) STRICT, WITHOUT ROWID;

-- role: 1 viewer, 2 editor, 3 manager, 4 owner.
CREATE TABLE secret_members (
    vault_id TEXT NOT NULL REFERENCES secret_vaults (id),
    user_id  TEXT NOT NULL REFERENCES users (id),
    role     INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4),
    PRIMARY KEY (vault_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_members_by_user ON secret_members (user_id);

-- The vault's keys, as each member has them: wrapped by the member (104 bytes), or as another member's grant (237 bytes).
CREATE TABLE secret_keys (
    vault_id   TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    sealed     BLOB NOT NULL CHECK (length(sealed) IN (104, 237)),
    PRIMARY KEY (vault_id, user_id, generation),
    FOREIGN KEY (vault_id, user_id) REFERENCES secret_members (vault_id, user_id)
) STRICT, WITHOUT ROWID;

-- The newest revision of each item. `content` is NULL when it was deleted; the row stays.
CREATE TABLE secret_items (
    vault_id       TEXT NOT NULL REFERENCES secret_vaults (id),
    id             TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    key_generation INTEGER NOT NULL,
    wrapped_key    BLOB NOT NULL CHECK (length(wrapped_key) = 104),
    content        BLOB,
    -- Of the change that made it so.
    sequence       INTEGER NOT NULL,
    changed_at     INTEGER NOT NULL,
    changed_by     TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (vault_id, id)
) STRICT;
CREATE INDEX secret_items_by_sequence ON secret_items (vault_id, sequence);

-- Every revision that there was, the newest too.
CREATE TABLE secret_revisions (
    vault_id   TEXT NOT NULL,
    item_id    TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    content    BLOB,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (vault_id, item_id, revision),
    FOREIGN KEY (vault_id, item_id) REFERENCES secret_items (vault_id, id)
) STRICT;

-- The signed history, kept for ever: by it a client finds out whether this box is honest.
CREATE TABLE secret_links (
    vault_id TEXT NOT NULL REFERENCES secret_vaults (id),
    sequence INTEGER NOT NULL,
    link     BLOB NOT NULL CHECK (length(link) = 261),
    PRIMARY KEY (vault_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER secret_items_keep_new AFTER INSERT ON secret_items BEGIN
    INSERT INTO secret_revisions VALUES
        (NEW.vault_id, NEW.id, NEW.revision, NEW.generation, NEW.content, NEW.changed_at, NEW.changed_by);
    UPDATE secret_vaults SET used_bytes = used_bytes + 512 + ifnull(length(NEW.content), 0) WHERE id = NEW.vault_id;
END;

CREATE TRIGGER secret_items_keep_changed AFTER UPDATE OF revision ON secret_items
WHEN NEW.revision <> OLD.revision BEGIN
    INSERT INTO secret_revisions VALUES
        (NEW.vault_id, NEW.id, NEW.revision, NEW.generation, NEW.content, NEW.changed_at, NEW.changed_by);
    UPDATE secret_vaults SET used_bytes = used_bytes + 512 + ifnull(length(NEW.content), 0) WHERE id = NEW.vault_id;
END;

-- From here on: what a person sees, and may do. coffer_principal() is who it is; there is one inside of a scope only.

CREATE VIEW my_secret_vaults AS
    SELECT v.id, v.sequence, v.generation, v.used_bytes, v.created_at, v.created_by, m.role
    FROM secret_members m JOIN secret_vaults v ON v.id = m.vault_id
    WHERE m.user_id = coffer_principal();

CREATE TRIGGER my_secret_vaults_insert INSTEAD OF INSERT ON my_secret_vaults BEGIN
    INSERT INTO secret_vaults VALUES (NEW.id, 0, 1, 0, NEW.created_at, coffer_principal());
    INSERT INTO secret_members VALUES (NEW.id, coffer_principal(), 4);
END;

CREATE TRIGGER my_secret_vaults_delete INSTEAD OF DELETE ON my_secret_vaults BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 4;
    -- Not by the foreign keys: what they delete is nobody's doing, so the authorizer refuses it.
    DELETE FROM secret_links WHERE vault_id = OLD.id;
    DELETE FROM secret_revisions WHERE vault_id = OLD.id;
    DELETE FROM secret_items WHERE vault_id = OLD.id;
    DELETE FROM secret_keys WHERE vault_id = OLD.id;
    DELETE FROM secret_members WHERE vault_id = OLD.id;
    DELETE FROM secret_vaults WHERE id = OLD.id;
END;

-- The next key of the vault.
CREATE TRIGGER my_secret_vaults_update INSTEAD OF UPDATE OF generation ON my_secret_vaults BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 3;
    UPDATE secret_vaults SET generation = generation + 1 WHERE id = OLD.id;
END;

CREATE VIEW my_secret_members AS
    SELECT m.vault_id, m.user_id, m.role, me.role AS my_role
    FROM secret_members me JOIN secret_members m ON m.vault_id = me.vault_id
    WHERE me.user_id = coffer_principal();

-- Managers make viewers, editors and managers; owners are made, changed and removed by owners. Everybody may leave, but
-- the last owner.
CREATE TRIGGER my_secret_members_insert INSTEAD OF INSERT ON my_secret_members BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal()
            AND role >= 3 AND (NEW.role < 4 OR role = 4));
    INSERT INTO secret_members VALUES (NEW.vault_id, NEW.user_id, NEW.role);
END;

CREATE TRIGGER my_secret_members_update INSTEAD OF UPDATE OF role ON my_secret_members BEGIN
    SELECT RAISE(ABORT, 'role')
    WHERE OLD.my_role < 3 OR (OLD.my_role < 4 AND (OLD.role = 4 OR NEW.role = 4));
    UPDATE secret_members SET role = NEW.role WHERE vault_id = OLD.vault_id AND user_id = OLD.user_id;
    SELECT RAISE(ABORT, 'owner') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = OLD.vault_id AND role = 4);
END;

CREATE TRIGGER my_secret_members_delete INSTEAD OF DELETE ON my_secret_members BEGIN
    SELECT RAISE(ABORT, 'role')
    WHERE OLD.user_id <> coffer_principal() AND (OLD.my_role < 3 OR (OLD.my_role < 4 AND OLD.role = 4));
    DELETE FROM secret_keys WHERE vault_id = OLD.vault_id AND user_id = OLD.user_id;
    DELETE FROM secret_members WHERE vault_id = OLD.vault_id AND user_id = OLD.user_id;
    SELECT RAISE(ABORT, 'owner') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = OLD.vault_id AND role = 4);
END;

-- One's own keys. Others' are written, and not read.
CREATE VIEW my_secret_keys AS
    SELECT vault_id, user_id, generation, sealed FROM secret_keys WHERE user_id = coffer_principal();

CREATE TRIGGER my_secret_keys_insert INSTEAD OF INSERT ON my_secret_keys BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal()
            AND (role >= 3 OR NEW.user_id = coffer_principal()));
    DELETE FROM secret_keys WHERE vault_id = NEW.vault_id AND user_id = NEW.user_id AND generation = NEW.generation
        AND NEW.user_id = coffer_principal();
    INSERT INTO secret_keys VALUES (NEW.vault_id, NEW.user_id, NEW.generation, NEW.sealed);
END;

CREATE VIEW my_secret_items AS
    SELECT i.*, m.role FROM secret_members m JOIN secret_items i ON i.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

CREATE TRIGGER my_secret_items_insert INSTEAD OF INSERT ON my_secret_items BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal() AND role >= 2);
    INSERT INTO secret_items VALUES (NEW.vault_id, NEW.id, NEW.revision, NEW.generation, NEW.key_generation,
        NEW.wrapped_key, NEW.content, NEW.sequence, NEW.changed_at, coffer_principal());
END;

CREATE TRIGGER my_secret_items_update INSTEAD OF UPDATE ON my_secret_items BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 2;
    UPDATE secret_items SET revision = NEW.revision, generation = NEW.generation, key_generation = NEW.key_generation,
        wrapped_key = NEW.wrapped_key, content = NEW.content, sequence = NEW.sequence, changed_at = NEW.changed_at,
        changed_by = coffer_principal()
    WHERE vault_id = OLD.vault_id AND id = OLD.id;
END;

CREATE VIEW my_secret_revisions AS
    SELECT r.* FROM secret_members m JOIN secret_revisions r ON r.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

CREATE VIEW my_secret_links AS
    SELECT l.* FROM secret_members m JOIN secret_links l ON l.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

-- Links come one after the other, and with them the vault's count.
CREATE TRIGGER my_secret_links_insert INSTEAD OF INSERT ON my_secret_links BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal() AND role >= 2);
    SELECT RAISE(ABORT, 'sequence') WHERE NOT EXISTS (
        SELECT 1 FROM secret_vaults WHERE id = NEW.vault_id AND sequence + 1 = NEW.sequence);
    INSERT INTO secret_links VALUES (NEW.vault_id, NEW.sequence, NEW.link);
    UPDATE secret_vaults SET sequence = NEW.sequence WHERE id = NEW.vault_id;
END;

-- One's own account, and the public keys of everybody.
CREATE VIEW my_secret_account AS
    SELECT by_password, by_recovery, identity, public FROM secret_accounts WHERE user_id = coffer_principal();

CREATE TRIGGER my_secret_account_insert INSTEAD OF INSERT ON my_secret_account BEGIN
    DELETE FROM secret_accounts WHERE user_id = coffer_principal();
    INSERT INTO secret_accounts VALUES (coffer_principal(), NEW.by_password, NEW.by_recovery, NEW.identity, NEW.public);
END;

CREATE VIEW my_secret_peers AS SELECT user_id, public FROM secret_accounts;
