-- What people gave programs of theirs. The token itself is nowhere: the digest is its SHA-256.
CREATE TABLE personal_token (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE,
    user_id      TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    -- a JSON array of names; NULL: everything
    upstreams    TEXT,
    read_only    INTEGER NOT NULL CHECK (read_only IN (FALSE, TRUE)),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX personal_token_by_user ON personal_token (user_id, created_at);
