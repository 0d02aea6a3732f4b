-- The log becomes a chain: `hash` covers the row and the hash of the row before (repo/audit_chain.rs says how). The rows that
-- are there already are moved by the program, which removes `audit_before` afterwards.

ALTER TABLE audit RENAME TO audit_before;

-- AUTOINCREMENT: SQLite remembers the largest number, so that rows missing from the end are noticed as well.
-- No reference to other tables: a row outlives what it speaks of.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    at         INTEGER NOT NULL,
    actor_id   TEXT,
    session_id TEXT,
    address    TEXT,
    request_id TEXT NOT NULL,
    action     TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('success', 'refused', 'failed')),
    subject_id TEXT,
    detail     TEXT,
    hash       BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Each ends in the row's number by itself, so that a page of what it finds is read in order. What no index serves is
-- looked for in steps of bounded length.
CREATE INDEX audit_by_actor ON audit (actor_id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_by_subject ON audit (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX audit_by_request ON audit (request_id);
CREATE INDEX audit_by_action ON audit (action);
-- Costs the common row nothing.
CREATE INDEX audit_by_trouble ON audit (outcome) WHERE outcome <> 'success';

-- Where the chain begins: the last row that retention has removed. Number 0 with a hash of zeros before that.
CREATE TABLE audit_anchor (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    through_seq INTEGER NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_anchor VALUES (1, 0, zeroblob(32));

-- OR REPLACE would delete without asking the trigger for that.
CREATE TRIGGER audit_is_only_added_to BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE seq >= NEW.seq) OR EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is only added to');
END;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is not changed');
END;

-- Retention moves the anchor first, in the same transaction.
CREATE TRIGGER audit_is_deleted_by_retention_only BEFORE DELETE ON audit
WHEN OLD.seq > ifnull((SELECT through_seq FROM audit_anchor), 0)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is not deleted from');
END;

CREATE TRIGGER audit_anchor_stands_on_a_row BEFORE UPDATE ON audit_anchor
WHEN NEW.through_seq <= OLD.through_seq OR NEW.hash IS NOT (SELECT hash FROM audit WHERE seq = NEW.through_seq)
BEGIN
    SELECT RAISE(ABORT, 'the anchor of the audit log only moves forward, to a row');
END;

CREATE TRIGGER audit_anchor_is_one BEFORE INSERT ON audit_anchor
BEGIN
    SELECT RAISE(ABORT, 'the audit log has its anchor');
END;

CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor
BEGIN
    SELECT RAISE(ABORT, 'the audit log keeps its anchor');
END;
