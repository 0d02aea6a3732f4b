-- What add-ons and clients keep in the box. Values are JSON, and may be secrets.
CREATE TABLE variables (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    -- Another one each time that the row changes.
    version    TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id)
) STRICT;
CREATE UNIQUE INDEX variables_by_name ON variables (namespace, key);
