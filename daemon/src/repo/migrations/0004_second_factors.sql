-- What proves, besides the password, who logs in. All of it belongs to one account and goes with it.

CREATE TABLE totp (
    user_id    TEXT PRIMARY KEY REFERENCES users (id),
    secret     BLOB NOT NULL CHECK (length(secret) = 20),
    -- Counts 30 seconds since 1970, of the last code that was accepted. Only later ones are.
    last_step  INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Shown, but not yet confirmed by a code: proves nothing.
CREATE TABLE totp_enrolments (
    user_id    TEXT PRIMARY KEY REFERENCES users (id),
    secret     BLOB NOT NULL CHECK (length(secret) = 20),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- hash: see crypto/src/recovery_codes.rs.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id),
    hash    BLOB NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE,
    -- JSON: the public key, and what the authenticator said of itself.
    credential    TEXT NOT NULL,
    -- How often the authenticator says that it signed, at the last login; 0 for those that do not count.
    counter       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX passkeys_by_user ON passkeys (user_id, id);
