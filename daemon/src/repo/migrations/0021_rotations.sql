-- Rotation of credentials that secrets vaults hold (docs/rotation.md). The box makes them, and seals them to a vault's drop
-- box at once; what is kept here in clear is what it needs to change them.
-- Nothing here refers to a vault: a program of before, which does not know these tables, has to be able to delete one.

-- Public keys that members derive from the vault's. A member has signed each.
CREATE TABLE secret_drop_boxes (
    vault_id   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    public     BLOB NOT NULL CHECK (length(public) = 32),
    signature  BLOB NOT NULL CHECK (length(signature) = 64),
    set_by     TEXT NOT NULL,
    PRIMARY KEY (vault_id, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret_rotations (
    id              TEXT PRIMARY KEY,
    vault_id        TEXT NOT NULL,
    item_id         TEXT NOT NULL,
    field_id        TEXT NOT NULL,
    handle_field_id TEXT,
    -- JSON, as in the API.
    provider        TEXT NOT NULL,
    -- What allows the box to change the credential. It has to be known here, and is in no view.
    admin           TEXT,
    every_s         INTEGER CHECK (every_s > 0),
    grace_s         INTEGER CHECK (grace_s >= 0),
    state           TEXT NOT NULL CHECK (state IN ('idle', 'pending', 'applied', 'sealed', 'verified', 'old_revoked')),
    attempts        INTEGER NOT NULL,
    problem         TEXT,
    -- What tells credentials apart where there can be several: that of the run, that of before, and those that are to end
    -- (a JSON list).
    handle          TEXT,
    current         TEXT,
    old             TEXT NOT NULL,
    -- Where the run's value is in secret_drops.
    drop_id         TEXT,
    next_at         INTEGER,
    changed_at      INTEGER NOT NULL,
    rotated_at      INTEGER,
    created_at      INTEGER NOT NULL,
    created_by      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_rotations_by_vault ON secret_rotations (vault_id);
CREATE INDEX secret_rotations_by_time ON secret_rotations (next_at);

-- Sealed values: `kept` until they are in force, `open` to members then, `unsure` when nobody knows whether they are.
CREATE TABLE secret_drops (
    id            TEXT PRIMARY KEY,
    vault_id      TEXT NOT NULL,
    rotation_id   TEXT NOT NULL,
    item_id       TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    base_revision INTEGER NOT NULL,
    content       BLOB NOT NULL,
    made_at       INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('kept', 'open', 'unsure'))
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_drops_by_vault ON secret_drops (vault_id);
CREATE INDEX secret_drops_by_rotation ON secret_drops (rotation_id);

-- From here on: what a person sees, and may do.

CREATE VIEW my_secret_drop_boxes AS
    SELECT b.vault_id, b.generation, b.public, b.signature, b.set_by, m.role
    FROM secret_members m JOIN secret_drop_boxes b ON b.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

-- Whoever could set one could have what is rotated lost; so it is managers who do, and for the newest key alone.
CREATE TRIGGER my_secret_drop_boxes_insert INSTEAD OF INSERT ON my_secret_drop_boxes BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal() AND role >= 3);
    DELETE FROM secret_drop_boxes WHERE vault_id = NEW.vault_id AND generation = NEW.generation;
    INSERT INTO secret_drop_boxes VALUES
        (NEW.vault_id, NEW.generation, NEW.public, NEW.signature, coffer_principal());
END;

CREATE TRIGGER my_secret_drop_boxes_delete INSTEAD OF DELETE ON my_secret_drop_boxes BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 4;
    DELETE FROM secret_drop_boxes WHERE vault_id = OLD.vault_id AND generation = OLD.generation;
END;

-- The admin credential goes in, and does not come out.
CREATE VIEW my_secret_rotations AS
    SELECT r.id, r.vault_id, r.item_id, r.field_id, r.handle_field_id, r.provider, NULL AS admin, r.current, r.every_s,
        r.grace_s, r.state, r.attempts, r.problem, r.next_at, r.changed_at, r.rotated_at, r.created_at, r.created_by, m.role
    FROM secret_members m JOIN secret_rotations r ON r.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal();

CREATE TRIGGER my_secret_rotations_insert INSTEAD OF INSERT ON my_secret_rotations BEGIN
    SELECT RAISE(ABORT, 'role') WHERE NOT EXISTS (
        SELECT 1 FROM secret_members WHERE vault_id = NEW.vault_id AND user_id = coffer_principal() AND role >= 3);
    INSERT INTO secret_rotations VALUES (NEW.id, NEW.vault_id, NEW.item_id, NEW.field_id, NEW.handle_field_id, NEW.provider,
        NEW.admin, NEW.every_s, NEW.grace_s, 'idle', 0, NULL, NULL, NEW.current, '[]', NULL, NEW.next_at, NEW.created_at,
        NULL, NEW.created_at, coffer_principal());
END;

-- It goes on at once.
CREATE TRIGGER my_secret_rotations_update INSTEAD OF UPDATE OF next_at ON my_secret_rotations BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 3;
    UPDATE secret_rotations SET next_at = NEW.next_at WHERE id = OLD.id;
END;

-- A value that may be in force stays until a member has taken it.
CREATE TRIGGER my_secret_rotations_delete INSTEAD OF DELETE ON my_secret_rotations BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 3;
    UPDATE secret_drops SET state = 'unsure' WHERE rotation_id = OLD.id AND state = 'kept';
    DELETE FROM secret_rotations WHERE id = OLD.id;
END;

CREATE VIEW my_secret_drops AS
    SELECT d.id, d.vault_id, d.rotation_id, d.item_id, d.generation, d.base_revision, d.content, d.made_at, d.state, m.role
    FROM secret_members m JOIN secret_drops d ON d.vault_id = m.vault_id
    WHERE m.user_id = coffer_principal() AND d.state <> 'kept';

-- Who may write items says that a value is in one, and what waits for that goes on.
CREATE TRIGGER my_secret_drops_delete INSTEAD OF DELETE ON my_secret_drops BEGIN
    SELECT RAISE(ABORT, 'role') WHERE OLD.role < 2;
    UPDATE secret_rotations SET next_at = 0 WHERE id = OLD.rotation_id AND state = 'verified';
    DELETE FROM secret_drops WHERE id = OLD.id;
END;
