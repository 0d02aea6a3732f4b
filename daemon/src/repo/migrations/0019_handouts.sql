-- Secrets for people without an account, behind one-time links. The content opens with what stands behind the `#` of the link
-- alone (docs/secrets.md), which no box sees.
CREATE TABLE secret_handouts (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id),
    -- SHA-256 of what a visitor shows.
    access_hash BLOB NOT NULL CHECK (length(access_hash) = 32),
    -- NULL when the last view is used up: then there is nothing left to hand out.
    content     BLOB CHECK ((content IS NULL) = (views_left = 0)),
    views       INTEGER NOT NULL,
    views_left  INTEGER NOT NULL CHECK (views_left BETWEEN 0 AND views),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX secret_handouts_by_user ON secret_handouts (user_id);
CREATE INDEX secret_handouts_by_end ON secret_handouts (expires_at);

-- One's own, without what is in them: nobody needs to read it back.
CREATE VIEW my_secret_handouts AS
    SELECT id, access_hash, NULL AS content, ifnull(length(content), 0) AS size, views, views_left, created_at, expires_at
    FROM secret_handouts WHERE user_id = coffer_principal();

CREATE TRIGGER my_secret_handouts_insert INSTEAD OF INSERT ON my_secret_handouts BEGIN
    INSERT INTO secret_handouts VALUES (NEW.id, coffer_principal(), NEW.access_hash, NEW.content, NEW.views, NEW.views,
        NEW.created_at, NEW.expires_at);
END;

CREATE TRIGGER my_secret_handouts_delete INSTEAD OF DELETE ON my_secret_handouts BEGIN
    DELETE FROM secret_handouts WHERE id = OLD.id AND user_id = coffer_principal();
END;
