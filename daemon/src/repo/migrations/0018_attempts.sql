-- Attempts at what people guess, so that a restart forgives none. Times are milliseconds since 1970.
CREATE TABLE attempts (
    -- What the attempts are at, and the SHA-256 of the account or address that they are counted by.
    guard TEXT NOT NULL,
    key BLOB NOT NULL,
    count INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (guard, key)
) STRICT, WITHOUT ROWID;
