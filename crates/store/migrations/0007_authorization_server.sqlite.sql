-- What people let clients do at the built-in authorization server. Codes and tokens are digests.
CREATE TABLE oauth_grant (
    id              TEXT    NOT NULL PRIMARY KEY,
    user_id         TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    client_id       TEXT    NOT NULL,
    client_name     TEXT    NOT NULL,
    resource        TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    code            BLOB    NOT NULL UNIQUE,
    challenge       TEXT    NOT NULL,
    redirect_uri    TEXT    NOT NULL,
    code_expires_at INTEGER NOT NULL,
    -- when the code was redeemed; the rest is there from then on
    redeemed_at     INTEGER,
    family          BLOB    UNIQUE,
    turn            BLOB,
    last_turn       BLOB,
    turned_at       INTEGER
) STRICT;
CREATE INDEX oauth_grant_by_user ON oauth_grant (user_id, created_at);
CREATE INDEX oauth_grant_by_expiry ON oauth_grant (expires_at);

-- Clients that registered themselves.
CREATE TABLE oauth_client (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    redirect_uris TEXT    NOT NULL,
    auth_method   TEXT    NOT NULL,
    secret        BLOB,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    -- whether somebody ever approved it
    approved      INTEGER NOT NULL DEFAULT FALSE CHECK (approved IN (FALSE, TRUE))
) STRICT;
CREATE INDEX oauth_client_by_age ON oauth_client (approved, created_at);
CREATE INDEX oauth_client_by_expiry ON oauth_client (expires_at);
