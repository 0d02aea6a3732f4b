-- What is told to the outside: which events, to whom, and what became of it. An event is a row of the audit log that
-- reports a success of one of these actions; so it is queued in the transaction of the change, or not at all.

-- Which action of the audit log reports which event; the program writes it when it opens the database.
CREATE TABLE event_names (
    action TEXT PRIMARY KEY,
    event  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `secret` signs; it is needed as it is.
CREATE TABLE webhooks (
    id          TEXT PRIMARY KEY,
    url         TEXT NOT NULL,
    secret      TEXT NOT NULL,
    active      INTEGER NOT NULL CHECK (active IN (0, 1)),
    -- 0: those that webhook_events names.
    every_event INTEGER NOT NULL CHECK (every_event IN (0, 1)),
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL REFERENCES users (id)
) STRICT;

CREATE TABLE webhook_events (
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event      TEXT NOT NULL,
    PRIMARY KEY (webhook_id, event)
) STRICT, WITHOUT ROWID;

-- The queue and, once delivered or given up, the log. `event_id` is the id of the audit row, so it sorts by time.
CREATE TABLE webhook_deliveries (
    webhook_id      TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        TEXT NOT NULL,
    event           TEXT NOT NULL,
    at              INTEGER NOT NULL,
    subject_id      TEXT NOT NULL,
    folder_id       TEXT,
    size_bytes      INTEGER,
    revision        INTEGER,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER,
    last_attempt_at INTEGER,
    -- What the receiver answered, or why there is no answer.
    status          INTEGER,
    problem         TEXT,
    PRIMARY KEY (webhook_id, event_id),
    CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (at);

-- Events that hook programs have not seen yet. Filled only while the daemon runs with some: the program says so here.
CREATE TABLE hook_programs (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1))
) STRICT;
INSERT INTO hook_programs VALUES (1, 0);

CREATE TABLE hook_queue (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id   TEXT NOT NULL,
    event      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    subject_id TEXT NOT NULL,
    folder_id  TEXT,
    size_bytes INTEGER,
    revision   INTEGER
) STRICT;

-- An event as it is told outside: where its subject lies, and how large it is, as far as that is known at its end.
CREATE VIEW told AS
    SELECT audit.id AS event_id, event, audit.at, audit.subject_id,
           CASE WHEN event LIKE 'folder.%' THEN folders.parent_id ELSE files.folder_id END AS folder_id,
           files.size_bytes, files.revision
    FROM audit JOIN event_names ON event_names.action = audit.action
    LEFT JOIN files ON event LIKE 'file.%' AND files.id = audit.subject_id
    LEFT JOIN folders ON event LIKE 'folder.%' AND folders.id = audit.subject_id;

CREATE TRIGGER events_are_queued_for_webhooks AFTER INSERT ON audit
WHEN NEW.outcome = 'success' AND NEW.subject_id IS NOT NULL
    AND EXISTS (SELECT 1 FROM event_names WHERE event_names.action = NEW.action)
    AND EXISTS (SELECT 1 FROM webhooks WHERE active = 1)
BEGIN
    INSERT INTO webhook_deliveries (webhook_id, event_id, event, at, subject_id, folder_id, size_bytes, revision, state,
                                    attempts, next_attempt_at)
        SELECT webhooks.id, event_id, event, at, subject_id, folder_id, size_bytes, revision, 'waiting', 0, at
        FROM told, webhooks
        WHERE told.event_id = NEW.id AND webhooks.active = 1
            AND (every_event = 1 OR EXISTS (SELECT 1 FROM webhook_events
                                            WHERE webhook_id = webhooks.id AND webhook_events.event = told.event));
END;

CREATE TRIGGER events_are_queued_for_hook_programs AFTER INSERT ON audit
WHEN NEW.outcome = 'success' AND NEW.subject_id IS NOT NULL
    AND EXISTS (SELECT 1 FROM event_names WHERE event_names.action = NEW.action)
    AND EXISTS (SELECT 1 FROM hook_programs WHERE enabled = 1)
BEGIN
    INSERT INTO hook_queue (event_id, event, at, subject_id, folder_id, size_bytes, revision)
        SELECT event_id, event, at, subject_id, folder_id, size_bytes, revision FROM told WHERE event_id = NEW.id;
END;
