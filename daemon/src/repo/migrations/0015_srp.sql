-- By what an account logs in without sending its password. `verifier` is as secret as a password hash.
CREATE TABLE srp_verifiers (
    user_id    TEXT PRIMARY KEY REFERENCES users (id),
    group_bits INTEGER NOT NULL CHECK (group_bits IN (3072, 4096)),
    salt       BLOB NOT NULL CHECK (length(salt) = 16),
    verifier   BLOB NOT NULL CHECK (length(verifier) * 8 = group_bits),
    -- How the client derives its keys: docs/secrets.md.
    parameters BLOB NOT NULL CHECK (length(parameters) = 60),
    -- Whether the password opens no session any more.
    is_only    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
