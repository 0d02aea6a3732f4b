-- Spelled so that SQLite and PostgreSQL read the same: text and 64-bit numbers alone; times in milliseconds since 1970.

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- A removed box stays as a row without its key and its secret for a while, so that removing it twice is no error.
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('registering', 'ready', 'removing', 'removed')),
    public_key TEXT UNIQUE,
    sealed_secret TEXT,
    registered_at BIGINT NOT NULL,
    removed_at BIGINT,
    CHECK ((sealed_secret IS NULL) = (state IN ('removing', 'removed'))),
    CHECK ((public_key IS NULL) = (state = 'removed'))
);

CREATE INDEX devices_of_owner ON devices (owner, id);
CREATE INDEX devices_in_state ON devices (state);

-- `hash` is SHA-256 of the ticket, in hexadecimal; the ticket itself is kept by nobody but the phone and the box.
CREATE TABLE tickets (
    hash TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    device_id TEXT REFERENCES devices (id)
);

CREATE INDEX tickets_of_owner ON tickets (owner);
CREATE INDEX tickets_of_device ON tickets (device_id);
